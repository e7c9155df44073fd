//! A fingerprint of a data set, by which a resumed run notices that its data have changed.
//!
//! It is the SHA-256 of the number of rows, their shape, and rows at equal distances with their
//! classes and conditions: all rows of a set of up to 2^22 values, at least 16 of a larger one.
//!
//! ```
//! use fm_train::fingerprint::fingerprint;
//! let rows = ndarray::array![[1.0f32, 2.0], [3.0, 4.0]];
//! let mut changed = rows.clone();
//! changed[[1, 1]] = 4.5;
//! assert_eq!(fingerprint(&rows)?, fingerprint(&rows.clone())?);
//! assert_ne!(fingerprint(&rows)?, fingerprint(&changed)?);
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use fm_core::data::{DataError, Dataset, Pick};
use sha2::{Digest, Sha256};

/// Number of values that are always hashed.
const VALUES: usize = 1 << 22;
/// Number of rows that are always hashed.
const ROWS: usize = 16;

/// The fingerprint of a data set, in hexadecimal.
///
/// # Errors
/// [`TrainError::Batch`]: a row that cannot be read.
pub fn fingerprint(data: &dyn Dataset) -> Result<String, TrainError> {
    TrainError::caught(0, || hash(data).map_err(|error| TrainError::Batch { step: 0, problem: error.to_string() }))
}

fn hash(data: &dyn Dataset) -> Result<String, DataError> {
    let (len, width) = (data.len(), data.dim().saturating_add(data.condition_dim()));
    if width > 1 << 34 {
        return Err(format!("its rows have {width} values; give rows of at most 2^34").into());
    }
    let mut hash = Sha256::new();
    for number in [len, data.condition_dim()].into_iter().chain(data.shape()) {
        hash.update((number as u64).to_le_bytes());
    }
    let rows = (VALUES / width.max(1)).max(ROWS).min(len);
    let mut values = vec![0f32; width];
    for k in 0..rows {
        let row = (k as u128 * len as u128 / rows as u128) as usize;
        let (x, condition) = values.split_at_mut(data.dim());
        data.write(Pick { row, mirrored: false }, x)?;
        data.write_condition(row, condition)?;
        values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        hash.update(data.class(row).unwrap_or(-1).to_le_bytes());
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::data::Classes;
    use ndarray::Array2;

    #[test]
    fn every_part_of_a_small_set_counts() {
        let rows = Array2::from_shape_fn((50, 3), |(i, j)| (i * 3 + j) as f32);
        let own = fingerprint(&rows).unwrap();
        let mut others = vec![fingerprint(&rows.slice(ndarray::s![..49, ..]).to_owned()).unwrap()];
        others.push(fingerprint(&rows.clone().into_shape_with_order((75, 2)).unwrap()).unwrap());
        for at in [(0, 0), (23, 1), (49, 2)] {
            let mut changed = rows.clone();
            changed[at] += 1.0;
            others.push(fingerprint(&changed).unwrap());
        }
        for label in [0, 1] {
            let labels = [vec![0; 49], vec![label]].concat();
            others.push(fingerprint(&Classes::new(rows.clone(), labels).unwrap()).unwrap());
        }
        others.push(own);
        let distinct: std::collections::BTreeSet<&String> = others.iter().collect();
        assert_eq!(distinct.len(), others.len());
    }
}
