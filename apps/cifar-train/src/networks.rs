//! The networks for images by name: the values of `--model`, and of `model.kind` in files.
//!
//! To add a network of `fm-models`, add a variant. The compiler then requires its two sizes.

use anyhow::bail;
use clap::ValueEnum;
use fm_cli::program::listing;
use fm_models::ModelConfig;
use fm_models::dit::DitConfig;
use fm_models::embedding::TimeEmbedding;
use fm_models::unet::UNetConfig;
use serde::Serialize;

/// Kinds of networks for images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ModelKind {
    /// Convolutional U-Net.
    Unet,
    /// Diffusion transformer.
    Dit,
}

impl ModelKind {
    /// The kind with this name.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let Ok(kind) = <Self as ValueEnum>::from_str(name, false) else {
            let known: Vec<_> = Self::value_variants().iter().filter_map(Self::to_possible_value).collect();
            let known = listing(known.iter().map(|kind| kind.get_name()), "or");
            bail!("model.kind '{name}' is unknown; choose {known}")
        };
        Ok(kind)
    }

    /// A network of the size of published ones, for CIFAR-10.
    pub(crate) fn full(self) -> ModelConfig {
        match self {
            Self::Unet => ModelConfig::Unet(UNetConfig::default()),
            Self::Dit => ModelConfig::Dit(DitConfig::default()),
        }
    }

    /// A network of about a million parameters, which a CPU can train.
    pub(crate) fn small(self) -> ModelConfig {
        match self {
            Self::Unet => ModelConfig::Unet(UNetConfig {
                channels: 32,
                channel_mult: vec![1.0, 2.0, 2.0],
                res_blocks: 1,
                attention_at: vec![4],
                head_channels: 32,
                dropout: 0.0,
                time: TimeEmbedding::default(),
                ..UNetConfig::default()
            }),
            Self::Dit => ModelConfig::Dit(DitConfig { width: 128, depth: 4, heads: 4, ..DitConfig::default() }),
        }
    }
}
