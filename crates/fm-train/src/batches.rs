//! Batches of a data set: shuffled rows, random mirroring, label dropout, and coupled source rows.
//!
//! A batch is a function of (seed, step, row), independent of the thread that makes it: resuming or
//! changing the number of workers gives the same batches. The [`FlowMatching`] gives source,
//! coupling and seed.
//!
//! - Order: [`Order`] visits each row once per epoch; rows of an [endless](Dataset::is_endless) data
//!   set are taken in order.
//! - Coupling: with `flow.coupled_steps = k`, one OT plan covers the rows of k consecutive steps.
//! - Semidiscrete coupling: source rows can be paired with data rows from the [whole data
//!   set](FlowBatches::chosen_by). An epoch then has as many rows as the data set, but does not
//!   visit each of them once.
//! - Augmentation: rows can be [augmented](FlowBatches::augmented).
//!
//! ```
//! use fm_core::FlowMatching;
//! use fm_train::batches::{BatchOptions, FlowBatches};
//! let (table, flow) = (ndarray::array![[0.0f32], [1.0], [2.0], [3.0]], FlowMatching::default());
//! let batches = FlowBatches::new(&flow, &table, BatchOptions { rows: 2, ..BatchOptions::default() })?;
//! let epoch: Vec<_> = batches.take(2).collect::<Result<_, _>>()?;
//! let mut rows = [&epoch[0].x1[..], &epoch[1].x1].concat();
//! rows.sort_by(f32::total_cmp);
//! assert_eq!((rows, epoch[1].step), (vec![0.0, 1.0, 2.0, 3.0], 1));
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use crate::batch::{Batch, BatchSource};
use crate::collective::Shard;
use crate::coupler::Coupler;
use fm_core::FlowMatching;
use fm_core::coupling::ChooseRows;
use fm_core::data::{Augment, DataError, Dataset, Order, Pick};
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use ndarray::ArrayView2;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Options for batches of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchOptions {
    /// Rows per batch.
    pub rows: usize,
    /// Mirror rows at random, each with probability 1/2.
    #[doc(alias = "RandomHorizontalFlip")]
    pub mirror: bool,
    /// Condition the model on the classes or condition vectors of the rows.
    pub conditional: bool,
    /// The null class, and the probability that it replaces a row's class, for classifier-free
    /// guidance. Condition vectors become zeros with this probability; the class is then unused.
    #[doc(alias = "label_drop")]
    #[doc(alias = "class_dropout_prob")]
    pub dropped: Option<(i64, f64)>,
    /// Give row numbers instead of values, for data in device memory ([`crate::device_dataset`]).
    pub resident: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { rows: 64, mirror: false, conditional: false, dropped: None, resident: false }
    }
}

/// Batches of a data set, by step or as an iterator from step 0.
#[doc(alias = "DataLoader")]
pub struct FlowBatches<'a> {
    data: &'a dyn Dataset,
    /// `None` for an endless data set.
    order: Option<Order>,
    coupler: Coupler<'a>,
    options: BatchOptions,
    augment: Option<&'a dyn Augment>,
    /// Whether source rows choose their data rows on the device.
    choosing: bool,
    next: u64,
}

impl std::fmt::Debug for FlowBatches<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlowBatches")
            .field("options", &self.options)
            .field("flow", self.coupler.flow)
            .finish_non_exhaustive()
    }
}

impl<'a> FlowBatches<'a> {
    /// Batches of `data` for a flow.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for data or options from which no batch, or a wrong one, would
    /// result; an invalid flow.
    pub fn new(flow: &'a FlowMatching, data: &'a dyn Dataset, options: BatchOptions) -> Result<Self, TrainError> {
        flow.validate()?;
        check(data, &options)?;
        let order = (!data.is_endless()).then(|| Order::new(flow.seed, data.len()));
        Ok(Self { data, order, coupler: Coupler::new(flow), options, augment: None, choosing: false, next: 0 })
    }

    /// Changes the rows of each batch at random, after mirroring.
    ///
    /// # Errors
    /// [`TrainError::Setting`] with `resident` rows, whose values stay on the device.
    pub fn augmented(self, augment: &'a dyn Augment) -> Result<Self, TrainError> {
        if self.options.resident {
            let remedy = "augmented rows are made on the host: give values instead of row numbers";
            return Err(TrainError::setting("resident", true, remedy));
        }
        Ok(Self { augment: Some(augment), ..self })
    }

