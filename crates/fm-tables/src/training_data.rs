//! The training data: a named table, its held-out rows, and its values in the units of the network.
//!
//! ```
//! use fm_tables::data::Reading;
//! use fm_tables::training_data::{Material, DataOptions};
//! let how = Reading { rows: 100, ..Reading::default() };
//! let options = DataOptions { data: "moons".into(), hold_out: 0.2, how, ..DataOptions::default() };
//! let material = Material::open(&options)?;
//! assert_eq!((material.seen.values.nrows(), material.unseen.values.nrows()), (80, 20));
//! assert_eq!(material.fresh(&options, 7)?.1, "rows held out");
//! # Ok::<(), anyhow::Error>(())
//! ```

use crate::data::{Reading, open, told, toy_of, windows};
use anyhow::{Context, ensure};
use fm_core::data::Dataset;
use fm_core::rng::{Key, Stream};
use fm_data::points::{ToyStream, toy};
use fm_data::{Columns, Preprocess, Table};
use fm_train::epoch::EpochLength;
use rand::seq::SliceRandom;

/// The data options of a run.
#[derive(Debug, Clone, Default)]
pub struct DataOptions {
    /// The table, by name.
    pub data: String,
    /// How it is read.
    pub how: Reading,
    /// Share of the rows to hold out.
    pub hold_out: f64,
    /// Transformation of the columns.
    pub preprocess: Preprocess,
    /// Share of each end of a column that is clipped.
    pub clip_outliers: f64,
    /// Whether samples are at least 0.
    pub non_negative: bool,
}

/// The rows of a run.
#[derive(Debug)]
pub struct Material {
    /// Training rows, in the table's units.
    pub table: Table,
    /// Held-out rows.
    pub held: Table,
    /// The treatment of the columns, and the classes.
    pub columns: Columns,
    /// Training rows in the units of the network.
    pub seen: Table<f32>,
    /// Held-out rows in the units of the network.
    pub unseen: Table<f32>,
    /// Training points that are drawn anew at every step, in the units of the network; `table` is
    /// then a set of them, for statistics and pictures.
    pub stream: Option<ToyStream>,
}

impl Material {
    /// Reads the data. The choice of held-out rows is a function of the seed.
    ///
    /// # Errors
    /// A table that cannot be read, one that does not suit the transformation, and a share that
    /// leaves no row to train on.
    pub fn open(options: &DataOptions) -> anyhow::Result<Self> {
        let DataOptions { data, how, preprocess, .. } = options;
        let all = open(data, how, &[])?;
        told(&all.notes);
        let (rows, share) = (all.values.nrows(), options.hold_out);
        let held = (rows as f64 * share).round() as usize;
        ensure!(
            held < rows,
            "hold_out is {share}: of {rows} rows none would be left to train on; give a smaller --hold-out"
        );
        let mut order: Vec<usize> = (0..rows).collect();
        // Windows overlap, so those of the last part of a series are held out.
        let series = how.table.window > 0;
        if series {
            order.rotate_left(rows - held);
        } else if held > 0 {
            order.shuffle(&mut Key::new(how.seed, u64::MAX, Stream::Order).generator(0));
        }
        let (held, kept) = order.split_at(held);
        let table = windows(all.select(kept), &how.table, data)?;
        let held = if held.is_empty() {
            table.select(&[])
        } else {
            windows(all.select(held), &how.table, "the rows held out")?
        };
        let unsuited = || format!("cannot use {data} with --preprocess {preprocess}");
        let columns = Columns::clipped(&table, *preprocess, options.clip_outliers).with_context(unsuited)?;
        let columns = Columns { non_negative: options.non_negative, ..columns };
        let seen = columns.apply_table(&table).with_context(unsuited)?;
        let unseen = columns.apply_table(&held).with_context(unsuited)?;
        let toy = toy_of(data).filter(|_| how.rows == 0);
        let stream = toy.map(|toy| ToyStream::new(toy, columns.clone(), how.seed)).transpose()?;
        Ok(Self { table, held, columns, seen, unseen, stream })
    }

    /// The rows to train on.
    pub fn training(&self) -> &dyn Dataset {
        self.stream.as_ref().map_or(&self.seen as &dyn Dataset, |stream| stream)
    }

    /// The length of an epoch; `None` if each step has new rows, from a teacher or a distribution.
    pub fn epoch(&self, batch_size: usize, taught: bool) -> Option<EpochLength> {
        let fixed = !taught && self.stream.is_none();
        let rows = if fixed { self.table.values.nrows() } else { 0 };
        EpochLength::new(rows as u64, batch_size as u64)
    }

    /// Real rows that were not trained on: held-out rows, or new rows of a distribution that can be
    /// sampled; otherwise all rows.
    ///
    /// # Errors
    /// A distribution that cannot be drawn from.
    pub fn fresh(&self, options: &DataOptions, rows: usize) -> anyhow::Result<(Table, &'static str)> {
        if !self.held.values.is_empty() {
            return Ok((self.held.clone(), "rows held out"));
        }
        if toy_of(&options.data).is_some() {
            let drawn = toy(&options.data, rows, options.how.seed.wrapping_add(1 << 32))?;
            return Ok((Table::of(drawn.mapv(f64::from)), "rows drawn anew"));
        }
        Ok((self.table.clone(), "the rows that were trained on"))
    }
}
