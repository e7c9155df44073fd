//! The state of a training run.

use crate::accumulator::MetricAccumulator;
use crate::ema::{Ema, EmaConfig};
use crate::epoch::EpochLength;
use crate::flat::FlatParams;
use crate::loss_aware::LossAwareTimes;
use crate::optimizer::Optimizer;
use tch::Tensor;

/// Everything that changes during training and is stored in checkpoints.
#[derive(Debug)]
pub struct TrainState {
    /// The weights.
    pub params: FlatParams,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The averaged weights, which sampling uses.
    pub ema: Ema,
    /// Steps done.
    pub step: u64,
    /// Metrics since the last line of the log.
    pub tally: MetricAccumulator,
    /// The length of an epoch, if the data have one. It belongs to the data of this process: a
    /// checkpoint does not restore it.
    pub epoch: Option<EpochLength>,
    /// The density of loss-aware times, if they are used.
    pub adaptive: Option<LossAwareTimes>,
}

impl TrainState {
    /// The state before the first step. `loss_aware_bins` comes from the objective; 0 without
    /// loss-aware times.
    pub fn new(params: FlatParams, optimizer: Optimizer, ema: &EmaConfig, loss_aware_bins: usize) -> Self {
        let (ema, tally) = (Ema::new(&params.master, ema), MetricAccumulator::new(params.device()));
        let adaptive = (loss_aware_bins > 0).then(|| LossAwareTimes::new(loss_aware_bins, params.device()));
        Self { params, optimizer, ema, step: 0, tally, epoch: None, adaptive }
    }

    /// The tensors of a checkpoint, for exchange between processes; call [`FlatParams::refresh`]
    /// after changing them.
    pub fn tensors(&mut self) -> Vec<&mut Tensor> {
        let FlatParams { master, buffers, .. } = &mut self.params;
        let mut tensors = vec![master, &mut self.optimizer.mean, &mut self.optimizer.square];
        tensors.extend(buffers.values_mut());
        tensors.extend(&mut self.ema.averages);
        tensors.extend(&mut self.ema.power);
        tensors
    }
}
