//! Training of velocity networks: everything between a batch and a file on disk.
//!
//! | module | idea |
//! |---|---|
//! | [`batch`] | what a step consumes; worker threads make it ahead of time |
//! | [`flat`] | all parameters in one vector, all gradients in another |
//! | [`optimizer`], [`ema`], [`schedule`] | a handful of kernels over those vectors, and a function of the step |
//! | [`adaptive`] | times that follow the loss |
//! | [`task`] | what is minimised: flow matching, or another loss |
//! | [`train`](mod@train) | the loop, one readable function |
//! | [`tally`], [`record`] | what is seen of a run, and a line of its log |
//! | [`observe`] | what looks on: early stopping, the best checkpoint, and whatever else |
//! | [`checkpoint`] | a directory per step, complete or absent |
//! | [`files`] | writing that survives being killed |
//! | [`run_dir`] | the directory of a run: lock, configuration, metrics |
//!
//! The crate knows paths and models from `fm-core` alone; data and couplings reach it through [`batch::BatchSource`].

pub mod adaptive;
pub mod batch;
pub mod checkpoint;
pub mod ema;
pub mod error;
pub mod files;
pub mod flat;
pub mod observe;
pub mod optimizer;
pub mod record;
pub mod run_dir;
pub mod schedule;
pub mod tally;
pub mod task;
pub mod train;

pub use error::TrainError;
