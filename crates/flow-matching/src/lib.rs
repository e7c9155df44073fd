//! Flow matching in Rust: every library crate of the workspace under one name.
//!
//! A flow-matching model learns a velocity field v(x, t) that transports noise (t = 0) to data
//! (t = 1). Sampling integrates dx/dt = v.
//!
//! | module | crate | content |
//! |---|---|---|
//! | [`core`] | `fm-core` | paths, predictions, times, weightings, losses, sources, exact fields |
//! | [`ot`] | `fm-ot` | costs, exact and entropic plans, minibatch couplings |
//! | [`solvers`] | `fm-solvers` | Runge-Kutta methods, adaptive steps per batch or per sample, SDEs |
//! | [`data`] | `fm-data` | digits, CIFAR-10, image folders, NumPy files, point clouds, tables |
//! | [`metrics`] | `fm-metrics` | Fréchet distance, KID, precision and recall, distances of point clouds |
//! | `torch` | `fm-torch` | CUDA devices, fused AdamW, forward-mode derivatives (feature `torch`) |
//! | `models` | `fm-models` | U-Net, DiT, MLP, ConcatSquash, VQ-VAE (feature `torch`) |
//! | `train` | `fm-train` | trainer, training loop, EMA, checkpoints (feature `torch`) |
//! | `dist` | `fm-dist` | process groups over Gloo and NCCL (feature `torch`) |
//!
//! Each crate can also be used separately; this crate adds only a [`prelude`]. It also re-exports
//! the libraries whose types appear in signatures, so that versions match:
//!
//! | library | version |
//! |---|---|
//! | `ndarray` | 0.16 |
//! | `rand` | 0.9 |
//! | `tch` (feature `torch`) | 0.24.0, libtorch 2.11.0 |
//!
//! Without libtorch, x_t = t x1 + (1 - t) x0 and its velocity x1 - x0:
//!
//! ```
//! use flow_matching::prelude::*;
//! let flow = FlowMatching::default();
//! let sample = flow.sample(&array![[0.0f32, 0.0]], &array![[4.0f32, -2.0]], &[0.25])?;
//! assert_eq!(sample.x_t, array![[1.0, -0.5]]);
//! assert_eq!(sample.target, array![[4.0, -2.0]]);
//! # Ok::<(), flow_matching::core::Error>(())
//! ```

pub use fm_core as core;
pub use fm_data as data;
#[cfg(feature = "torch")]
pub use fm_dist as dist;
pub use fm_metrics as metrics;
#[cfg(feature = "torch")]
pub use fm_models as models;
pub use fm_ot as ot;
pub use fm_solvers as solvers;
#[cfg(feature = "torch")]
pub use fm_torch as torch;
#[cfg(feature = "torch")]
pub use fm_train as train;

pub use ndarray;
pub use rand;
#[cfg(feature = "torch")]
pub use tch;

pub mod prelude {
    //! The names that most programs use.

    pub use fm_core::FlowMatching;
    pub use fm_core::coupling::{Coupling, Independent};
    pub use fm_core::data::{Classes, Conditions, DataError, Dataset, Pick};
    pub use fm_core::field::{RowField, SharedTime, VelocityField};
    pub use fm_core::loss::{Loss, RowLoss};
    pub use fm_core::objective::Objective;
    pub use fm_core::path::{Coefficients, PathKind, ProbPath};
    pub use fm_core::prediction::Prediction;
    pub use fm_core::rng::{Key, Stream, normal_rows};
    pub use fm_core::source::{Source, SourceDistribution, SourceKind};
    pub use fm_core::time::{TimeDistribution, TimeKind};
    pub use fm_core::weighting::{TimeWeight, Weighting};
    pub use fm_data::points::toy;
    pub use fm_metrics::evaluation::Evaluation;
    pub use fm_ot::coupling::OtCoupling;
    pub use fm_ot::semidiscrete::Semidiscrete;
    pub use fm_solvers::guidance::GuidanceOptions;
    pub use fm_solvers::sampler::SolverName;
    pub use fm_solvers::{Adaptive, AdaptiveOptions, Event, Fixed, Grid, Sampler, Samples, SaveAt, Solver, solve};
    pub use ndarray::{self, Array1, Array2, ArrayView2, array};

    #[cfg(feature = "torch")]
    pub use {
        fm_core::tensor::{BuildModel, ConditionKind, TrainedModel, VelocityModel},
        fm_models::{ModelConfig, concat_squash::ConcatSquashConfig, dit::DitConfig, mlp::MlpConfig, unet::UNetConfig},
        fm_solvers::guidance::{Guidance, Guided, Unconditional},
        fm_train::callbacks::{Callback, Progress},
        fm_train::checkpoint::Weights,
        fm_train::device::DeviceChoice,
        fm_train::{
            Batch, BatchOptions, BatchSource, FlowBatches, FlowTask, FlowTraining, Run, RunOptions, TrainError,
            TrainOptions, Trainer, TrainerConfig,
        },
        tch::{self, Device, Kind, Tensor, nn},
    };
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
