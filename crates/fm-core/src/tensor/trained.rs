//! Networks that are built from a configuration, and trained ones with their flow.

use super::VelocityModel;
use crate::FlowMatching;
use std::error::Error;
use tch::nn;

/// A configuration that describes a network completely, so that a trained one can be loaded.
pub trait BuildModel {
    /// Creates the network and its variables below `path`.
    ///
    /// # Errors
    /// An invalid setting.
    fn build(&self, path: &nn::Path<'_>) -> Result<Box<dyn VelocityModel>, BuildError>;
}

/// The error of a configuration that cannot build its network.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BuildError(Box<dyn Error + Send + Sync>);

impl BuildError {
    /// From an error or a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// A network and the flow that it was trained on, which sampling needs.
#[derive(Debug)]
pub struct TrainedModel {
    /// The network.
    pub network: Box<dyn VelocityModel>,
    /// Its flow.
    pub flow: FlowMatching,
}