    /// Pairs each source row with a data row that `chooser` chooses. A mirrored data set has each
    /// row twice: row `len + i` is row i, mirrored. With classes, the order of the rows gives the
    /// class of each source row. Rows are chosen before they are augmented.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for an endless data set, a chooser for other rows, a chooser without
    /// the model's classes or for a model without classes, condition vectors, and a flow that has a
    /// coupling.
    pub fn chosen_by(mut self, chooser: &'a dyn ChooseRows) -> Result<Self, TrainError> {
        self.check_choice()?;
        let (o, data) = (&self.options, self.data);
        if o.conditional != chooser.needs_classes() {
            let found = if o.conditional { "no classes" } else { "classes" };
            return Err(refuse(found, "give a chooser with classes if and only if the batches are conditional"));
        }
        let (rows, dim) = (data.len() * if o.mirror { 2 } else { 1 }, data.dim());
        if (chooser.rows(), chooser.dim()) != (rows, dim) {
            let found = format!("{} rows of {} values", chooser.rows(), chooser.dim());
            let remedy = format!("fit it to the {rows} rows of {dim} values, with mirrored rows if any");
            return Err(refuse(&found, &remedy));
        }
        self.coupler.chooser = Some(chooser);
        Ok(self)
    }

    /// Lets source rows choose their data rows on the device, from the
    /// [images](crate::device_dataset::DeviceDataset::choosing) that it holds. The log then has no
    /// coupling gain, which would have to be read from the device.
    ///
    /// # Errors
    /// As [`chosen_by`](Self::chosen_by), and [`TrainError::Setting`] for rows that are not
    /// `resident`.
    pub fn chosen_on_device(self) -> Result<Self, TrainError> {
        self.check_choice()?;
        if !self.options.resident {
            return Err(refuse("on the device", "keep the data there too: set resident"));
        }
        Ok(Self { choosing: true, ..self })
    }

    /// Fails for batches whose data rows cannot be chosen by their source rows.
    fn check_choice(&self) -> Result<(), TrainError> {
        if self.data.is_endless() {
            return Err(refuse("an endless data set", "give data of a fixed number of rows"));
        }
        if self.options.conditional && self.data.condition_dim() > 0 {
            let remedy = "the noise given a condition would not follow the source; drop the coupling or the conditions";
            return Err(refuse("condition vectors", remedy));
        }
        if self.coupler.flow.coupling.is_some() || self.choosing || self.coupler.chooser.is_some() {
            return Err(refuse("beside another coupling", "give only one of the two"));
        }
        Ok(())
    }

    /// Restricts each batch to the rows of one process. Every process couples the whole batch, with
    /// the same result.
    pub fn shared(self, shard: Shard) -> Self {
        Self { coupler: self.coupler.shared(shard), ..self }
    }

    /// The data of a step without sources: the rows of one process.
    fn rows(&self, step: u64, shard: Shard) -> Result<Batch, DataError> {
        let (o, dim) = (&self.options, self.data.dim());
        let mirrored = |i: usize| o.mirror && self.draw(step, Stream::Augment, i).random();
        let (wanted, order) = (shard.rows(o.rows), self.order.as_ref().map(|order| order.batch(step, o.rows)));
        let first = (step as usize).wrapping_mul(o.rows);
        let row = |i: usize| order.as_ref().map_or(first.wrapping_add(i), |order| order[i]);
        let mut picks: Vec<Pick> = wanted.clone().map(|i| Pick { row: row(i), mirrored: mirrored(i) }).collect();
        let mut batch = Batch { step, first: wanted.start, whole: o.rows, ..Batch::default() };
        if let Some(chooser) = self.coupler.chooser {
            batch.x0 = self.coupler.sources(step, wanted.start, picks.len(), dim)?;
            picks = self.chosen(chooser, &batch.x0, &picks)?;
        }
        batch.shape = self.data.shape().iter().map(|n| *n as i64).collect();
        if o.conditional && self.data.condition_dim() > 0 {
            batch.conditions = self.conditions(step, wanted.clone(), &picks)?;
        } else if o.conditional {
            batch.classes = self.classes(step, wanted.clone(), &picks)?;
        }
        if self.choosing {
            // The chosen row will be of the class of the row that is next in order.
            let class = |pick: &Pick| if o.conditional { class(self.data, pick.row).unwrap_or(0) } else { 0 };
            batch.choosing = picks.iter().map(class).collect();
            return Ok(batch);
        }
        if !o.resident || self.coupler.looks_at_rows() {
            batch.x1.resize(picks.len() * dim, 0.0);
            let rows = batch.x1.chunks_exact_mut(dim.max(1));
            for ((i, pick), out) in wanted.zip(&picks).zip(rows) {
                self.data.write(*pick, out)?;
                if let Some(augment) = self.augment {
                    augment.apply(out, &mut self.draw(step, Stream::Transform, i));
                }
            }
        }
        batch.device_rows = if o.resident { picks } else { Vec::new() };
        Ok(batch)
    }

    /// The data rows that source rows choose, within the classes of the rows that are next in
    /// order.
    fn chosen(&self, chooser: &dyn ChooseRows, x0: &[f32], picks: &[Pick]) -> Result<Vec<Pick>, DataError> {
        let class = |pick: &Pick| class(self.data, pick.row).ok_or_else(|| without_class(pick.row));
        let classes = chooser.needs_classes().then(|| picks.iter().map(class).collect::<Result<Vec<_>, _>>());
        let x0 = ArrayView2::from_shape((picks.len(), self.data.dim()), x0)?;
        let rows = chooser.choose(x0, classes.transpose()?.as_deref())?;
        let len = self.data.len();
        if rows.len() != picks.len() || rows.iter().any(|row| *row >= chooser.rows()) {
            return Err("the coupling chose rows that the data do not have; correct it".into());
        }
        Ok(rows.into_iter().map(|row| Pick { row: row % len, mirrored: row >= len }).collect())
    }

