//! Source rows, drawn and coupled with the data rows of one step or of several consecutive steps,
//! or with data rows that they choose.

use crate::batch::Batch;
use crate::collective::Shard;
use fm_core::FlowMatching;
use fm_core::coupling::{self, ChooseRows, Conditions, Coupling, CouplingInput};
use fm_core::data::DataError;
use fm_core::rng::{Key, Stream};
use ndarray::ArrayView2;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Batches that were coupled together, or the error that prevented it.
type Group = Arc<OnceLock<Result<Vec<Batch>, String>>>;

/// Number of groups kept: one that a worker still reads, one that is being made, and one ahead.
const KEPT: usize = 3;

/// Adds source rows to the data of a step.
pub(crate) struct Coupler<'a> {
    pub(crate) flow: &'a FlowMatching,
    /// Chooses the data rows of the source rows.
    pub(crate) chooser: Option<&'a dyn ChooseRows>,
    shard: Shard,
    recent: Mutex<VecDeque<(u64, Group)>>,
}

impl<'a> Coupler<'a> {
    pub(crate) fn new(flow: &'a FlowMatching) -> Self {
        Self { flow, chooser: None, shard: Shard::default(), recent: Mutex::default() }
    }

    pub(crate) fn shared(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// Whether a coupling reads the rows' values.
    pub(crate) fn looks_at_rows(&self) -> bool {
        self.flow.coupling.is_some() || self.chooser.is_some()
    }

    /// The source rows of a part of a step's batch.
    pub(crate) fn sources(&self, step: u64, first: usize, rows: usize, dim: usize) -> Result<Vec<f32>, DataError> {
        let key = Key::new(self.flow.seed, step, Stream::Noise).from_row(first as u64);
        Ok(self.flow.source.sample(key, rows, dim)?)
    }

    /// Number of steps that are coupled together.
    fn steps(&self) -> u64 {
        self.flow.coupled_steps.max(1) as u64
    }

    /// The batch of one step; `rows` returns the data of a step for one process.
    pub(crate) fn batch(
        &self,
        step: u64,
        rows: impl Fn(u64, Shard) -> Result<Batch, DataError>,
    ) -> Result<Batch, DataError> {
        let steps = self.steps();
        let first = step - step % steps;
        let place = (step - first) as usize;
        let mut batch = if steps == 1 {
            self.pair(first, rows)?.swap_remove(place)
        } else {
            // If another worker is making the group, this one waits for it; the list is not locked
            // meanwhile.
            let group = self.group(first);
            let made = group.get_or_init(|| self.pair(first, rows).map_err(|error| error.to_string()));
            made.as_ref().map_err(|problem| DataError::from(problem.clone()))?[place].clone()
        };
        if self.looks_at_rows() && !self.shard.is_whole() {
            let rows = batch.rows();
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

    /// The batches of all steps that are coupled with `first`.
    fn pair(&self, first: u64, rows: impl Fn(u64, Shard) -> Result<Batch, DataError>) -> Result<Vec<Batch>, DataError> {
        let shard = if self.looks_at_rows() { Shard::default() } else { self.shard };
        let mut batches = Vec::new();
        let end = first.checked_add(self.steps()).ok_or("no step has so large a number")?;
        for step in first..end {
            let mut batch = rows(step, shard)?;
            // Rows that were chosen come with their sources.
            if self.chooser.is_none() {
                batch.x0 = self.sources(step, batch.first, batch.rows(), batch.dim())?;
            } else {
                batch.coupling_gain = gain(&batch);
            }
            batches.push(batch);
        }
        if let Some(coupling) = &self.flow.coupling {
            self.couple(coupling.as_ref(), first, &mut batches)?;
        }
        Ok(batches)
    }

    /// Couples the rows of some batches, and stores the cost of the pairs relative to independent
    /// pairs.
    fn couple(&self, coupling: &dyn Coupling, first: u64, batches: &mut [Batch]) -> Result<(), DataError> {
        let Some(dim) = batches.first().map(Batch::dim) else { return Ok(()) };
        let mut all = Batch::concat(batches);
        let n = all.rows();
        let mut draws = Key::new(self.flow.seed, first, Stream::Coupling).generator(0);
        let pairing = {
            let condition_dim = all.conditions.len() / n.max(1);
            let conditions = match (all.classes.is_empty(), condition_dim) {
                (false, _) => Conditions::Classes(&all.classes),
                (true, 0) => Conditions::None,
                (true, dim) => Conditions::Values(ArrayView2::from_shape((n, dim), &all.conditions)?),
            };
            let view = |x| ArrayView2::from_shape((n, dim), x);
            coupling.couple(&CouplingInput { x0: view(&all.x0)?, x1: view(&all.x1)?, conditions }, &mut draws)?
        };
        pairing.check(n)?;
        let before = cost(&all.x0, &all.x1);
        (all.x0, all.x1) = (pairing.sources(&all.x0, dim), pairing.targets(&all.x1, dim));
        all.conditions = pairing.targets(&all.conditions, all.conditions.len() / n.max(1));
        if !all.classes.is_empty() {
            all.classes = pairing.targets(&all.classes, 1);
        }
        if !all.device_rows.is_empty() {
            all.device_rows = pairing.targets(&all.device_rows, 1);
        }
        let moved = pairing != coupling::Pairing::Identity && before > 0.0;
        all.coupling_gain = moved.then(|| cost(&all.x0, &all.x1) / before);
        all.split_into(batches);
        Ok(())
    }
}

/// The cost of the pairs of a batch relative to the cost of independent pairs: each source row with
/// the data row of the next pair.
fn gain(batch: &Batch) -> Option<f64> {
    let mut others = batch.x1.clone();
    let next = batch.dim().min(others.len());
    others.rotate_left(next);
    let independent = cost(&batch.x0, &others);
    (batch.rows() > 1 && independent > 0.0).then(|| cost(&batch.x0, &batch.x1) / independent)
}

/// The mean squared distance of paired rows, up to a constant factor.
fn cost(x0: &[f32], x1: &[f32]) -> f64 {
    x0.iter().zip(x1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / x1.len().max(1) as f64
}
