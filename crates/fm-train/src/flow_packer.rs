//! Packs the inputs of a step of a flow: rows, conditions, times, and the weights of the path.

use crate::TrainError;
use crate::accumulator::{self, BINS};
use crate::batch::Batch;
use crate::block::Packer;
use crate::device_dataset::Held;
use crate::flow_map::intervals::{self, INTERVAL, Intervals, SPLIT};
use crate::flow_map::kind::TaskKind;
use crate::pack::{DENSITY_BINS, HostInputs, Pack, PackContext, TIME_BINS, check, pack_conditions};
use fm_core::FlowMatching;
use fm_core::bridge;
use fm_core::conditional::positions;
use fm_core::data::Pick;
use fm_core::interpolate::{PathWeights, coefficients};
use fm_core::path::ProbPath;
use fm_core::rng::{Key, Stream};
use fm_core::tensor::ConditionKind;

/// Packs batches for a flow.
pub(crate) struct FlowPacker<'m> {
    pub(crate) flow: &'m FlowMatching,
    /// The rows on the device, if it holds the data.
    pub(crate) resident: Option<Held>,
    /// The conditions that the network takes, if known and not none.
    pub(crate) conditions: Option<ConditionKind>,
    /// The task, which decides on the intervals of time.
    pub(crate) task: TaskKind,
}

impl Pack for FlowPacker<'_> {
    fn pack(&self, batch: &Batch, context: &PackContext<'_>) -> Result<HostInputs, TrainError> {
        let PackContext { device, density } = *context;
        let (step, (here, whole)) = (batch.step, batch.span());
        if batch.shape.iter().any(|n| *n < 1) {
            let problem = format!("its rows have shape {:?}; give sizes of at least 1", batch.shape);
            return Err(TrainError::Batch { step, problem });
        }
        let shape = [&[here.len() as i64], &batch.shape[..]].concat();
        let dim = batch.dim();
        let (objective, key) = (&self.flow.objective, Key::new(self.flow.seed, step, Stream::Time));
        // Times are drawn for the whole batch, because its rows may share stratified times.
        let mut drawn = objective.draw(key, whole, density)?;
        let intervals = intervals::draw(self.task, objective, key, &mut drawn)?;
        let part = |values: &[f64]| values.get(here.clone()).unwrap_or_default().to_vec();
        let mut packer = Packer::default();
        let curve = self.on_curve(batch, &part(&drawn.times))?;
        packer.push("x0", curve.as_ref().map_or(&batch.x0, |[_, u]| u), &shape);
        self.pack_data(&mut packer, batch, curve.as_ref().map(|[x, _]| x.as_slice()), &shape)?;
        pack_conditions(&mut packer, batch, here.len(), self.conditions)?;
        let noise =
            if curve.is_some() { None } else { objective.path_noise(key.from_row(here.start as u64), here.len(), dim) };
        if let Some(noise) = noise {
            packer.push("noise", &noise, &shape);
        }
        let bins = accumulator::members(&drawn.times, BINS, accumulator::bin);
        packer.push(TIME_BINS, &bins, &[whole as i64, BINS as i64]);
        if let Some(density) = density {
            let bins = accumulator::members(&drawn.positions, density.bins(), |u| density.bin(u));
            packer.push(DENSITY_BINS, &bins, &[whole as i64, density.bins() as i64]);
        }
        self.pack_times(&mut packer, &part(&drawn.times), &part(&drawn.weights), batch.shape.len())?;
        if let Some(Intervals { lengths, splits }) = intervals {
            packer.push(INTERVAL, &f32s(&part(&lengths)), &shape[..1]);
            packer.push(SPLIT, &f32s(&part(&splits)), &shape[..1]);
        }
        let block = packer.finish(device)?;
        Ok(HostInputs { step, rows: here, whole, coupling_gain: batch.coupling_gain, block })
    }
}

