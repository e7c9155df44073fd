//! Configurations of networks, as checkpoints and files of weights have them, and names of devices.

use crate::accepted::accepted;
use crate::seeds;
use crate::target::{Finish, Target};
use fm_models::ModelConfig;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::dit::DitConfig;
use fm_models::mlp::MlpConfig;
use fm_models::unet::UNetConfig;
use fm_models::vqvae::VqVaeConfig;
use fm_torch::device::DeviceChoice;

const WORDS: &[&str] = &[
    "\"kind\"",
    "\"unet\"",
    "\"dit\"",
    "\"mlp\"",
    "\"concat-squash\"",
    "[",
    "]",
    ",",
    "65536",
    "2147483647",
    "1048576",
    "true",
    "false",
    "null",
    "0.5",
    "\"classes\":",
    "\"depth\":",
    "\"width\":",
    "\"image_size\":",
    "\"channel_mult\":",
];

pub(super) const NETWORK: Target = Target {
    name: "network",
    seeds: || {
        let networks = [
            ModelConfig::Unet(UNetConfig::default()),
            ModelConfig::Dit(DitConfig::default()),
            ModelConfig::Mlp(MlpConfig::default()),
            ModelConfig::ConcatSquash(ConcatSquashConfig::default()),
        ];
        networks.iter().map(|network| serde_json::to_vec(network).unwrap_or_default()).collect()
    },
    words: WORDS,
    finish: Finish::Nothing,
    read: |bytes| {
        let Ok(network) = serde_json::from_slice::<ModelConfig>(bytes) else { return false };
        let counted = network.parameters();
        if counted.is_ok() {
            // Programs estimate the memory before they build.
            network.activations();
        }
        accepted(counted)
    },
};

pub(super) const ENCODER: Target = Target {
    name: "encoder",
    seeds: || vec![serde_json::to_vec(&VqVaeConfig::default()).unwrap_or_default()],
    words: WORDS,
    finish: Finish::Nothing,
    read: |bytes| {
        let Ok(network) = serde_json::from_slice::<VqVaeConfig>(bytes) else { return false };
        let counted = network.parameters();
        if counted.is_ok() {
            assert!(network.latent_shape().iter().all(|size| *size > 0));
        }
        accepted(counted)
    },
};

pub(super) const DEVICE: Target = Target {
    name: "device",
    seeds: || seeds::texts(&["auto", "cpu", "cuda", "cuda:1"]),
    words: &["cuda:", "cpu", "auto", "mps", ":", "-1", "+1", " "],
    finish: Finish::Nothing,
    read: |bytes| accepted(String::from_utf8_lossy(bytes).parse::<DeviceChoice>()),
};
