//! Recognises the network that weights belong to.

use super::assume::{Assumption, use_of};
use super::names::computed;
use super::shapes::infer;
use super::{InterchangeError, Weights, describe};
use crate::ModelConfig;

/// A configuration, and what is assumed about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// The network.
    pub config: ModelConfig,
    /// Settings that are determined neither by names, shapes nor metadata: those of the network,
    /// then those of its use (prediction, path, direction of time, guidance, decoder).
    pub assumed: Vec<Assumption>,
}

/// Recognises the network that weights belong to. The metadata of a file that this library wrote
/// name it; otherwise it follows from names and shapes.
///
/// # Errors
/// [`InterchangeError::Unknown`] if names or shapes do not match any network of this crate;
/// [`InterchangeError::Description`] if the metadata do not match the tensors.
pub fn recognise(weights: &Weights) -> Result<Recognised, InterchangeError> {
    let about = weights.about.as_ref();
    let described = about.and_then(|about| Some((about, about.model.clone()?)));
    let (config, mut assumed) = match described {
        Some((about, config)) => {
            describe::check(weights, about, &config)?;
            (config, Vec::new())
        }
        None => infer_plain(weights).map_err(|problem| InterchangeError::Unknown { problem })?,
    };
    describe::check_size(weights, &config)?;
    assumed.extend(use_of(&config, about));
    Ok(Recognised { config, assumed })
}

/// The network whose layers have plain weights.
fn infer_plain(weights: &Weights) -> Result<(ModelConfig, Vec<Assumption>), String> {
    match computed(weights.tensors.keys().map(String::as_str)) {
        Some(problem) => Err(problem),
        None => infer(&weights.tensors, &weights.modules),
    }
}
