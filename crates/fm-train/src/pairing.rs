//! Source rows, drawn and paired with the data rows of a step or of several steps together.
//!
//! With `ot_batch = k`, one OT plan covers the rows of k consecutive steps; larger plans are closer to the true coupling. Batches depend only
//! on the seed and the step, so resuming or changing the number of workers gives the same batches.
//!
//! ```
//! use fm_core::source::Source;
//! use fm_train::pairing::{Pairing, Rows};
//! let pairing = Pairing::new(Source::default(), None, 0, 1);
//! let data = |_step, _shard| Rows { x1: vec![1.0, 2.0, 3.0, 4.0], ..Rows::default() };
//! let batch = pairing.batch(7, 2, data).unwrap();
//! assert_eq!((batch.x0.len(), &batch.x1[..]), (4, &[1.0, 2.0, 3.0, 4.0][..]));
//! assert_eq!(batch, pairing.batch(7, 2, data).unwrap());
//! ```

use crate::batch::Batch;
use crate::collective::Shard;
use fm_core::coupling::{Conditions, Coupling, CouplingInput};
use fm_core::data::Pick;
use fm_core::rng::{self, Stream};
use fm_core::source::Source;
use ndarray::ArrayView2;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The data of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// The rows, one after the other; empty where they are only named.
    pub x1: Vec<f32>,
    /// Their classes, if the model is told them.
    pub classes: Vec<i64>,
    /// Which rows these are, where the device holds them.
    pub device_rows: Vec<Pick>,
    /// Rows of the batch that these are a process's share of; 0 where they are all.
    pub whole: usize,
}

/// Batches that were paired together, or why they could not be.
type Group = Arc<OnceLock<Result<Vec<Batch>, String>>>;

/// Groups that are kept: one that some worker still reads, one that it makes, and one ahead.
const KEPT: usize = 3;

/// Makes whole batches of data rows.
pub struct Pairing {
    source: Source,
    coupling: Option<Box<dyn Coupling>>,
    seed: u64,
    /// Steps that are paired together.
    steps: u64,
    shard: Shard,
    recent: Mutex<VecDeque<(u64, Group)>>,
}

impl std::fmt::Debug for Pairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pairing").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Pairing {
    /// Pairs `steps` (at least 1) consecutive steps at a time, with the run's seed. Without a coupling the pairs are independent.
    pub fn new(source: Source, coupling: Option<Box<dyn Coupling>>, seed: u64, steps: usize) -> Self {
        Self { source, coupling, seed, steps: steps.max(1) as u64, shard: Shard::default(), recent: Mutex::default() }
    }

    /// Those rows of each batch that are a process's. Rows that are coupled are paired as one batch by everyone, in the same result.
    pub fn shared(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// The random seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What x0 is drawn from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether a coupling looks at the rows' values.
    pub fn looks_at_rows(&self) -> bool {
        self.coupling.is_some()
    }

    /// The batch of one step; `rows` gives a process's share of the data of any step, in rows of `dim` values.
    ///
    /// # Errors
    /// Rows that cannot be paired.
    pub fn batch(&self, step: u64, dim: usize, rows: impl Fn(u64, Shard) -> Rows) -> Result<Batch, String> {
        let first = step - step % self.steps;
        let place = (step - first) as usize;
        let mut batch = if self.steps == 1 {
            self.pair(first, dim, rows)?.swap_remove(place)
        } else {
            // Another worker that is at it already is waited for; none holds the list while it works.
            let group = self.group(first);
            let made = group.get_or_init(|| self.pair(first, dim, rows));
            made.as_ref().map_err(Clone::clone)?[place].clone()
        };
        let rows = batch.x0.len() / dim.max(1);
        if self.looks_at_rows() && !self.shard.is_whole() {
            batch = batch.part(self.shard.rows(rows), rows);
        }
        Ok(batch)
    }

    fn group(&self, first: u64) -> Group {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, group)) = recent.iter().find(|(at, _)| *at == first) {
            return group.clone();
        }
        let group = Group::default();
        recent.push_back((first, group.clone()));
        if recent.len() > KEPT {
            recent.pop_front();
        }
        group
    }

    /// The batches of all steps that are paired with `first`.
    fn pair(&self, first: u64, dim: usize, rows: impl Fn(u64, Shard) -> Rows) -> Result<Vec<Batch>, String> {
        let (mut x0, mut all) = (Vec::new(), Rows::default());
        let shard = if self.looks_at_rows() { Shard::default() } else { self.shard };
        let mut start = 0;
        for step in first..first + self.steps {
            let Rows { x1, classes, device_rows, whole } = rows(step, shard);
            let count = device_rows.len().max(x1.len() / dim.max(1));
            start = shard.rows(whole).start;
            let drawn = self.source.sample(self.seed, step, Stream::Noise, start as u64, count, dim);
            x0.extend(drawn.map_err(|error| error.to_string())?);
            all.whole = whole;
            all.x1.extend(x1);
            all.classes.extend(classes);
            all.device_rows.extend(device_rows);
        }
        let gain = match &self.coupling {
            Some(coupling) => self.couple(coupling.as_ref(), first, dim, &mut x0, &mut all)?,
            None => None,
        };
        let part = |k: usize| Batch {
            x0: share(&x0, k, self.steps),
            x1: share(&all.x1, k, self.steps),
            classes: share(&all.classes, k, self.steps),
            device_rows: share(&all.device_rows, k, self.steps),
            coupling_gain: gain,
            first: start,
            whole: all.whole,
        };
        Ok((0..self.steps as usize).map(part).collect())
    }

    /// Pairs rows by the coupling. Returns the cost of the pairs over that of independent ones.
    fn couple(
        &self,
        coupling: &dyn Coupling,
        first: u64,
        dim: usize,
        x0: &mut Vec<f32>,
        all: &mut Rows,
    ) -> Result<Option<f64>, String> {
        let n = x0.len() / dim.max(1);
        let mut draws = rng::stream(self.seed, first, Stream::Coupling, 0);
        let pairing = {
            let view = |x| ArrayView2::from_shape((n, dim), x).map_err(|e| e.to_string());
            let conditions = if all.classes.is_empty() { Conditions::None } else { Conditions::Classes(&all.classes) };
            let unpaired = CouplingInput { x0: view(x0)?, x1: view(&all.x1)?, conditions };
            coupling.couple(&unpaired, &mut draws).map_err(|e| e.to_string())?
        };
        pairing.check(n).map_err(|e| e.to_string())?;
        let drawn = cost(x0, &all.x1);
        (*x0, all.x1) = (pairing.sources(x0, dim), pairing.targets(&all.x1, dim));
        if !all.classes.is_empty() {
            all.classes = pairing.targets(&all.classes, 1);
        }
        if !all.device_rows.is_empty() {
            all.device_rows = pairing.targets(&all.device_rows, 1);
        }
        let moved = pairing != fm_core::coupling::Pairing::Identity && drawn > 0.0;
        Ok(moved.then(|| cost(x0, &all.x1) / drawn))
    }
}

/// The k-th of `parts` equal parts.
fn share<T: Clone>(values: &[T], k: usize, parts: u64) -> Vec<T> {
    let each = values.len() / parts.max(1) as usize;
    values[k * each..(k + 1) * each].to_vec()
}

/// The mean squared distance of rows paired as they lie, up to a factor.
fn cost(x0: &[f32], x1: &[f32]) -> f64 {
    x0.iter().zip(x1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / x1.len().max(1) as f64
}
