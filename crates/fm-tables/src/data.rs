//! Tables by name, as `--data` gives them, and sources by name.
//!
//! ```
//! use fm_tables::data::{Reading, read, toy_of};
//! let how = Reading { rows: 50, ..Reading::default() };
//! assert_eq!(read("moons", &how, &[])?.values.dim(), (50, 2));
//! assert!(toy_of("moons").is_some() && toy_of("rows.csv").is_none());
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::{Context, bail, ensure};
use fm_cli::given::Effect;
use fm_core::choice::Choice;
use fm_core::source::{Source, SourceKind};
use fm_data::points::{Toy, ToyStream};
use fm_data::table::CsvOptions;
use fm_data::{Columns, Table, TableSource};
use fm_run::sources;
use fm_terminal::eprintln;
use serde::{Deserialize, Serialize};

fm_cli::options! {
    /// How a table is read.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct TableConfig, flags TableArgs {
        "Data" {
            /// Condition the network on the classes in this column of FILE.csv, given by name or by
            /// number from 1 (of genes: cell_type).
            labels: String = String::new(), arg(value_name = "COLUMN");
            /// Leave out these columns of FILE.csv, given by name or by number from 1.
            ignore: Vec<String> = Vec::new(), arg(value_name = "COLUMN,...", value_delimiter = ',');
            /// Whether the first line of FILE.csv names the columns: auto, yes or no.
            header: String = "auto".into(), arg(value_name = "HOW", hide = true);
            /// Separator of the columns of FILE.csv: comma, semicolon, tab or space (default:
            /// recognised from the first lines).
            separator: String = String::new(), arg(value_name = "NAME", hide = true);
            /// Encoding of FILE.csv, for example latin1 (default: UTF-16 if the file starts with
            /// its byte order mark, otherwise UTF-8).
            encoding: String = String::new(), arg(value_name = "NAME", hide = true);
            /// Take the rows as times of a series, and its windows of this number of rows as
            /// sequences, for --model transformer; 0: the rows are no series.
            window: usize = 0, arg(value_name = "ROWS", hide = true);
            /// Rows between the starts of two windows.
            stride: usize = 1, arg(value_name = "ROWS", hide = true);
        }
    }
}

/// How a table is read or drawn.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The options of files.
    pub table: TableConfig,
    /// Points of a toy distribution; 0 takes 20,000, for the statistics of columns and pictures.
    pub rows: usize,
    /// The seed of a toy distribution.
    pub seed: u64,
}

impl Reading {
    /// The same without the options that name columns of the data, for other files.
    #[must_use]
    pub fn without_classes(&self) -> Self {
        let table = TableConfig { labels: String::new(), ignore: Vec::new(), ..self.table.clone() };
        Self { table, ..self.clone() }
    }
}

/// Points of a toy distribution, for the statistics of columns and for pictures.
const POINTS: usize = 20_000;

/// Prints what was assumed about data.
pub fn told(notes: &[String]) {
    notes.iter().for_each(|note| eprintln!("note: {note}"));
}

/// A toy distribution, an embedded table, or a file, in its own units; of a file with a header, the
/// columns of these names, or all. What was assumed about it is printed.
///
/// # Errors
/// As [`open`], and a series that is too short for its windows.
pub fn read(name: &str, how: &Reading, only: &[String]) -> anyhow::Result<Table> {
    let table = open(name, how, only)?;
    told(&table.notes);
    windows(table, &how.table, name)
}

/// The windows of a series, if the rows are one.
///
/// # Errors
/// A series that is too short.
pub fn windows(table: Table, how: &TableConfig, name: &str) -> anyhow::Result<Table> {
    let TableConfig { window, stride, .. } = *how;
    if window == 0 {
        return Ok(table);
    }
    table.windows(window, stride).with_context(|| format!("cannot take windows of {name}"))
}

/// As [`read`], with neither windows nor messages.
///
/// # Errors
/// An unknown name, a file that cannot be read, and options that do not suit it.
pub fn open(name: &str, how: &Reading, only: &[String]) -> anyhow::Result<Table> {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let options = CsvOptions {
        labels: given(&how.table.labels),
        ignore: how.table.ignore.clone(),
        only: only.to_vec(),
        header: how.table.header.parse()?,
        separator: given(&how.table.separator).map(|name| name.parse()).transpose()?,
        encoding: given(&how.table.encoding).map(|name| name.parse()).transpose()?,
    };
    let source: TableSource = name.parse()?;
    let rows = if how.rows == 0 { POINTS } else { how.rows };
    if matches!(source, TableSource::Csv(_)) {
        return Ok(source.open(&options, rows, how.seed)?);
    }
    ensure!(options.ignore.is_empty(), "--ignore names columns of a CSV file, and {name} is none; drop it");
    ensure!(
        options.labels.is_none() || source == TableSource::Genes,
        "--labels names a column of a CSV file, and {name} is none; drop it"
    );
    let mut table = source.open(&options, rows, how.seed)?;
    match how.table.labels.as_str() {
        "" => (table.labels, table.classes) = (Vec::new(), Vec::new()),
        "cell_type" => {}
        other => bail!("the rows of genes have a cell_type, and no '{other}'; give --labels cell_type or none"),
    }
    Ok(table)
}

/// The source with this name, for a table of these columns; a source data set is converted to the
/// units of the data. The name of a source that needs the deviation of the data gets it.
///
/// # Errors
/// An unknown name, a file that cannot be read, and one without the columns of the data.
pub fn open_source(
    name: &mut String,
    how: &Reading,
    columns: &Columns,
    deviation: impl FnOnce() -> f64,
) -> anyhow::Result<Source> {
    if let Some(toy) = source_toy(name).filter(|_| how.rows == 0) {
        let source = || format!("the source is {toy}");
        return Ok(ToyStream::new(toy, columns.clone(), how.seed).with_context(source)?.into());
    }
    let plain = how.without_classes();
    sources::open(name, columns.dim(), deviation, |name| {
        let source = || format!("the source is {name}");
        // The columns of the data, by name: the source may have others, such as classes.
        let table = read(name, &plain, &columns.names).with_context(source)?;
        Ok(columns.apply_table(&table).with_context(source)?.values)
    })
}

/// The toy distribution that a name describes.
pub fn toy_of(name: &str) -> Option<Toy> {
    match name.parse() {
        Ok(TableSource::Toy(toy)) => Some(toy),
        _ => None,
    }
}

/// The toy distribution of a source, unless it is one of the [kinds](SourceKind).
pub fn source_toy(name: &str) -> Option<Toy> {
    if SourceKind::parse(name).is_ok() { None } else { toy_of(name) }
}

/// The options of a table that only some tables use.
pub fn effects(data: &str, table: &TableConfig) -> [Effect; 4] {
    let text = matches!(data.parse(), Ok(TableSource::Csv(_)));
    [
        ("stride", table.window > 0, "--window"),
        ("separator", text, "a text file"),
        ("encoding", text, "a text file"),
        ("header", text, "a text file"),
    ]
}
