//! Points of a toy distribution that are drawn when they are read.
//!
//! Row r is a function of (seed, r), so a training that takes the rows step x batch + i gets new
//! points at every step, the same ones when it is resumed, with any number of workers.
//!
//! ```
//! use fm_core::data::{Dataset, Pick};
//! use fm_data::{Columns, points::ToyStream};
//! let stream = ToyStream::new("moons".parse()?, Columns::unchanged(2), 0)?;
//! let (mut a, mut b) = ([0.0; 2], [0.0; 2]);
//! stream.write(Pick { row: 1 << 40, mirrored: false }, &mut a)?;
//! stream.write(Pick { row: 1 << 40, mirrored: false }, &mut b)?;
//! assert_eq!(a, b);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

use super::toy::{Toy, ToySampler};
use crate::{Columns, DataError};
use fm_core::data::{self, Dataset, Pick};
use fm_core::rng::{Key, Stream};
use fm_core::source::SourceDistribution;
use ndarray::ArrayView2;
use rand::{Rng, RngCore};
use rand_distr::StandardNormal;
use std::cell::RefCell;

/// An endless data set, or a source distribution, in the units of a network.
#[derive(Debug, Clone)]
pub struct ToyStream {
    sampler: ToySampler,
    columns: Columns,
    seed: u64,
}

/// The step of [`Key`] that streams use; fixed sets use 0 and 1.
const STEP: u64 = 2;

impl ToyStream {
    /// Points of `toy`, converted by `columns`.
    ///
    /// # Errors
    /// [`DataError::Columns`] if the columns are not those of the distribution.
    pub fn new(toy: Toy, columns: Columns, seed: u64) -> Result<Self, DataError> {
        columns.check()?;
        if columns.dim() != toy.dim() {
            let problem = format!("{toy} has {} columns where {} are expected", toy.dim(), columns.dim());
            return Err(DataError::Columns { problem, remedy: "choose a distribution of as many columns".into() });
        }
        Ok(Self { sampler: toy.sampler(), columns, seed })
    }

    fn point(&self, rng: &mut dyn RngCore, out: &mut [f32]) -> Result<(), DataError> {
        let (rng, mut point) = (RefCell::new(rng), vec![0.0; out.len()]);
        let uniform = &mut || rng.borrow_mut().random();
        self.sampler.draw(uniform, &mut || rng.borrow_mut().sample(StandardNormal), &mut point);
        let row = ArrayView2::from_shape((1, point.len()), &point).ok();
        let scaled = row.map(|row| self.columns.apply(row)).transpose()?;
        out.iter_mut().zip(scaled.iter().flatten()).for_each(|(to, value)| *to = *value);
        Ok(())
    }
}

impl Dataset for ToyStream {
    /// The largest number.
    fn len(&self) -> usize {
        usize::MAX
    }

    fn dim(&self) -> usize {
        self.columns.dim()
    }

    fn is_endless(&self) -> bool {
        true
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), data::DataError> {
        Ok(self.point(&mut Key::new(self.seed, STEP, Stream::Data).generator(pick.row), out)?)
    }
}

impl SourceDistribution for ToyStream {
    /// A point whose value is not finite in the units of the network is NaN, which the caller
    /// refuses.
    fn fill(&self, rng: &mut dyn RngCore, row: &mut [f32]) {
        if self.point(rng, row).is_err() {
            row.fill(f32::NAN);
        }
    }

    fn name(&self) -> String {
        self.sampler.toy().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Preprocess, Table};
    use fm_core::source::Source;

    #[test]
    fn rows_are_fresh_and_in_the_units_of_the_columns() {
        let toy: Toy = "gaussian:dim=3,seed=2".parse().unwrap();
        let set = Table::of(crate::points::toy::toy(&toy.to_string(), 4000, 9).unwrap().mapv(f64::from));
        let columns = Columns::of(&set, Preprocess::Standardize).unwrap();
        let stream = ToyStream::new(toy, columns.clone(), 4).unwrap();
        let mut rows = vec![[0f32; 3]; 4000];
        for (row, out) in rows.iter_mut().enumerate() {
            stream.write(Pick { row, mirrored: false }, out).unwrap();
        }
        for k in 0..3 {
            let mean = rows.iter().map(|r| f64::from(r[k])).sum::<f64>() / 4000.0;
            let square = rows.iter().map(|r| f64::from(r[k]).powi(2)).sum::<f64>() / 4000.0;
            assert!(mean.abs() < 0.1 && (square - 1.0).abs() < 0.12, "{k}: {mean} {square}");
        }
        let distinct: std::collections::HashSet<u32> = rows.iter().map(|r| r[0].to_bits()).collect();
        assert!(distinct.len() > 3990 && stream.is_endless());
        // As a source: the same distribution, drawn by the caller's generators.
        let drawn = Source::from(stream).sample(Key::new(0, 0, Stream::Noise), 2000, 3).unwrap();
        let mean = drawn.iter().map(|x| f64::from(*x)).sum::<f64>() / 6000.0;
        assert!(mean.abs() < 0.08, "{mean}");
        assert!(ToyStream::new(toy, Columns::unchanged(2), 0).is_err());
    }
}
