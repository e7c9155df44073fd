//! One value that describes any network and builds it.
//!
//! ```
//! use fm_models::{ModelConfig, unet::UNetConfig};
//! let text = serde_json::to_string(&ModelConfig::Unet(UNetConfig::default())).unwrap();
//! assert!(text.starts_with(r#"{"kind":"unet""#));
//! ```

use crate::{concat_squash::ConcatSquashConfig, dit::DitConfig, mlp::MlpConfig, unet::UNetConfig};
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

/// Values per sample that a training step holds, by the blocks that [`Tape`](fm_core::tape::Tape) runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activations {
    /// Of all blocks: what the backward pass needs where nothing is computed again.
    pub all: i64,
    /// The outputs of the blocks, which a taped pass keeps.
    pub outputs: i64,
    /// Of the largest block, which a taped pass computes again.
    pub largest: i64,
}

impl Activations {
    /// Of a network that is one block.
    pub(crate) fn whole(values: i64) -> Self {
        Self { all: values, outputs: 0, largest: values }
    }

    /// Counts a block that keeps `inside` values, `output` of them its output.
    pub(crate) fn block(&mut self, inside: i64, output: i64) {
        self.all += inside;
        self.outputs += output;
        self.largest = self.largest.max(inside);
    }
}

/// A network that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the {model} cannot be built: {problem}; {remedy}")]
pub struct ModelError {
    /// Which network.
    pub model: &'static str,
    /// What does not fit.
    pub problem: String,
    /// What to change.
    pub remedy: &'static str,
}

impl ModelConfig {
    /// The name that users type.
    pub fn kind(&self) -> &'static str {
        match self {
            ModelConfig::Unet(_) => "unet",
            ModelConfig::Dit(_) => "dit",
            ModelConfig::Mlp(_) => "mlp",
            ModelConfig::ConcatSquash(_) => "concat-squash",
        }
    }

    /// Sets image size (channels, height, width) and classes to those of a data set. `null_class` adds the row that stands for "no class".
    pub fn fit_to_images(&mut self, shape: [usize; 3], classes: usize, null_class: bool) {
        let [image_channels, height, width] = shape.map(|n| n as i64);
        let (image_size, classes) = ([height, width], classes as i64);
        match self {
            ModelConfig::Unet(c) => *c = UNetConfig { image_channels, image_size, classes, null_class, ..c.clone() },
            ModelConfig::Dit(c) => *c = DitConfig { image_channels, image_size, classes, null_class, ..c.clone() },
            ModelConfig::Mlp(_) | ModelConfig::ConcatSquash(_) => {}
        }
    }

    /// The shape of one row of data.
    pub fn data_shape(&self) -> Vec<i64> {
        match self {
            ModelConfig::Unet(c) => vec![c.image_channels, c.image_size[0], c.image_size[1]],
            ModelConfig::Dit(c) => vec![c.image_channels, c.image_size[0], c.image_size[1]],
            ModelConfig::Mlp(c) => vec![c.dim],
            ModelConfig::ConcatSquash(c) => vec![c.dim],
        }
    }

    /// The number of classes that conditions may name; 0 for an unconditional network.
    pub fn classes(&self) -> i64 {
        match self {
            ModelConfig::Unet(c) => c.classes,
            ModelConfig::Dit(c) => c.classes,
            ModelConfig::Mlp(c) => c.classes,
            ModelConfig::ConcatSquash(c) => c.classes,
        }
    }

    /// The index of the class that stands for "no class", if there is one.
    pub fn null_class(&self) -> Option<i64> {
        let has = match self {
            ModelConfig::Unet(c) => c.null_class,
            ModelConfig::Dit(c) => c.null_class,
            ModelConfig::Mlp(c) => c.null_class,
            ModelConfig::ConcatSquash(c) => c.null_class,
        };
        (has && self.classes() > 0).then(|| self.classes())
    }

    /// Trainable values, counted without building anything.
    ///
    /// # Errors
    /// [`ModelError`] for a configuration that cannot be built.
    pub fn parameters(&self) -> Result<i64, ModelError> {
        Ok(match self {
            ModelConfig::Unet(c) => c.validate().map(|()| c.parameters())?,
            ModelConfig::Dit(c) => c.validate().map(|()| c.parameters())?,
            ModelConfig::Mlp(c) => c.validate().map(|()| c.parameters())?,
            ModelConfig::ConcatSquash(c) => c.validate().map(|()| c.parameters())?,
        })
    }

    /// What a parameter of this network does, as far as optimizers care.
    pub fn role(&self, name: &str, shape: &[i64]) -> Role {
        let (first, last) = match self {
            ModelConfig::Unet(_) => ("input_blocks.0.0.", "out.2.".into()),
            ModelConfig::Dit(_) => ("x_embedder.", "final_layer.linear.".into()),
            ModelConfig::Mlp(c) => ("net.0.", format!("net.{}.", 2 * c.widths.len())),
            ModelConfig::ConcatSquash(c) => ("layers.0.", format!("layers.{}.", c.widths.len())),
        };
        // A matrix of one column, which a time is multiplied by, has no directions to tell apart.
        let matrix = shape.len() > 1 && shape[0] > 1 && shape[1..].iter().product::<i64>() > 1;
        match name {
            _ if name.starts_with("label_emb.") || name.starts_with("y_embedder.") => Role::Table,
            _ if shape.len() < 2 => Role::Vector,
            _ if !matrix || name.starts_with(first) || name.starts_with(&last) => Role::Edge,
            _ => Role::Hidden,
        }
    }

    /// Values that a training step holds per sample: an estimate, for planning.
    pub fn activations(&self) -> Activations {
        match self {
            ModelConfig::Unet(c) => c.activations(),
            ModelConfig::Dit(c) => c.activations(),
            ModelConfig::Mlp(c) => Activations::whole(c.activations_per_sample()),
            ModelConfig::ConcatSquash(c) => Activations::whole(c.activations_per_sample()),
        }
    }

    /// Checks the configuration and creates the network's variables below `path`, freshly initialised from libtorch's
    /// generator (seed it first).
    ///
    /// # Errors
    /// [`ModelError`] names what does not fit and what to change.
    pub fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError> {
        Ok(match self {
            ModelConfig::Unet(c) => Box::new(crate::unet::unet(path, c)?),
            ModelConfig::Dit(c) => Box::new(crate::dit::dit(path, c)?),
            ModelConfig::Mlp(c) => Box::new(crate::mlp::mlp(path, c)?),
            ModelConfig::ConcatSquash(c) => Box::new(crate::concat_squash::concat_squash(path, c)?),
        })
    }
}

/// Fails with a [`ModelError`] unless `good`.
pub(crate) fn require(
    good: bool,
    model: &'static str,
    problem: impl Into<String>,
    remedy: &'static str,
) -> Result<(), ModelError> {
    if good { Ok(()) } else { Err(ModelError { model, problem: problem.into(), remedy }) }
}
