//! One value that describes any network and builds it.
//!
//! ```
//! use fm_models::{ModelConfig, unet::UNetConfig};
//! let text = serde_json::to_string(&ModelConfig::Unet(UNetConfig::default())).unwrap();
//! assert!(text.starts_with(r#"{"kind":"unet""#));
//! ```

use crate::network::{Activations, NetworkConfig};
use crate::{ModelError, concat_squash::ConcatSquashConfig, dit::DitConfig, mlp::MlpConfig, unet::UNetConfig};
use fm_core::tensor::{Role, VelocityModel};
use serde::{Deserialize, Serialize};
use tch::nn::Path;

/// Any network of this crate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ModelConfig {
    /// Convolutional, for images.
    Unet(UNetConfig),
    /// Transformer over patches, for images.
    Dit(DitConfig),
    /// Fully connected, for points and tables.
    Mlp(MlpConfig),
    /// Fully connected, gated by time, for points and tables.
    ConcatSquash(ConcatSquashConfig),
}

impl ModelConfig {
    fn network(&self) -> &dyn NetworkConfig {
        match self {
            ModelConfig::Unet(c) => c,
            ModelConfig::Dit(c) => c,
            ModelConfig::Mlp(c) => c,
            ModelConfig::ConcatSquash(c) => c,
        }
    }

    fn network_mut(&mut self) -> &mut dyn NetworkConfig {
        match self {
            ModelConfig::Unet(c) => c,
            ModelConfig::Dit(c) => c,
            ModelConfig::Mlp(c) => c,
            ModelConfig::ConcatSquash(c) => c,
        }
    }

    /// The name of the network's kind.
    pub fn kind(&self) -> &'static str {
        self.network().kind()
    }

    /// Sets image size (channels, height, width) and classes to those of a data set. `null_class`
    /// adds a null class.
    pub fn fit_to_images(&mut self, shape: [usize; 3], classes: usize, null_class: bool) {
        self.network_mut().fit_to_images(shape.map(|n| n as i64), classes as i64, null_class);
    }

    /// The shape of one row of data.
    pub fn data_shape(&self) -> Vec<i64> {
        self.network().data_shape()
    }

    /// The number of classes, without the null class; 0 for an unconditional network.
    pub fn classes(&self) -> i64 {
        self.network().classes().0
    }

    /// The index of the null class, if there is one.
    pub fn null_class(&self) -> Option<i64> {
        let (classes, null_class) = self.network().classes();
        (null_class && classes > 0).then_some(classes)
    }

    /// Number of trainable values, computed without building the network.
    ///
    /// # Errors
    /// [`ModelError`] for a configuration that cannot be built.
    pub fn parameters(&self) -> Result<i64, ModelError> {
        self.network().validate().map(|()| self.network().parameters())
    }

    /// The role of a parameter for optimizers.
    pub fn role(&self, name: &str, shape: &[i64]) -> Role {
        let [first, last] = self.network().ends();
        // A matrix with a single row or column (one that multiplies the time, say) has no
        // directions to orthogonalise.
        let matrix = shape.len() > 1 && shape[0] > 1 && shape[1..].iter().product::<i64>() > 1;
        match name {
            _ if name.starts_with("label_emb.") || name.starts_with("y_embedder.") => Role::Table,
            _ if shape.len() < 2 => Role::Vector,
            _ if !matrix || name.starts_with(&first) || name.starts_with(&last) => Role::Edge,
            _ => Role::Hidden,
        }
    }

    /// Estimated number of values per sample that a training step stores.
    pub fn activations(&self) -> Activations {
        self.network().activations()
    }

    /// Checks the configuration and creates the network's variables below `path`. They are
    /// initialised from libtorch's generator, so seed it first.
    ///
    /// # Errors
    /// [`ModelError`] with the invalid setting and the remedy.
    pub fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError> {
        self.network().build(path)
    }
}
