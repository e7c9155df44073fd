//! The training data: a named table, its held-out rows, and its values in the units of the network.

use crate::config::{Config, TableConfig};
use anyhow::{Context, bail, ensure};
use fm_core::data::Dataset;
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_data::Columns;
use fm_data::points::{ToyStream, toy};
use fm_data::table::CsvOptions;
use fm_data::{Table, TableSource};
use fm_run::sources;
use fm_terminal::eprintln;
use fm_train::epoch::EpochLength;
use rand::seq::SliceRandom;

/// The rows of a run.
#[derive(Debug)]
pub(crate) struct Material {
    /// Training rows, in the table's units.
    pub(crate) table: Table,
    /// Held-out rows.
    pub(crate) held: Table,
    pub(crate) columns: Columns,
    /// Training rows in the units of the network.
    pub(crate) seen: Table<f32>,
    /// Held-out rows in the units of the network.
    pub(crate) unseen: Table<f32>,
    /// Training points that are drawn anew at every step, in the units of the network; `table` is
    /// then a set of them, for statistics and pictures.
    pub(crate) stream: Option<ToyStream>,
}

/// Points of a toy distribution, for the statistics of columns and for pictures.
const POINTS: usize = 20_000;

impl Material {
    /// Reads the data of a configuration. The choice of held-out rows is a function of the seed.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let all = open(&config.data, config, &[])?;
        told(&all.notes);
        let (rows, share) = (all.values.nrows(), config.held_out());
        let held = (rows as f64 * share).round() as usize;
        ensure!(
            held < rows,
            "hold_out is {share}: of {rows} rows none would be left to train on; give a smaller --hold-out"
        );
        let mut order: Vec<usize> = (0..rows).collect();
        // Windows overlap, so those of the last part of a series are held out.
        let series = config.table.window > 0;
        if series {
            order.rotate_left(rows - held);
        } else if held > 0 {
            order.shuffle(&mut Key::new(config.seed, u64::MAX, Stream::Order).generator(0));
        }
        let (held, kept) = order.split_at(held);
        let table = windows(all.select(kept), config, &config.data)?;
        let held =
            if held.is_empty() { table.select(&[]) } else { windows(all.select(held), config, "the rows held out")? };
        let unsuited = || format!("cannot use {} with --preprocess {}", config.data, config.preprocess);
        let columns = Columns::clipped(&table, config.preprocess, config.clip_outliers).with_context(unsuited)?;
        let columns = Columns { non_negative: config.non_negative, ..columns };
        let seen = columns.apply_table(&table).with_context(unsuited)?;
        let unseen = columns.apply_table(&held).with_context(unsuited)?;
        let toy = config.toy().filter(|_| config.rows == 0);
        let stream = toy.map(|toy| ToyStream::new(toy, columns.clone(), config.seed)).transpose()?;
        Ok(Self { table, held, columns, seen, unseen, stream })
    }

    /// The rows to train on.
    pub(crate) fn training(&self) -> &dyn Dataset {
        self.stream.as_ref().map_or(&self.seen as &dyn Dataset, |stream| stream)
    }

    /// The length of an epoch; `None` if each step has new rows, from a teacher or a distribution.
    pub(crate) fn epoch(&self, config: &Config) -> Option<EpochLength> {
        let fixed = config.teacher.is_empty() && self.stream.is_none();
        let rows = if fixed { self.table.values.nrows() } else { 0 };
        EpochLength::new(rows as u64, config.batch_size as u64)
    }

    /// Real rows that were not trained on: held-out rows, or new rows of a distribution that can be
    /// sampled; otherwise all rows.
    pub(crate) fn fresh(&self, config: &Config, rows: usize) -> anyhow::Result<(Table, &'static str)> {
        if !self.held.values.is_empty() {
            return Ok((self.held.clone(), "rows held out"));
        }
        if config.toy().is_some() {
            let drawn = toy(&config.data, rows, config.seed.wrapping_add(1 << 32))?;
            return Ok((Table::of(drawn.mapv(f64::from)), "rows drawn anew"));
        }
        Ok((self.table.clone(), "the rows that were trained on"))
    }
}

/// Prints what was assumed about data.
pub(crate) fn told(notes: &[String]) {
    notes.iter().for_each(|note| eprintln!("note: {note}"));
}

/// A toy distribution, an embedded table, or a file, in its own units; of a file with a header, the
/// columns of these names, or all. What was assumed about it is printed.
pub(crate) fn read(name: &str, config: &Config, only: &[String]) -> anyhow::Result<Table> {
    let table = open(name, config, only)?;
    told(&table.notes);
    windows(table, config, name)
}

/// The windows of a series, if the rows are one.
fn windows(table: Table, config: &Config, name: &str) -> anyhow::Result<Table> {
    let TableConfig { window, stride, .. } = config.table;
    if window == 0 {
        return Ok(table);
    }
    table.windows(window, stride).with_context(|| format!("cannot take windows of {name}"))
}

fn open(name: &str, config: &Config, only: &[String]) -> anyhow::Result<Table> {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let options = CsvOptions {
        labels: given(&config.table.labels),
        ignore: config.table.ignore.clone(),
        only: only.to_vec(),
        header: config.table.header.parse()?,
        separator: given(&config.table.separator).map(|name| name.parse()).transpose()?,
        encoding: given(&config.table.encoding).map(|name| name.parse()).transpose()?,
    };
    let source: TableSource = name.parse()?;
    let rows = if config.rows == 0 { POINTS } else { config.rows };
    if matches!(source, TableSource::Csv(_)) {
        return Ok(source.open(&options, rows, config.seed)?);
    }
    ensure!(options.ignore.is_empty(), "--ignore names columns of a CSV file, and {name} is none; drop it");
    ensure!(
        options.labels.is_none() || source == TableSource::Genes,
        "--labels names a column of a CSV file, and {name} is none; drop it"
    );
    let mut table = source.open(&options, rows, config.seed)?;
    match config.table.labels.as_str() {
        "" => (table.labels, table.classes) = (Vec::new(), Vec::new()),
        "cell_type" => {}
        other => bail!("the rows of genes have a cell_type, and no '{other}'; give --labels cell_type or none"),
    }
    Ok(table)
}

/// The source that a configuration names; a source data set is converted to the units of the data.
pub(crate) fn open_source(
    config: &mut Config,
    columns: &Columns,
    deviation: impl FnOnce() -> f64,
) -> anyhow::Result<Source> {
    if let Some(toy) = config.source_toy().filter(|_| config.rows == 0) {
        let source = || format!("the source is {toy}");
        return Ok(ToyStream::new(toy, columns.clone(), config.seed).with_context(source)?.into());
    }
    let read_as = TableConfig { labels: String::new(), ignore: Vec::new(), ..config.table.clone() };
    let plain = Config { table: read_as, ..config.clone() };
    sources::open(&mut config.flow.source, columns.dim(), deviation, |name| {
        let source = || format!("the source is {name}");
        // The columns of the data, by name: the source may have others, such as classes.
        let table = read(name, &plain, &columns.names).with_context(source)?;
        Ok(columns.apply_table(&table).with_context(source)?.values)
    })
}
