//! A training step for a loop that you write yourself.
//!
//! [`Trainer::step`] backpropagates a loss, all-reduces the gradient over processes, clips it by
//! its global norm, updates the weights, and updates their EMA. A step with a non-finite loss or
//! gradient is counted and changes no weight. [`train`](mod@crate::train) does the same with
//! prefetched batches, a log, checkpoints and callbacks.
//!
//! ```
//! use fm_train::trainer::{Trainer, TrainerConfig};
//! use tch::{Device, Kind, Tensor, nn, nn::Module};
//! tch::manual_seed(0);
//! let store = nn::VarStore::new(Device::Cpu);
//! let net = nn::linear(store.root(), 1, 1, Default::default());
//! let mut trainer = Trainer::new(&store, &TrainerConfig { lr: 0.1, ..TrainerConfig::default() })?;
//! let x = Tensor::from_slice(&[-1f32, 0.0, 1.0, 2.0]).view([4, 1]);
//! for _ in 0..300 {
//!     trainer.step(&(net.forward(&x) - (&x * 3.0 - 1.0)).square().mean(Kind::Float))?;
//! }
//! let at_two = |y: Tensor| y.double_value(&[3, 0]);
//! assert!((at_two(net.forward(&x)) - 5.0).abs() < 1e-3);
//! assert!((trainer.with_ema(|| at_two(net.forward(&x))) - 5.0).abs() < 0.1);
//! // A loss that does not depend on the weights is an error, not a step.
//! assert!(trainer.step(&Tensor::from(1.0)).is_err());
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use crate::collective::{Collective, SingleProcess};
use crate::ema::EmaConfig;
use crate::flat::{FlatParams, Precision, Slot};
use crate::optimizer::{Optimizer, OptimizerConfig, Scaling};
use crate::schedule::{Decay, Schedule};
use crate::state::TrainState;
use fm_core::tape::Tape;
use fm_core::tensor::Role;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use tch::{Device, Kind, Tensor, nn};

/// The options of a [`Trainer`].
#[derive(Debug, Clone)]
pub struct TrainerConfig {
    /// The optimizer; AdamW with PyTorch's defaults and no weight decay.
    pub optimizer: OptimizerConfig,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Decay of the moving average of the weights; `None` for no average.
    pub ema_decay: Option<f64>,
    /// Relative widths of further averages, from which those of other widths are computed
    /// afterwards ([`power_average`](crate::power_average)).
    #[doc(alias = "post-hoc EMA")]
    pub sigma_rel: Vec<f64>,
    /// Global gradient norm to clip at; `None` for no clipping.
    pub max_grad_norm: Option<f64>,
    /// Precision that the network computes in.
    pub precision: Precision,
    /// The processes that train the same model.
    pub collective: Arc<dyn Collective>,
}

impl Default for TrainerConfig {
    /// AdamW at 1e-3, EMA 0.999, gradients clipped at 1, in f32, by one process.
    fn default() -> Self {
        Self {
            optimizer: OptimizerConfig::default(),
            lr: 1e-3,
            warmup_steps: 0,
            ema_decay: Some(0.999),
            sigma_rel: Vec::new(),
            max_grad_norm: Some(1.0),
            precision: Precision::F32,
            collective: Arc::new(SingleProcess),
        }
    }
}

/// The weights of a network during training, with their optimizer and EMA.
#[derive(Debug)]
#[doc(alias = "Accelerator")]
#[doc(alias = "clip_grad_norm_")]
pub struct Trainer {
    state: TrainState,
    schedule: Schedule,
    clip: f64,
    collective: Arc<dyn Collective>,
    skipped: Tensor,
}

impl Trainer {
    /// A trainer of the trainable variables of `store`, in which the network must exist already.
    /// Matrices and kernels count as hidden weights, all other parameters as vectors (see
    /// [`with_roles`](Self::with_roles)).
    ///
    /// # Errors
    /// Invalid settings, a store without trainable variables, an exception of libtorch.
    pub fn new(store: &nn::VarStore, config: &TrainerConfig) -> Result<Self, TrainError> {
        Self::with_roles(store, config, |_, shape| if shape.len() > 1 { Role::Hidden } else { Role::Vector })
    }

