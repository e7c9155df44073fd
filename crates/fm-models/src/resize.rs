//! Networks at other image sizes than they were built for.
//!
//! A U-Net is convolutional and takes (B, C, H, W) for every H and W that its 2^(stages - 1)
//! divides. A DiT takes every size that its patch divides: the positions of patch (i, j) are the
//! sines and cosines of its row i and column j ([`positions_2d`](crate::embedding::positions_2d)),
//! for any grid. All other weights are the same. What such a network draws at a size it was not
//! trained at is not what training at that size would give: attention spreads over more places, and
//! positions beyond the trained grid are new to it.
//!
//! ```
//! use fm_core::tensor::VelocityModel;
//! use fm_models::{ModelConfig, dit::DitConfig, resize::resized};
//! use tch::{Device, Kind, Tensor, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! let config = DitConfig { image_size: [8, 8], width: 32, depth: 1, heads: 2, ..DitConfig::default() };
//! let config = ModelConfig::Dit(config);
//! config.build(&store.root())?;
//! let wide = resized(&config, &store, [8, 12])?;
//! assert_eq!(wide.config.data_shape(), [3, 8, 12]);
//! let x = Tensor::zeros([2, 3, 8, 12], (Kind::Float, Device::Cpu));
//! let v = wide.model.forward(&x, &Tensor::from_slice(&[0.5f32, 0.5]), None);
//! assert_eq!(v.size(), [2, 3, 8, 12]);
//! let error = resized(&config, &store, [8, 13]).unwrap_err().to_string();
//! assert!(error.contains("not divisible by 2"), "{error}");
//! # Ok::<(), fm_models::ModelError>(())
//! ```

use crate::{ModelConfig, ModelError};
use fm_core::tensor::VelocityModel;
use tch::nn::VarStore;
use tch::no_grad;

/// A network at another size, with a copy of the weights.
#[derive(Debug)]
pub struct Resized {
    /// Its configuration.
    pub config: ModelConfig,
    /// Its weights, on the device of the original's.
    pub store: VarStore,
    /// The network.
    pub model: Box<dyn VelocityModel>,
}

/// The network of a configuration and its weights, for images of another height and width.
///
/// # Errors
/// As [`ModelConfig::at_size`], and a store that is not this network's.
pub fn resized(config: &ModelConfig, store: &VarStore, size: [i64; 2]) -> Result<Resized, ModelError> {
    let config = config.at_size(size)?;
    let resized = VarStore::new(store.device());
    let model = config.build(&resized.root())?;
    let weights = store.variables();
    no_grad(|| {
        for (name, mut variable) in resized.variables() {
            // Positions are computed for the grid.
            if name == POSITIONS {
                continue;
            }
            match weights.get(&name) {
                Some(weight) if weight.size() == variable.size() => variable.copy_(weight),
                _ => return Err(foreign(config.kind(), &name)),
            }
        }
        Ok(())
    })?;
    Ok(Resized { config, store: resized, model })
}

const POSITIONS: &str = "pos_embed";

fn foreign(model: &'static str, name: &str) -> ModelError {
    let problem = format!("the weights have no fitting {name}");
    ModelError { model, problem, remedy: "give the store that its configuration was built in" }
}
