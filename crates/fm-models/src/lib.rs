//! Velocity networks on libtorch, with the parameter names that the field's checkpoints use.
//!
//! | module | network |
//! |---|---|
//! | [`unet`] | the U-Net of the guided-diffusion family, as torchcfm's `UNetModelWrapper` |
//! | [`dit`] | the diffusion transformer with adaLN-Zero |
//! | [`mlp`] | a GELU or SELU MLP for points and tables |
//! | [`concat_squash`] | the ConcatSquash network of continuous normalising flows, for the same |
//! | [`vqvae`] | the vector-quantised autoencoder, whose latent space the image networks can work in |
//! | [`features`] | not velocities: networks whose features say how good samples are |
//! | [`embedding`] | sinusoidal time embedding and two-dimensional positions |
//! | [`interchange`] | weights that travel: `.safetensors` and `.pt` in and out, networks recognised |
//! | [`config`] | one value that describes any of them and builds it |
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

pub mod concat_squash;
pub mod config;
pub mod dit;
pub mod embedding;
mod error;
pub mod features;
mod fused;
pub mod interchange;
pub mod layers;
pub mod mlp;
mod network;
pub mod unet;
pub mod vqvae;

pub use config::ModelConfig;
pub use error::ModelError;
pub use fm_core::tensor::VelocityModel;
pub use interchange::InterchangeError;
pub use network::Activations;
pub use tch;

/// Number of trainable values.
pub fn parameter_count(store: &tch::nn::VarStore) -> usize {
    store.trainable_variables().iter().map(tch::Tensor::numel).sum()
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
