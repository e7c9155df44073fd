//! Settings that a file of weights does not determine.

use super::About;
use crate::ModelConfig;
use std::fmt;

/// The subject of an assumed setting, which determines the flag that changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// The network's configuration: the name is a key of [`ModelConfig`].
    Network,
    /// The objective that the network was trained for.
    Objective,
    /// The sampling.
    Sampling,
    /// The meaning of the network's values.
    Data,
}

/// A setting that is determined neither by names, shapes nor metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumption {
    /// Name of the setting, such as `heads`, `time.scale` or `prediction`.
    pub name: &'static str,
    /// The assumed value, as TOML for a setting of the network.
    pub value: String,
    /// Why this value, and what else is common.
    pub why: &'static str,
    /// The subject of the setting.
    pub concerns: Concerns,
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.value)
    }
}

/// An assumed setting of the network.
pub(super) fn network(name: &'static str, value: impl ToString, why: &'static str) -> Assumption {
    Assumption { name, value: value.to_string(), why, concerns: Concerns::Network }
}

/// What is assumed about the use of a network, without what its file describes.
pub(super) fn use_of(config: &ModelConfig, about: Option<&About>) -> Vec<Assumption> {
    let empty = About::default();
    let about = about.unwrap_or(&empty);
    let (mut assumed, sigma) = (Vec::new(), config.learns_sigma());
    let mut add = |concerns, name, value: String, why| assumed.push(Assumption { name, value, why, concerns });
    if about.prediction.is_empty() {
        let why = if sigma {
            "flow matching predicts velocities; with learned sigma, DiT and DDPM predict the noise, SiT the velocity"
        } else {
            "flow matching predicts velocities; diffusion models predict the noise or the data"
        };
        add(Concerns::Objective, "prediction", "velocity".into(), why);
    }
    if about.path.is_empty() {
        let why = "flow matching follows straight lines; diffusion models follow variance-preserving paths";
        add(Concerns::Objective, "path", "linear".into(), why);
    }
    if about.time_direction.is_empty() {
        let why = "torchcfm and flow_matching go from the source at 0 to the data at 1; diffusion models and SiT's \
                   checkpoints go the other way";
        add(Concerns::Objective, "time_direction", "source at t = 0, data at t = 1".into(), why);
    }
    // The configuration of a run has a scale of guidance.
    if config.classes() > 0 && about.config.is_null() {
        let why = "guidance is chosen when sampling; published samples of class-conditional models often use 1.5 to 4";
        add(Concerns::Sampling, "guidance", "1".into(), why);
    }
    let shape = config.data_shape();
    if sigma {
        let why = "the output has twice the channels of the input; the second half (the variance) is not used";
        add(Concerns::Data, "learned_sigma", "first half of the output".into(), why);
    }
    if about.data.is_null() && shape.len() == 3 {
        match shape[0] {
            1 | 3 => {
                let why = "image models are trained on pixels scaled to [-1, 1]; some use [0, 1]";
                add(Concerns::Data, "pixels", "-1 to 1".into(), why);
            }
            channels => {
                let why = "pictures have 1 or 3 channels; latents need the decoder that they were made with, which is \
                           not in the file";
                add(Concerns::Data, "latents", format!("{channels} channels"), why);
            }
        }
    }
    assumed
}
