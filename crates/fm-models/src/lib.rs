//! Velocity networks on libtorch, with the parameter names of published checkpoints.
//!
//! | module | network |
//! |---|---|
//! | [`unet`] | the U-Net of the guided-diffusion family, compatible with torchcfm's `UNetModelWrapper` |
//! | [`dit`] | the diffusion transformer with adaLN-Zero |
//! | [`sequence`] | the same transformer over the places of a sequence |
//! | [`mlp`] | a GELU or SELU MLP for points and tables |
//! | [`concat_squash`] | networks of time-conditioned layers, ConcatSquash by default, for points and tables |
//! | [`timed_layer`] | these layers: the family of FFJORD, or your own |
//! | [`vqvae`] | the vector-quantised autoencoder; image networks can work in its latent space |
//! | [`features`] | feature extractors for measuring the quality of samples; not velocity networks |
//! | [`embedding`] | sinusoidal time embedding and two-dimensional positions |
//! | [`interval`] | intervals of time as a further input, for flow maps |
//! | [`resize`] | networks at other image sizes than they were built for |
//! | [`reverse`] | weights of networks whose time runs from data to noise |
//! | [`interchange`] | import and export of weights as `.safetensors` and `.pt`, and recognition of networks |
//! | [`config`] | one type that describes and builds any velocity network |
//!
//! Every velocity network implements [`VelocityModel`]: v(x, t | condition) with t in [0, 1].
//!
//! ```
//! use fm_core::tensor::VelocityModel;
//! use fm_models::{ModelConfig, mlp::MlpConfig};
//! use tch::{Device, Kind, Tensor, nn};
//! let store = nn::VarStore::new(Device::Cpu);
//! let model = ModelConfig::Mlp(MlpConfig::default()).build(&store.root())?;
//! let v = model.forward_t(&Tensor::zeros([5, 2], (Kind::Float, Device::Cpu)), &Tensor::zeros([5], (Kind::Float, Device::Cpu)), None, false);
//! assert_eq!(v.size(), [5, 2]);
//! assert_eq!(fm_models::parameter_count(&store), (3 * 64 + 64) + 2 * (64 * 64 + 64) + (64 * 2 + 2));
//! # Ok::<(), fm_models::ModelError>(())
//! ```

mod adaln;
pub mod concat_squash;
pub mod config;
pub mod dit;
pub mod embedding;
mod error;
mod expect;
pub mod features;
mod fused;
pub mod interchange;
pub mod interval;
pub mod layers;
pub mod mlp;
mod network;
mod polynomial;
pub mod resize;
pub mod reverse;
pub mod sequence;
pub mod timed_layer;
pub mod unet;
pub mod vqvae;

pub use error::ModelError;
pub use fm_core::tensor::VelocityModel;
pub use interchange::InterchangeError;
pub use network::Activations;
pub use tch;

network::networks! {
    /// Any network of this crate.
    pub enum ModelConfig {
        /// Convolutional, for images.
        Unet = "unet" (unet::UNetConfig),
        /// Transformer over patches, for images.
        Dit = "dit" (dit::DitConfig),
        /// Transformer over places, for sequences.
        Sequence = "sequence" (sequence::SequenceConfig),
        /// Fully connected, for points and tables.
        Mlp = "mlp" (mlp::MlpConfig),
        /// Fully connected, gated by time, for points and tables.
        ConcatSquash = "concat-squash" (concat_squash::ConcatSquashConfig),
    }
}

/// Number of trainable values.
pub fn parameter_count(store: &tch::nn::VarStore) -> usize {
    store.trainable_variables().iter().map(tch::Tensor::numel).sum()
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