impl FlowPacker<'_> {
    /// Packs the data rows: their values (or positions on a curve), their numbers on the device, or
    /// the classes within which they are chosen there.
    fn pack_data(
        &self,
        packer: &mut Packer,
        batch: &Batch,
        curve: Option<&[f32]>,
        shape: &[i64],
    ) -> Result<(), TrainError> {
        let step = batch.step;
        if !batch.choosing.is_empty() {
            let classes = self.resident.as_ref().and_then(|held| held.classes.as_ref());
            let known = |class: &i64| classes.is_some_and(|classes| classes.contains(class));
            let problem = match batch.choosing.iter().find(|class| !known(class)) {
                None => None,
                Some(_) if classes.is_none() => Some("the device has no potentials; give them to its data set".into()),
                Some(class) => Some(format!("no row on the device has class {class}; give a class of the data")),
            };
            if let Some(problem) = problem {
                return Err(TrainError::Batch { step, problem });
            }
            packer.push(CHOOSING, &batch.choosing, &shape[..1]);
            return Ok(());
        }
        if batch.device_rows.is_empty() {
            let values = shape.iter().map(|n| *n as usize).fold(1, usize::saturating_mul);
            check("data", batch.x1.len(), values, step)?;
            packer.push("x1", curve.unwrap_or(&batch.x1), shape);
            return Ok(());
        }
        let beyond = |pick: &&Pick| self.resident.as_ref().is_none_or(|held| pick.row >= held.rows);
        if let Some(pick) = batch.device_rows.iter().find(beyond) {
            let problem = format!("it names row {}, which is not on the device; give the task the data", pick.row);
            return Err(TrainError::Batch { step, problem });
        }
        let rows: Vec<i64> = batch.device_rows.iter().map(|pick| pick.row as i64).collect();
        packer.push("picked", &rows, &shape[..1]);
        let mirrored: Vec<bool> = batch.device_rows.iter().map(|pick| pick.mirrored).collect();
        if mirrored.contains(&true) {
            packer.push_bools("mirrored", &mirrored, &shape[..1]);
        }
        Ok(())
    }

    /// Positions and velocities of the rows, if the flow has a conditional flow. They are packed in
    /// place of x1 and x0, so x_t and the target are these values without a combination.
    fn on_curve(&self, batch: &Batch, times: &[f64]) -> Result<Option<[Vec<f32>; 2]>, TrainError> {
        let Some(flow) = &self.flow.conditional else { return Ok(None) };
        let refuse = |found: &str, remedy| Err(TrainError::setting("conditional flow", found, remedy));
        if !batch.device_rows.is_empty() || !batch.choosing.is_empty() {
            return refuse("rows on the device", "its positions are made on the host: give values, not row numbers");
        }
        if self.task != TaskKind::Flow {
            return refuse("intervals of time", "train the flow itself: a flow map takes an affine path");
        }
        Ok(Some(positions(flow.as_ref(), &batch.x0, &batch.x1, times, batch.dim())?))
    }

    /// Packs times, loss weights, and the weights of x1, x0 and noise in x_t and in the target, one
    /// value per row each. Left out: loss weights that are all 1, other weights that are all 0, and
    /// the weights of the target x1 - x0.
    fn pack_times(&self, packer: &mut Packer, times: &[f64], weights: &[f64], axes: usize) -> Result<(), TrainError> {
        let objective = &self.flow.objective;
        let rows = times.len() as i64;
        packer.push("time", &f32s(times), &[rows]);
        if weights.iter().any(|w| *w != 1.0) {
            packer.push("weight", &f32s(weights), &[rows]);
        }
        let column = std::iter::once(rows).chain(std::iter::repeat_n(1, axes)).collect::<Vec<_>>();
        if self.flow.conditional.is_some() {
            let ones = vec![1f32; times.len()];
            packer.push(POSITION[0], &ones, &column);
            packer.push(TARGET[1], &ones, &column);
            return Ok(());
        }
        let c = coefficients(&objective.path, times)?;
        let path = PathWeights::new(&c, objective.prediction)?;
        if path.need_noise() && !objective.path.has_extra_noise() {
            return Err(fm_core::Error::MissingNoise { path: objective.path.name() }.into());
        }
        let all = |values: &[f64], value: f64| values.iter().all(|v| *v == value);
        let straight = all(&path.target[0], 1.0) && all(&path.target[1], -1.0) && all(&path.target[2], 0.0);
        let columns = POSITION.iter().zip(&path.position).chain(TARGET.iter().zip(&path.target).filter(|_| !straight));
        for (name, values) in columns.filter(|(_, values)| !all(values, 0.0)) {
            packer.push(name, &f32s(values), &column);
        }
        if objective.prediction.score_weight().is_some() {
            let sigma = bridge::diffusion(&objective.path)?;
            let weights: Vec<f64> = c.iter().map(|c| c.score_weight(sigma)).collect();
            packer.push(SCORE, &f32s(&weights), &column);
        }
        Ok(())
    }
}

fn f32s(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// Name of the classes within which source rows choose their data rows.
pub(crate) const CHOOSING: &str = "choosing";

/// Name of the weights lambda of the scaled score.
pub(crate) const SCORE: &str = "score weight";

/// Names of the weights of x1, x0 and noise.
pub(crate) const POSITION: [&str; 3] = ["position x1", "position x0", "position noise"];
pub(crate) const TARGET: [&str; 3] = ["target x1", "target x0", "target noise"];
