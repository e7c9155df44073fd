//! Tables: rows of numbers with named columns, and optionally a class per row.
//!
//! | name | rows x columns | contents |
//! |---|---|---|
//! | `gaussian4` | 1000 x 4 | a correlated normal distribution whose [moments](GAUSSIAN4) are known |
//! | `genes` | 700 x 765 | counts of genes in blood cells of ten types: `pbmc68k_reduced` of scanpy (BSD-3), from Zheng et al. (2017) |
//! | `FILE.csv` | | numbers separated by commas, with a header or without, quoted or not; one column may hold classes |
//!
//! Files are read row by row; memory is four bytes per number.
//!
//! ```
//! use fm_data::table::{CsvOptions, csv};
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("t.csv");
//! std::fs::write(&path, "id,height,kind\na,1.5,\"oak, red\"\nb,2,ash\nc,1,ash\n").unwrap();
//! let options = CsvOptions { labels: Some("kind".into()), ignore: vec!["id".into()] };
//! let table = csv(&path, &options)?;
//! assert_eq!((table.names, table.values), (vec!["height".to_owned()], ndarray::array![[1.5f32], [2.0], [1.0]]));
//! assert_eq!((table.classes, table.labels), (vec!["ash".to_owned(), "oak, red".to_owned()], vec![1, 0, 0]));
//! # Ok::<(), fm_data::DataError>(())
//! ```

use crate::DataError;
use csv::{ByteRecord, Reader, ReaderBuilder, Trim};
use flate2::read::GzDecoder;
use fm_core::data::{Dataset, Pick};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Rows of numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The column names: those of the header, or column numbers starting at 1.
    pub names: Vec<String>,
    /// (rows, columns).
    pub values: Array2<f32>,
    /// The class of each row; empty if there are no classes.
    pub labels: Vec<u16>,
    /// The class names, in alphabetical order.
    pub classes: Vec<String>,
}

/// Which columns of a CSV file to read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CsvOptions {
    /// The column that holds the classes, by its name or its number starting at 1.
    pub labels: Option<String>,
    /// Columns to ignore, by name or number.
    pub ignore: Vec<String>,
}

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

const GAUSSIAN4_ROWS: &[u8] = include_bytes!("../assets/gaussian4.csv");
const GENES: &[u8] = include_bytes!("../assets/pbmc68k.csv.gz");

impl Table {
    /// A table of numbers only, whose columns are named by their numbers starting at 1. If there
    /// are no rows, only the first million columns have names.
    pub fn of(values: Array2<f32>) -> Self {
        let named = if values.is_empty() { values.ncols().min(1_000_000) } else { values.ncols() };
        Self { names: (1..=named).map(|k| k.to_string()).collect(), values, ..Self::default() }
    }

    /// A table of the given rows.
    ///
    /// # Panics
    /// If one of `rows` is not below the number of rows.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            values: self.values.select(ndarray::Axis(0), rows),
            labels: rows.iter().filter_map(|row| self.labels.get(*row)).copied().collect(),
            ..self.clone_names()
        }
    }

    fn clone_names(&self) -> Self {
        Self { names: self.names.clone(), classes: self.classes.clone(), ..Self::default() }
    }
}

impl Dataset for Table {
    fn len(&self) -> usize {
        self.values.nrows()
    }

    fn dim(&self) -> usize {
        self.values.ncols()
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), fm_core::data::DataError> {
        self.values.write(pick, out)
    }

    fn class(&self, row: usize) -> Option<i64> {
        self.labels.get(row).map(|class| i64::from(*class))
    }
}

/// The rows of `gaussian4`.
///
/// # Errors
/// None, unless the embedded file is broken.
pub fn gaussian4() -> Result<Table, DataError> {
    read(GAUSSIAN4_ROWS, Path::new("gaussian4"), &CsvOptions::default())
}

