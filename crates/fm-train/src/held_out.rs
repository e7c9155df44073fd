//! The loss on rows that are not trained on.
//!
//! ```text
//! val_loss = mean over rows of w(t) |f(x_t, t) - target|^2
//! ```
//!
//! The rows, their sources, their pairing and their times are drawn once, from a stream of their
//! own, and the times are stratified. So two values of one run differ by the weights alone. The
//! loss of the training batches falls when a network memorises; this one rises. Source: Bishop,
//! *Pattern Recognition and Machine Learning*, section 1.3.
//!
//! ```
//! use fm_core::FlowMatching;
//! use fm_models::{ModelConfig, mlp::MlpConfig};
//! use fm_train::held_out::{HeldOut, HeldOutOptions};
//! use tch::{Device, nn};
//! let store = nn::VarStore::new(Device::Cpu);
//! let config = ModelConfig::Mlp(MlpConfig { widths: vec![8], ..MlpConfig::default() });
//! let net = config.build(&store.root())?;
//! // A network that predicts 0 has the loss E |x1 - x0|^2 / d = 1 + 4 for x1 = (2, 2).
//! store.variables().into_values().for_each(|mut v| tch::no_grad(|| drop(v.zero_())));
//! let rows = ndarray::Array2::from_elem((2000, 2), 2.0f32);
//! let held_out = HeldOut::new(&FlowMatching::default(), &rows, &HeldOutOptions::default())?;
//! let loss = held_out.loss(&net, None)?;
//! assert!((loss.mean - 5.0).abs() < 0.3, "{}", loss.mean);
//! assert_eq!(loss.mean, held_out.loss(&net, None)?.mean);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::TrainError;
use crate::accumulator::BINS;
use crate::batch::{Batch, BatchSource};
use crate::batches::{BatchOptions, FlowBatches};
use crate::callbacks::{Callback, is_due};
use crate::record::LogRecord;
use crate::state::TrainState;
use crate::task::{FlowTask, PackContext, TIME_BINS, Task};
use crate::trained_source::TrainedSource;
use fm_core::FlowMatching;
use fm_core::data::Dataset;
use fm_core::rng::{Key, Stream};
use fm_core::tensor::VelocityModel;
use fm_core::time::Draw;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use tch::{Kind, Tensor};

/// Options of a held-out loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeldOutOptions {
    /// Rows per forward pass, at most.
    pub rows: usize,
    /// The least number of rows in the mean, and their number for an endless data set. Fewer
    /// held-out rows are used several times, each time with another source and time.
    pub least: usize,
    /// Condition the network on the classes or condition vectors of the rows.
    pub conditional: bool,
}

impl Default for HeldOutOptions {
    /// At least 1024 rows, 256 per pass, without conditions.
    fn default() -> Self {
        Self { rows: 256, least: 1024, conditional: false }
    }
}

/// The largest number of rows in the mean.
const MOST_ROWS: usize = 1 << 24;

/// Fixed held-out rows with fixed sources and times.
#[derive(Debug)]
pub struct HeldOut {
    flow: FlowMatching,
    batches: Vec<Batch>,
}

/// The loss on held-out rows.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOutLoss {
    /// The mean of the weighted losses.
    pub mean: f64,
    /// Mean unweighted loss of the rows in each tenth of the time interval; NaN for a tenth without
    /// rows.
    pub by_time: Vec<f64>,
}