    /// Like [`new`](Self::new), with the role of each parameter given by its name and shape, for
    /// Muon and selective weight decay.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_roles(
        store: &nn::VarStore,
        config: &TrainerConfig,
        role: impl Fn(&str, &[i64]) -> Role,
    ) -> Result<Self, TrainError> {
        let TrainerConfig { optimizer, lr, warmup_steps, ema_decay, max_grad_norm, precision, .. } = config;
        let schedule = Schedule { lr: *lr, warmup_steps: *warmup_steps, decay: Decay::Constant };
        schedule.validate()?;
        let clip = max_grad_norm.unwrap_or(f64::INFINITY);
        if clip.is_nan() || clip <= 0.0 {
            return Err(TrainError::setting("max_grad_norm", clip, "give more than 0, or None for no clipping"));
        }
        let sigma_rel = config.sigma_rel.clone();
        let ema = EmaConfig { decays: vec![ema_decay.unwrap_or(0.0)], warmup: ema_decay.is_some(), sigma_rel };
        ema.validate()?;
        if store.trainable_variables().is_empty() {
            let remedy = "create the network in the store before the trainer";
            return Err(TrainError::setting("number of trainable variables", 0, remedy));
        }
        let params = FlatParams::sorted(store, *precision, |name, shape| optimizer.key(name, role(name, shape)))?;
        let of_slot = |slot: &Slot| role(&slot.name, &slot.shape);
        let optimizer = Optimizer::new(&params.master, optimizer, &params.slots, of_slot);
        let skipped = Tensor::zeros([], (Kind::Double, params.device()));
        let state = TrainState::new(params, optimizer, &ema, 0);
        Ok(Self { state, schedule, clip, collective: config.collective.clone(), skipped })
    }

    /// One update of the weights by the gradient of `loss`, a tensor with one value. With several
    /// processes, each passes the mean loss of an equal share of the batch. Nothing is read from
    /// the device.
    ///
    /// # Errors
    /// A loss that is not a single number or does not depend on any weight, a lost process, an
    /// exception of libtorch.
    pub fn step(&mut self, loss: &Tensor) -> Result<(), TrainError> {
        if loss.numel() != 1 || !loss.requires_grad() {
            let found =
                format!("of shape {:?}{}", loss.size(), if loss.requires_grad() { "" } else { " without a graph" });
            return Err(TrainError::setting("loss", found, "give the mean of a loss that depends on the weights"));
        }
        let state = &mut self.state;
        let mut gradient = state.params.backward(loss, Tape::off())?;
        let mut shared = loss.detach().to_kind(Kind::Double).reshape([1]);
        if !self.collective.is_alone() {
            let (ranks, mut sums) = (self.collective.shard().count as f64, [shared]);
            self.collective.all_reduce(Some(&mut gradient), &mut sums).map_err(TrainError::Collective)?;
            gradient /= ranks;
            shared = sums[0].shallow_clone();
        }
        let norm = gradient.norm();
        let finite = (shared.sum(Kind::Double) + &norm).isfinite().to_kind(Kind::Double);
        let scaling = Scaling::by_norm(&norm, self.clip, &finite);
        state.optimizer.step(&mut state.params.master, &gradient, self.schedule.at(state.step, u64::MAX), &scaling)?;
        state.params.refresh();
        state.ema.update(&state.params.master);
        state.step += 1;
        self.skipped += 1.0 - finite;
        Ok(())
    }

    /// Runs `work` with the averaged weights in the network.
    pub fn with_ema<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let average = self.state.ema.weights().shallow_clone();
        self.state.params.bind(Some(&average));
        let result = catch_unwind(AssertUnwindSafe(work));
        self.state.params.bind(None);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Number of steps with a non-finite loss or gradient. Reads one number from the device.
    pub fn skipped(&self) -> u64 {
        self.skipped.double_value(&[]) as u64
    }

    /// Sets the learning rate of the following steps.
    ///
    /// # Errors
    /// A rate that is negative or not finite.
    pub fn set_lr(&mut self, lr: f64) -> Result<(), TrainError> {
        let schedule = Schedule { lr, ..self.schedule };
        schedule.validate()?;
        self.schedule = schedule;
        Ok(())
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.state.params.device()
    }

    /// The training state, for [`crate::checkpoint::save`].
    pub fn state(&self) -> &TrainState {
        &self.state
    }

    /// The training state, for [`crate::checkpoint::restore`].
    pub fn state_mut(&mut self) -> &mut TrainState {
        &mut self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::{Pending, Shard};
    use crate::error::Outside;
    use tch::nn::Module;

    fn one() -> (nn::VarStore, nn::Linear) {
        tch::manual_seed(0);
        let store = nn::VarStore::new(Device::Cpu);
        let net = nn::linear(store.root(), 2, 1, Default::default());
        (store, net)
    }

    fn loss(net: &nn::Linear, x: f64) -> Tensor {
        net.forward(&Tensor::full([3, 2], x, (Kind::Float, Device::Cpu))).square().mean(Kind::Float)
    }

    #[test]
    fn settings_without_a_meaning_are_refused() {
        let (store, _net) = one();
        let base = TrainerConfig::default;
        for (config, part) in [
            (TrainerConfig { lr: f64::NAN, ..base() }, "learning rate"),
            (TrainerConfig { ema_decay: Some(1.5), ..base() }, "EMA decay"),
            (TrainerConfig { max_grad_norm: Some(0.0), ..base() }, "max_grad_norm"),
            (TrainerConfig { max_grad_norm: Some(f64::NAN), ..base() }, "max_grad_norm"),
        ] {
            let text = Trainer::new(&store, &config).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        }
        let empty = nn::VarStore::new(Device::Cpu);
        assert!(Trainer::new(&empty, &base()).unwrap_err().to_string().contains("create the network"));
    }

    #[test]
    fn non_finite_steps_are_counted_and_change_nothing() {
        let (store, net) = one();
        let mut trainer = Trainer::new(&store, &TrainerConfig::default()).unwrap();
        trainer.step(&loss(&net, 1.0)).unwrap();
        let before = net.ws.copy();
        trainer.step(&loss(&net, f64::NAN)).unwrap();
        assert!(net.ws.equal(&before));
        assert_eq!((trainer.skipped(), trainer.state().step), (1, 2));
        trainer.step(&loss(&net, 1.0)).unwrap();
        assert!(!net.ws.equal(&before));
    }

    #[test]
    fn losses_that_cannot_be_differentiated_are_errors() {
        let (store, net) = one();
        let mut trainer = Trainer::new(&store, &TrainerConfig::default()).unwrap();
        let several = net.forward(&Tensor::ones([3, 2], (Kind::Float, Device::Cpu)));
        assert!(trainer.step(&several).unwrap_err().to_string().contains("[3, 1]"));
        assert!(trainer.step(&loss(&net, 1.0).detach()).unwrap_err().to_string().contains("without a graph"));
        let again = loss(&net, 1.0);
        trainer.step(&again).unwrap();
        // The graph of this loss is already freed.
        assert!(trainer.step(&again).is_err());
    }

    /// The first of two processes with the same rows: each sum is twice its own value.
    #[derive(Debug)]
    struct Twin;

    impl Collective for Twin {
        fn shard(&self) -> Shard {
            Shard { rank: 0, count: 2 }
        }

        fn all_reduce(&self, gradient: Option<&mut Tensor>, exact: &mut [Tensor]) -> Result<(), Outside> {
            gradient.into_iter().chain(exact).for_each(|sum| *sum *= 2.0);
            Ok(())
        }

        fn start(&self, _part: &Tensor) -> Result<Box<dyn Pending>, Outside> {
            Err("not overlapped".into())
        }
    }

    #[test]
    fn two_processes_with_the_same_rows_step_as_one() {
        let after = |peers: Arc<dyn Collective>| {
            let (store, net) = one();
            // With this epsilon Adam's step depends on the size of the gradient.
            let optimizer = OptimizerConfig { rule: "adamw:eps=0.1".parse().unwrap(), ..OptimizerConfig::default() };
            let config =
                TrainerConfig { collective: peers, optimizer, max_grad_norm: None, ..TrainerConfig::default() };
            let mut trainer = Trainer::new(&store, &config).unwrap();
            (0..3).for_each(|_| trainer.step(&loss(&net, 1.0)).unwrap());
            net.ws.copy()
        };
        assert!(after(Arc::new(Twin)).equal(&after(Arc::new(SingleProcess))));
    }

    #[test]
    fn the_average_is_bound_while_work_runs_even_if_it_panics() {
        let (store, net) = one();
        let mut trainer = Trainer::new(&store, &TrainerConfig { lr: 0.5, ..TrainerConfig::default() }).unwrap();
        for _ in 0..20 {
            trainer.step(&loss(&net, 1.0)).unwrap();
        }
        let weights = net.ws.copy();
        assert!(!trainer.with_ema(|| net.ws.copy()).equal(&weights));
        let panicked = catch_unwind(AssertUnwindSafe(|| trainer.with_ema(|| assert!(net.ws.numel() == 0))));
        assert!(panicked.is_err() && net.ws.equal(&weights));
    }
}