/// The counts of `genes`, with one class per cell type.
///
/// # Errors
/// None, unless the embedded file is broken.
pub fn genes() -> Result<Table, DataError> {
    let options = CsvOptions { labels: Some("cell_type".into()), ignore: Vec::new() };
    read(GzDecoder::new(GENES), Path::new("genes"), &options)
}

/// Reads a CSV file. The first row is a header if none of its fields is a number.
///
/// # Errors
/// A missing file, unknown columns, no rows, rows of different lengths, and any value that is not a
/// finite number, with line and column.
pub fn csv(path: &Path, options: &CsvOptions) -> Result<Table, DataError> {
    let file = File::open(path).map_err(|source| DataError::Io { path: path.into(), source })?;
    read(file, path, options)
}

fn read(from: impl Read, path: &Path, options: &CsvOptions) -> Result<Table, DataError> {
    let malformed = |problem: String| DataError::Malformed {
        path: path.into(),
        problem,
        remedy: "give rows of equal length with finite numbers separated by commas".into(),
    };
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(from);
    let mut record = ByteRecord::new();
    if !next(&mut reader, &mut record, path)? {
        return Err(malformed("it is empty".into()));
    }
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let header = record.iter().all(|field| number(field).is_none());
    let width = record.len();
    let names: Vec<String> =
        if header { record.iter().map(text).collect() } else { (1..=width).map(|k| k.to_string()).collect() };
    let find = |name: &String| {
        let number = name.parse::<usize>().ok().filter(|k| (1..=width).contains(k)).map(|k| k - 1);
        names.iter().position(|n| n == name).or(number).ok_or_else(|| DataError::Malformed {
            path: path.into(),
            problem: format!("it has no column '{name}'"),
            remedy: format!("name one of {}, or a number from 1 to {width}", some(&names)),
        })
    };
    let class_column = options.labels.as_ref().map(find).transpose()?;
    let ignored = options.ignore.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let wanted: Vec<usize> = (0..width).filter(|k| Some(*k) != class_column && !ignored.contains(k)).collect();
    if wanted.is_empty() {
        return Err(malformed("no column of numbers is left".into()));
    }
    let (mut values, mut words) = (Vec::new(), Vec::new());
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut more = !header || next(&mut reader, &mut record, path)?;
    while more {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != width {
            return Err(malformed(format!("line {line} has {} columns, not {width}", record.len())));
        }
        for column in &wanted {
            let field = &record[*column];
            let value = number(field).ok_or_else(|| {
                let what = if field.is_empty() { "nothing".into() } else { format!("'{}'", text(field)) };
                malformed(format!(
                    "line {line}, column {} ({}): {what} is not a finite number",
                    column + 1,
                    names[*column]
                ))
            })?;
            values.push(value);
        }
        if let Some(column) = class_column {
            let next = known.len();
            words.push(*known.entry(text(&record[column])).or_insert(next));
        }
        more = next(&mut reader, &mut record, path)?;
    }
    if values.is_empty() {
        return Err(malformed("it has a header, but no rows".into()));
    }
    if known.len() > usize::from(u16::MAX) {
        return Err(malformed(format!("its column of classes names {} of them", known.len())));
    }
    // In alphabetical order, independent of the order of the rows.
    let mut place = vec![0u16; known.len()];
    known.values().zip(0..).for_each(|(first, sorted)| place[*first] = sorted);
    let labels = words.into_iter().map(|word| place[word]).collect();
    let values = Array2::from_shape_vec((values.len() / wanted.len(), wanted.len()), values)
        .map_err(|e| malformed(e.to_string()))?;
    let names = wanted.iter().map(|column| names[*column].clone()).collect();
    Ok(Table { names, values, labels, classes: known.into_keys().collect() })
}

fn next<R: Read>(reader: &mut Reader<R>, record: &mut ByteRecord, path: &Path) -> Result<bool, DataError> {
    reader.read_byte_record(record).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(source) => DataError::Io { path: path.into(), source },
        other => DataError::Malformed {
            path: path.into(),
            problem: format!("{other:?}"),
            remedy: "give rows of numbers separated by commas".into(),
        },
    })
}

