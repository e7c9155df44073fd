//! Tables: rows of numbers with named columns, and optionally a class per row.
//!
//! | name | rows x columns | contents |
//! |---|---|---|
//! | `gaussian4` | 1000 x 4 | a correlated normal distribution whose [moments](GAUSSIAN4) are known |
//! | `genes` | 700 x 765 | counts of genes in blood cells of ten types: `pbmc68k_reduced` of scanpy (BSD-3), from Zheng et al. (2017) |
//! | `ecg` | 18000 x 1 | an electrocardiogram in millivolts, five minutes at 60 Hz: record 208 of the MIT-BIH Arrhythmia Database (ODC-By 1.0), Moody and Mark (2001) |
//! | `FILE.csv`, `.tsv`, `.txt` | | numbers separated by commas, semicolons, tabs or spaces, with a header or without, quoted or not; one column may hold classes |
//!
//! Files are UTF-8, UTF-16 with its byte order mark, or of a given [`Encoding`]; gzip is recognised
//! by content. They are read row by row, twice: memory for the values, eight bytes per number, is
//! allocated after the rows and columns are counted. [`CsvOptions`] lists what can be given.
//!
//! A [`Table`] as it is read holds f64, because columns such as time stamps lose their differences
//! in f32. [`Columns`](crate::Columns) centres and scales it; the result, `Table<f32>`, is a data set
//! for training.
//!
//! ```
//! use fm_data::table::{CsvOptions, csv};
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("t.csv");
//! std::fs::write(&path, "id,height,kind\na,1.5,\"oak, red\"\nb,2,ash\nc,1,ash\n").unwrap();
//! let options = CsvOptions { labels: Some("kind".into()), ignore: vec!["id".into()], ..CsvOptions::default() };
//! let table = csv(&path, &options)?;
//! assert_eq!((table.names, table.values), (vec!["height".to_owned()], ndarray::array![[1.5], [2.0], [1.0]]));
//! assert_eq!((table.classes, table.labels), (vec!["ash".to_owned(), "oak, red".to_owned()], vec![1, 0, 0]));
//! # Ok::<(), fm_data::DataError>(())
//! ```

mod header;
mod number;
mod options;
mod order;
mod read;
mod rows;
mod separator;
mod text;

pub use options::{CsvOptions, Encoding, Header, Separator};
pub use rows::Table;

use crate::DataError;
use read::{Origin, read};
use std::path::Path;

/// The mean and the covariance matrix of `gaussian4`.
pub const GAUSSIAN4: ([f64; 4], [[f64; 4]; 4]) = (
    [0.958_165_765, 0.641_548_395, 0.515_399_575, 0.202_550_411],
    [
        [0.197_069_004, 0.149_227_425, 0.049_962_818_6, 0.319_485_188],
        [0.149_227_425, 0.290_840_089, 0.094_833_329_3, 0.597_998_44],
        [0.049_962_818_6, 0.094_833_329_3, 1.012_493_97, 0.228_774_071],
        [0.319_485_188, 0.597_998_44, 0.228_774_071, 2.041_099_31],
    ],
);

const GAUSSIAN4_ROWS: &[u8] = include_bytes!("../../assets/gaussian4.csv");
const ECG: &[u8] = include_bytes!("../../assets/ecg.csv.gz");
const GENES: &[u8] = include_bytes!("../../assets/pbmc68k.csv.gz");

/// The rows of `gaussian4`.
///
/// # Errors
/// None, unless the embedded file is broken.
pub fn gaussian4() -> Result<Table, DataError> {
    read(&Origin::Bytes("gaussian4", GAUSSIAN4_ROWS), &CsvOptions::default())
}

/// The counts of `genes`, with one class per cell type.
///
/// # Errors
/// None, unless the embedded file is broken.
pub fn genes() -> Result<Table, DataError> {
    let options = CsvOptions { labels: Some("cell_type".into()), ..CsvOptions::default() };
    read(&Origin::Bytes("genes", GENES), &options)
}

/// The electrocardiogram: a series, one row per 1/60 s.
///
/// # Errors
/// None, unless the embedded file is broken.
pub fn ecg() -> Result<Table, DataError> {
    read(&Origin::Bytes("ecg", ECG), &CsvOptions::default())
}

/// Reads a table from a text file. [`Table::notes`] has the assumptions.
///
/// # Errors
/// A file that is missing, not a plain file or not text of its encoding; unknown columns, no rows,
/// rows of different lengths, a quote without end, and any value that is not a finite number, with
/// line and column; more numbers than fit into memory.
pub fn csv(path: &Path, options: &CsvOptions) -> Result<Table, DataError> {
    read(&Origin::File(path), options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_tables_are_whole() {
        let (mean, covariance) = GAUSSIAN4;
        let rows = gaussian4().unwrap();
        assert_eq!(rows.values.dim(), (1000, 4));
        for k in 0..4 {
            let found = rows.values.column(k).sum() / 1000.0;
            assert!((found - mean[k]).abs() < 4.0 * (covariance[k][k] / 1000.0).sqrt());
        }
        let ecg = ecg().unwrap();
        assert_eq!((ecg.values.dim(), ecg.names.as_slice()), ((18_000, 1), &["mv".to_owned()][..]));
        // Numbers that `pack_ecg.py` prints.
        let mean = ecg.values.sum() / 18_000.0;
        assert!((mean + 0.163_211_111).abs() < 1e-6 && (ecg.values.std(0.0) - 0.589_665_764).abs() < 1e-6, "{mean}");
        let genes = genes().unwrap();
        assert_eq!((genes.values.dim(), genes.labels.len(), genes.classes.len()), ((700, 765), 700, 10));
        assert!(genes.values.iter().all(|v| *v >= 0.0 && v.fract() == 0.0));
        assert_eq!(
            (genes.classes[0].as_str(), genes.labels.iter().filter(|l| **l == 0).count()),
            ("CD14+ Monocyte", 129)
        );
    }
}
