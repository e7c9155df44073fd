//! Training of velocity networks on libtorch.
//!
//! [`Trainer`] does one training step, for a loop that you write yourself.
//! [`train`](mod@crate::train) is a complete loop, and [`Run`] runs it in a directory with
//! checkpoints and a log.
//!
//! | module | idea |
//! |---|---|
//! | [`batch`], [`prefetch`] | the data of a step, made ahead of time by worker threads |
//! | [`block`] | all inputs of a step, in one upload |
//! | [`batches`] | batches of a data set: order, mirroring, label dropout, coupled source rows |
//! | [`device_dataset`], [`pairs`] | images kept in device memory; files of a teacher's pairs, for reflow |
//! | [`flat`] | all parameters in one vector, all gradients in another |
//! | [`optimizer`], [`ema`], [`schedule`] | updates of the weights, their moving averages, learning-rate schedules |
//! | [`power_average`] | averages of the weights whose length is chosen after the training |
//! | [`loss_aware`] | loss-aware time sampling |
//! | [`collective`] | data-parallel training: all-reduce over the processes that train one model |
//! | [`task`] | losses: flow matching, or your own |
//! | [`flow_map`] | losses of flow maps, which sample in one or a few steps |
//! | [`train`](mod@train) | the training loop |
//! | [`trained_source`] | a Gaussian source whose mean and scale are trained with the network |
//! | [`trainer`] | one training step |
//! | [`accumulator`], [`record`] | metrics accumulated on the device, and the lines of the log |
//! | [`epoch`] | passes over the data |
//! | [`held_out`] | validation: the loss on held-out rows |
//! | [`callbacks`], [`monitor`] | callbacks: early stopping on a value of the log, the best checkpoints, your own |
//! | [`checkpoint`] | a directory per step, complete or absent |
//! | [`tensorboard`] | TensorBoard event files |
//! | [`files`] | atomic, durable writes |
//! | [`run`] | a run in a directory, in one call |
//! | [`run_dir`] | the directory of a run: lock, configuration, metrics |
//!
//! Paths, data sets and couplings come from `fm-core`. Batches come from any
//! [`batch::BatchSource`].
//!
//! A loop with AdamW, gradient clipping and an EMA of the weights:
//!
//! ```
//! use fm_core::{FlowMatching, rng::{Key, Stream, normal_rows}};
//! use fm_models::{ModelConfig, mlp::MlpConfig};
//! use fm_train::{FlowTraining, Trainer, TrainerConfig};
//! use tch::{Device, nn};
//!
//! tch::manual_seed(0);
//! let store = nn::VarStore::new(Device::Cpu);
//! let net = ModelConfig::Mlp(MlpConfig::default()).build(&store.root())?;
//! // Points on a line.
//! let line = normal_rows(Key::new(0, 0, Stream::Data), 1000, 1);
//! let data = ndarray::Array2::from_shape_fn((1000, 2), |(row, k)| if k == 0 { line[row] } else { -line[row] });
//! let flow = FlowMatching::default();
//! let mut trainer = Trainer::new(&store, &TrainerConfig { lr: 1e-2, ..TrainerConfig::default() })?;
//! let mut losses = Vec::new();
//! for batch in flow.batches(&data, 64)?.take(300) {
//!     let loss = flow.loss(&net, &batch?)?;
//!     trainer.step(&loss)?;
//!     losses.push(loss.double_value(&[]));
//! }
//! let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
//! assert!(mean(&losses[200..]) < 0.8 * mean(&losses[..10]), "{losses:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod accumulator;
pub mod batch;
pub mod batches;
pub mod block;
pub mod callbacks;
pub mod checkpoint;
pub mod collective;
mod coupler;
mod device_choice;
pub mod device_dataset;
pub mod ema;
pub mod epoch;
pub mod error;
pub mod files;
pub mod fingerprint;
pub mod flat;
pub mod flow_map;
mod flow_packer;
pub mod held_out;
pub mod loss_aware;
pub mod monitor;
pub mod optimizer;
mod outputs;
mod overlap;
mod pack;
pub mod pairs;
pub mod power_average;
pub mod prefetch;
pub mod record;
pub mod run;
pub mod run_dir;
mod run_model;
pub mod schedule;
mod state;
pub mod task;
pub mod tensorboard;
pub mod train;
pub mod trained_source;
pub mod trainer;

pub use batch::{Batch, BatchSource};
pub use batches::{BatchOptions, FlowBatches};
pub use error::TrainError;
pub use fm_core::ndarray;
pub use fm_torch::device;
pub use run::{Run, RunOptions};
pub use state::TrainState;
pub use task::{FlowTask, FlowTraining, Task};
pub use train::{TrainOptions, train};
pub use trainer::{Trainer, TrainerConfig};

pub use tch;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