fn number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok().filter(|value: &f32| value.is_finite())
}

/// The first few of a list of names.
fn some(names: &[String]) -> String {
    match names {
        [first @ .., _, _] if first.len() > 6 => format!("{}, ...", first[..6].join(", ")),
        all => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &[u8], options: &CsvOptions) -> Result<Table, DataError> {
        read(text, Path::new("t.csv"), options)
    }

    #[test]
    fn numbers_are_read_with_a_header_or_without() {
        let plain = CsvOptions::default();
        let with = read_text(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3, 4.5\r\n", &plain).unwrap();
        assert_eq!((with.names, with.values), (vec!["a".into(), "b".into()], ndarray::array![[1.0, 2.0], [3.0, 4.5]]));
        let without = read_text(b"1,2\n3,-4e-1", &plain).unwrap();
        assert_eq!(
            (without.names, without.values),
            (vec!["1".into(), "2".into()], ndarray::array![[1.0, 2.0], [3.0, -0.4]])
        );
        let one = read_text(b"7", &CsvOptions::default()).unwrap();
        assert_eq!(one.values, ndarray::array![[7.0]]);
        let numbered = CsvOptions { labels: Some("2".into()), ignore: vec![] };
        let classed = read_text(b"1,x\n2,y\n3,x\n", &numbered).unwrap();
        assert_eq!((classed.labels, classed.classes), (vec![0, 1, 0], vec!["x".into(), "y".into()]));
    }

    #[test]
    fn trouble_is_told_with_its_place() {
        let named = |name: &str| CsvOptions { labels: Some(name.into()), ignore: vec![] };
        for (text, options, place) in [
            ("1,2\n3\n", CsvOptions::default(), "line 2 has 1 columns, not 2"),
            ("1,2\n3,4,5\n", CsvOptions::default(), "line 2 has 3 columns, not 2"),
            ("a,b\n1,2\n3,x\n", CsvOptions::default(), "line 3, column 2 (b): 'x' is not"),
            ("a,b\n1,\n", CsvOptions::default(), "line 2, column 2 (b): nothing is not"),
            ("1\nNaN\n", CsvOptions::default(), "line 2, column 1 (1): 'NaN'"),
            ("1\ninf\n", CsvOptions::default(), "line 2, column 1"),
            ("a,b\n", CsvOptions::default(), "a header, but no rows"),
            ("", CsvOptions::default(), "it is empty"),
            ("a,b\n1,2\n", named("c"), "no column 'c'; name one of a, b, or a number from 1 to 2"),
            ("a\nx\n", named("a"), "no column of numbers is left"),
        ] {
            let message = read_text(text.as_bytes(), &options).unwrap_err().to_string();
            assert!(message.contains(place) && message.contains("t.csv"), "{message}");
        }
    }

    #[test]
    fn embedded_tables_are_whole() {
        let (mean, covariance) = GAUSSIAN4;
        let rows = gaussian4().unwrap();
        assert_eq!(rows.values.dim(), (1000, 4));
        for k in 0..4 {
            let found = rows.values.column(k).iter().map(|v| f64::from(*v)).sum::<f64>() / 1000.0;
            assert!((found - mean[k]).abs() < 4.0 * (covariance[k][k] / 1000.0).sqrt());
        }
        let genes = genes().unwrap();
        assert_eq!((genes.values.dim(), genes.labels.len(), genes.classes.len()), ((700, 765), 700, 10));
        assert!(genes.values.iter().all(|v| *v >= 0.0 && v.fract() == 0.0));
        assert_eq!(
            (genes.classes[0].as_str(), genes.labels.iter().filter(|l| **l == 0).count()),
            ("CD14+ Monocyte", 129)
        );
    }
}