impl HeldOut {
    /// Draws sources, pairing and times for held-out rows: those of `flow`, with another seed and
    /// stratified times.
    ///
    /// # Errors
    /// No rows, or more than 2^24; an invalid flow; rows that cannot be read.
    #[doc(alias = "validation")]
    #[doc(alias = "val_loss")]
    pub fn new(flow: &FlowMatching, rows: &dyn Dataset, options: &HeldOutOptions) -> Result<Self, TrainError> {
        if rows.is_empty() {
            return Err(TrainError::setting("number of held-out rows", 0, "hold out at least one"));
        }
        let mut flow = flow.clone();
        // 63 bits, as for every seed.
        flow.seed = Key::new(flow.seed, u64::MAX, Stream::Time).generator(0).random::<u64>() >> 1;
        flow.objective.times.draw = Draw::Stratified;
        flow.objective.loss_aware_bins = 0;
        let wanted = if rows.is_endless() { options.least.max(1) } else { rows.len().max(options.least) };
        let per_pass = options.rows.clamp(1, wanted.min(rows.len()));
        if wanted > MOST_ROWS {
            let remedy = "hold out at most 2^24 rows; they are all kept in memory";
            return Err(TrainError::setting("number of held-out rows", wanted, remedy));
        }
        let passes = wanted.div_ceil(per_pass) as u64;
        let how = BatchOptions { rows: per_pass, conditional: options.conditional, ..BatchOptions::default() };
        let source = FlowBatches::new(&flow, rows, how)?;
        let made = |step| {
            let problem = |problem: fm_core::data::DataError| TrainError::Batch { step, problem: problem.to_string() };
            TrainError::caught(step, || source.batch(step).map_err(problem))
        };
        let batches = (0..passes).map(made).collect::<Result<_, _>>()?;
        Ok(Self { flow, batches })
    }

    /// The loss of a network, with the source that is trained beside it, if there is one.
    ///
    /// # Errors
    /// A network that does not fit the rows.
    pub fn loss(
        &self,
        model: &dyn VelocityModel,
        trained_source: Option<&TrainedSource>,
    ) -> Result<HeldOutLoss, TrainError> {
        let trained_source = trained_source.map(TrainedSource::shallow_clone);
        let task = FlowTask { trained_source, ..FlowTask::new(model, &self.flow) };
        let (device, packer) = (model.device(), task.packer());
        let (mut sum, mut rows) = (0.0, 0);
        let mut bins = Tensor::zeros([2, BINS as i64], (Kind::Double, device));
        for batch in &self.batches {
            let inputs = packer.pack(batch, &PackContext::on(device))?.upload(device);
            let (losses, mean) = task.unrecorded(&inputs)?;
            sum += mean * inputs.rows.len() as f64;
            rows += inputs.rows.len();
            if let Some(members) = inputs.block.get(TIME_BINS) {
                bins += Tensor::stack(&[&losses, &losses.ones_like()], 0).matmul(&members);
            }
        }
        let [losses, counts] = [0, 1].map(|k| Vec::<f64>::try_from(bins.get(k)).unwrap_or_default());
        let by_time = losses.iter().zip(counts).map(|(loss, count)| loss / count).collect();
        Ok(HeldOutLoss { mean: sum / rows as f64, by_time })
    }
}

/// Adds the held-out loss to the log: of the first EMA of the weights as `val_loss`, of the weights
/// themselves as `val_loss_raw`.
pub struct Validation<'a> {
    /// The rows.
    pub held_out: HeldOut,
    /// The network in training.
    pub model: &'a dyn VelocityModel,
    /// The source that is trained beside the network, if there is one.
    pub trained_source: Option<TrainedSource>,
    /// Steps between measurements; only lines of the log at multiples of it have the loss, and the
    /// last line.
    pub every: u64,
    /// The last step of the run.
    pub last: u64,
}

impl std::fmt::Debug for Validation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Validation")
            .field("held_out", &self.held_out)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl Callback for Validation<'_> {
    fn measure(&mut self, state: &mut TrainState, record: &mut LogRecord) -> Result<(), TrainError> {
        if !is_due(record.step, self.every, self.last) {
            return Ok(());
        }
        let loss = || self.held_out.loss(self.model, self.trained_source.as_ref());
        let raw = loss();
        state.params.bind(Some(state.ema.weights()));
        let averaged = loss();
        state.params.bind(None);
        let (raw, averaged) = (raw?, averaged?);
        let finite = |x: f64| x.is_finite().then_some(x);
        (record.val_loss, record.val_loss_raw) = (Some(averaged.mean), Some(raw.mean));
        record.val_loss_by_time = averaged.by_time.into_iter().map(finite).collect();
        record.val_loss_raw_by_time = raw.by_time.into_iter().map(finite).collect();
        Ok(())
    }

    fn after_step(&mut self, _: &mut TrainState, _: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        Ok(ControlFlow::Continue(()))
    }
}
