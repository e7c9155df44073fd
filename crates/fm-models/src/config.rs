//! Methods of [`ModelConfig`], the configuration of any network: building it, counting its
//! parameters, and more.
//!
//! ```
//! use fm_models::{ModelConfig, unet::UNetConfig};
//! let text = serde_json::to_string(&ModelConfig::Unet(UNetConfig::default())).unwrap();
//! assert!(text.starts_with(r#"{"kind":"unet""#));
//! ```

pub use crate::ModelConfig;

use crate::error::{ModelError, require};
use crate::network::Activations;
use fm_core::tensor::{Role, VelocityModel};
use tch::nn::Path;

impl ModelConfig {
    /// Sets image size (channels, height, width) and classes to those of a data set. `null_class`
    /// adds a null class.
    pub fn fit_to_images(&mut self, shape: [usize; 3], classes: usize, null_class: bool) {
        self.network_mut().fit_to_images(shape.map(|n| n as i64), classes as i64, null_class);
    }

    /// The shape of one row of data.
    pub fn data_shape(&self) -> Vec<i64> {
        self.network().data_shape()
    }

    /// The same network for images of another height and width. All weights fit both, except a
    /// transformer's table of positions, which is computed for the new grid.
    ///
    /// # Errors
    /// A network for points, and a size that its patches or stages do not divide.
    pub fn at_size(&self, [height, width]: [i64; 2]) -> Result<Self, ModelError> {
        let given = || format!("images of {height} x {width}");
        let (divisor, kind) = (self.network().size_divisor(), self.kind());
        let Some(divisor) = divisor else {
            let remedy = "leave out the size: it is a network for points";
            return Err(ModelError { model: kind, problem: given(), remedy });
        };
        let fits = divisor > 0 && height % divisor == 0 && width % divisor == 0;
        let problem = format!("{} are not divisible by {divisor}", given());
        require(fits, kind, problem, "give a height and a width that are")?;
        let mut resized = self.clone();
        let channels = self.data_shape()[0];
        let (classes, null_class) = (self.classes(), self.null_class().is_some());
        resized.network_mut().fit_to_images([channels, height, width], classes, null_class);
        resized.network().validate()?;
        Ok(resized)
    }

    /// The number of classes, without the null class; 0 for an unconditional network.
    pub fn classes(&self) -> i64 {
        self.network().classes()
    }

    /// The index of the null class, if there is one.
    pub fn null_class(&self) -> Option<i64> {
        let classes = self.classes();
        (classes > 0 && self.network().null_class()).then_some(classes)
    }

    /// The factor of t in the frequencies of the time embedding; `None` for networks without one.
    pub fn time_scale(&self) -> Option<f64> {
        match self {
            Self::Unet(config) => Some(config.time.scale),
            Self::Dit(config) => Some(config.time.scale),
            Self::Sequence(config) => Some(config.time.scale),
            _ => None,
        }
    }

    /// Whether the network takes an interval of time, as a flow map does.
    pub fn takes_intervals(&self) -> bool {
        self.network().interval()
    }

    /// The same network with or without an interval. All other parameters have the same names and
    /// shapes, and at an interval of 0 a new network with one computes what the other one computes.
    pub fn with_intervals(mut self, interval: bool) -> Self {
        self.network_mut().set_interval(interval);
        self
    }

    /// Whether the network predicts a score beside the velocity.
    pub fn has_score(&self) -> bool {
        self.network().score()
    }

    /// The same network with or without a scaled score as the second half of its output
    /// ([`bridge`](fm_core::bridge)). All parameters have the same names, and all but those of the
    /// last layer the same shapes.
    ///
    /// # Errors
    /// A score of a network for sequences.
    pub fn with_score(mut self, score: bool) -> Result<Self, ModelError> {
        let (kind, possible) = (self.kind(), self.network_mut().set_score(score));
        let problem = "it has no second output for a score".to_owned();
        require(possible, kind, problem, "choose another network, or predict the velocity alone")?;
        Ok(self)
    }

    /// Whether the output has a second half for the variance.
    pub(crate) fn learns_sigma(&self) -> bool {
        self.network().learns_sigma()
    }

    /// Number of trainable values, computed without building the network.
    ///
    /// # Errors
    /// [`ModelError`] for a configuration that cannot be built.
    pub fn parameters(&self) -> Result<i64, ModelError> {
        self.network().validate().map(|()| self.network().parameters())
    }

    /// Prefixes of the parameter names of the first and the last layer.
    pub(crate) fn ends(&self) -> [String; 2] {
        self.network().ends()
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