    fn draw(&self, step: u64, stream: Stream, i: usize) -> impl Rng + use<> {
        Key::new(self.coupler.flow.seed, step, stream).generator(i)
    }

    fn is_dropped(&self, step: u64, i: usize) -> bool {
        let dropped = |(_, share)| self.draw(step, Stream::LabelDrop, i).random_bool(share);
        self.options.dropped.is_some_and(dropped)
    }

    fn classes(&self, step: u64, rows: Range<usize>, picks: &[Pick]) -> Result<Vec<i64>, DataError> {
        let null = self.options.dropped.map_or(0, |(null, _)| null);
        let class = |pick: &Pick| class(self.data, pick.row).ok_or_else(|| without_class(pick.row).into());
        rows.zip(picks).map(|(i, pick)| if self.is_dropped(step, i) { Ok(null) } else { class(pick) }).collect()
    }

    /// The condition vectors of the rows; zero for dropped rows.
    fn conditions(&self, step: u64, rows: Range<usize>, picks: &[Pick]) -> Result<Vec<f32>, DataError> {
        let dim = self.data.condition_dim();
        let mut vectors = vec![0.0; picks.len() * dim];
        for ((i, pick), out) in rows.zip(picks).zip(vectors.chunks_exact_mut(dim.max(1))) {
            if !self.is_dropped(step, i) {
                self.data.write_condition(pick.row, out)?;
            }
        }
        Ok(vectors)
    }
}

impl Iterator for FlowBatches<'_> {
    type Item = Result<Batch, TrainError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.next;
        self.next += 1;
        let batch = || self.batch(step).map_err(|problem| TrainError::Batch { step, problem: problem.to_string() });
        Some(TrainError::caught(step, batch))
    }
}

impl BatchSource for FlowBatches<'_> {
    fn source(&self) -> Option<&Source> {
        Some(&self.coupler.flow.source)
    }

    fn batch(&self, step: u64) -> Result<Batch, DataError> {
        let mut batch = self.coupler.batch(step, |step, shard| self.rows(step, shard))?;
        if self.options.resident {
            batch.x1 = Vec::new();
        }
        Ok(batch)
    }
}

/// The error of rows that cannot be chosen so.
fn refuse(found: &str, remedy: &str) -> TrainError {
    TrainError::setting("choice of data rows", found, remedy)
}

/// The largest number of values in a batch.
const MOST_VALUES: usize = 1 << 34;

/// Fails for data or options from which no batch, or a wrong one, would result.
fn check(data: &dyn Dataset, o: &BatchOptions) -> Result<(), TrainError> {
    let (rows, dim, shape) = (data.len(), data.dim(), data.shape());
    if rows == 0 || dim == 0 {
        return Err(TrainError::setting("data set", format!("{rows} rows of {dim} values"), "give data"));
    }
    if shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n)) != Some(dim) {
        let remedy = format!("a row has {dim} values: return a shape of as many");
        return Err(TrainError::setting("shape of the data set", format!("{shape:?}"), remedy));
    }
    if o.rows == 0 {
        return Err(TrainError::setting("batch size", 0, "give at least 1"));
    }
    if dim.checked_mul(o.rows).is_none_or(|values| values > MOST_VALUES) {
        let found = format!("{} rows of {dim} values", o.rows);
        return Err(TrainError::setting("batch", found, "take at most 2^34 values per batch"));
    }
    if !data.is_endless() && u32::try_from(rows).is_err() {
        let remedy =
            "a data set that is passed over in random order has at most 4294967295 rows; let is_endless return true";
        return Err(TrainError::setting("number of rows", rows, remedy));
    }
    if let Some((null, share)) = o.dropped
        && !((0.0..=1.0).contains(&share) && null >= 0)
    {
        let found = format!("{share} (to class {null})");
        return Err(TrainError::setting("label drop", found, "give a share from 0 to 1"));
    }
    // The rows of an endless data set are checked when they are read.
    let checked = if data.is_endless() { 1 } else { rows };
    if o.resident && data.is_endless() {
        return Err(TrainError::setting("resident", true, "an endless data set has no rows to keep on the device"));
    }
    if o.conditional
        && data.condition_dim() == 0
        && let Some(row) = (0..checked).find(|row| class(data, *row).is_none())
    {
        return Err(TrainError::setting("conditional", true, without_class(row)));
    }
    Ok(())
}

fn class(data: &dyn Dataset, row: usize) -> Option<i64> {
    data.class(row).filter(|class| *class >= 0)
}

fn without_class(row: usize) -> String {
    format!("row {row} of the data has no class, or a negative one: give classes, or train without")
}

#[cfg(test)]
mod tests;
