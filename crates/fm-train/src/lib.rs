//! Training of velocity networks: everything between a batch and a file on disk.
//!
//! | module | idea |
//! |---|---|
//! | [`batch`], [`prefetch`] | the data of a step, made ahead of time by worker threads |
//! | [`block`] | everything that a step needs from the host, in one upload |
//! | [`data`], [`pairing`] | batches of a data set: order, mirroring, dropped labels, source rows |
//! | [`resident`], [`pairs`] | images that stay on the device; a teacher's noise and samples, in files |
//! | [`flat`] | all parameters in one vector, all gradients in another |
//! | [`optimizer`], [`ema`], [`schedule`] | a handful of kernels over those vectors, and a function of the step |
//! | [`adaptive`] | times that follow the loss |
//! | [`peers`] | the processes that train one model together |
//! | [`task`] | what is minimised: flow matching, or another loss |
//! | [`train`](mod@train) | the loop, one readable function |
//! | [`tally`], [`record`] | what is seen of a run, and a line of its log |
//! | [`observe`] | what looks on: early stopping, the best checkpoint, and whatever else |
//! | [`checkpoint`] | a directory per step, complete or absent |
//! | [`tensorboard`] | the log as TensorBoard reads it |
//! | [`files`] | writing that survives being killed |
//! | [`run_dir`] | the directory of a run: lock, configuration, metrics |
//!
//! The crate knows paths, data sets and couplings from `fm-core` alone; whoever makes batches is a [`batch::BatchSource`].
//!
//! A loop of one's own takes the parts it wants:
//!
//! ```
//! use fm_core::{objective::Objective, path::PathKind, rng::{Stream, normal_rows}, tape::Tape, tensor::Role};
//! use fm_models::{ModelConfig, mlp::MlpConfig};
//! use fm_train::batch::Batch;
//! use fm_train::flat::{FlatParams, Precision};
//! use fm_train::optimizer::{Optimizer, OptimizerConfig, Scaling};
//! use fm_train::task::{FlowMatching, PackContext, Task};
//! use tch::{Device, Tensor, nn};
//!
//! tch::manual_seed(0);
//! let (device, store) = (Device::Cpu, nn::VarStore::new(Device::Cpu));
//! let model = ModelConfig::Mlp(MlpConfig::default()).build(&store.root())?;
//! let mut params = FlatParams::new(&store, Precision::F32)?;
//! let mut adamw = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
//! let task = FlowMatching::new(model.as_ref(), Objective::on(PathKind::Linear), vec![2]);
//! let packer = task.packer();
//! let mut losses = Vec::new();
//! for step in 0..150 {
//!     // Noise to points on a line.
//!     let x1 = normal_rows(0, step, Stream::Data, 0, 64, 1).into_iter().flat_map(|x| [x, -x]).collect();
//!     let batch = Batch { x0: normal_rows(0, step, Stream::Noise, 0, 64, 2), x1, ..Batch::default() };
//!     let inputs = packer.pack(&batch, &PackContext { seed: 0, step, device, density: None })?.upload(device);
//!     let mut tape = Tape::off();
//!     let found = task.loss(&inputs, 0..64, &mut tape)?;
//!     let gradient = params.backward(&found.loss, tape)?;
//!     adamw.step(&mut params.master, &gradient, 3e-3, &Scaling::none(device))?;
//!     losses.push(found.loss.double_value(&[]));
//! }
//! let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
//! assert!(mean(&losses[100..]) < 0.75 * mean(&losses[..10]), "{losses:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod adaptive;
pub mod batch;
pub mod block;
pub mod checkpoint;
pub mod data;
pub mod ema;
pub mod error;
pub mod files;
pub mod flat;
pub mod observe;
pub mod optimizer;
mod overlap;
pub mod pairing;
pub mod pairs;
pub mod peers;
pub mod prefetch;
pub mod record;
pub mod resident;
pub mod run_dir;
pub mod schedule;
pub mod tally;
pub mod task;
pub mod tensorboard;
pub mod train;

pub use error::TrainError;
pub use fm_torch::device;
