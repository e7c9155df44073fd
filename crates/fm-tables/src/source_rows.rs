//! The rows of a source that is a table, carried by the file of weights of a finished run.
//!
//! ```
//! use fm_core::source::Source;
//! use fm_tables::source_rows::{rows_of, source_rows};
//! let source = Source::Rows(ndarray::array![[1.0f32, 2.0], [3.0, 4.0]]);
//! let tensors = source_rows(&source);
//! assert_eq!(tensors[0].0, "source.rows");
//! assert_eq!(Source::Rows(rows_of(&tensors[0].1, 2)?), source);
//! assert!(rows_of(&tensors[0].1, 3).is_err());
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::ensure;
use fm_core::source::Source;
use fm_core::tensor::upload;
use fm_run::host::to_host;
use ndarray::Array2;
use tch::{Device, Tensor};

/// The rows of a source that is a table, among the weights of a finished run.
pub const SOURCE_ROWS: &str = "source.rows";

/// The most bytes of source rows that the weights of a finished run have with them.
const CARRIED: usize = 16 << 20;

/// The rows of a source that is a table, unless they are many.
pub fn source_rows(source: &Source) -> Vec<(String, Tensor)> {
    match source {
        Source::Rows(rows) if rows.len() * size_of::<f32>() <= CARRIED => {
            let shape = [rows.nrows() as i64, rows.ncols() as i64];
            let values: Vec<f32> = rows.iter().copied().collect();
            vec![(SOURCE_ROWS.into(), upload(&values, &shape, Device::Cpu))]
        }
        _ => Vec::new(),
    }
}

/// The rows that a file carries, of a table of `dim` columns.
///
/// # Errors
/// A tensor of another shape.
pub fn rows_of(rows: &Tensor, dim: usize) -> anyhow::Result<Array2<f32>> {
    let values = to_host(rows)?;
    ensure!(
        rows.dim() == 2 && rows.size()[0] > 0 && rows.size()[1] == dim as i64,
        "the source of the file has rows of shape {:?}, the data {dim} columns; write it again from its run",
        rows.size()
    );
    Ok(Array2::from_shape_vec((values.len() / dim.max(1), dim), values)?)
}
