//! The networks that are checked and measured.

use fm_models::ModelConfig;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::dit::DitConfig;
use fm_models::mlp::MlpConfig;
use fm_models::unet::UNetConfig;

/// Every network in a small size.
pub(crate) fn small() -> Vec<(&'static str, ModelConfig)> {
    let unet = small_unet();
    let new_order = UNetConfig { new_attention_order: true, head_channels: 16, ..unet.clone() };
    let dit = small_dit();
    vec![
        ("unet", ModelConfig::Unet(unet)),
        ("unet, new attention order", ModelConfig::Unet(new_order)),
        ("dit", ModelConfig::Dit(dit)),
        ("mlp", mlp()),
        ("concat-squash", ModelConfig::ConcatSquash(ConcatSquashConfig { dim: 4, ..ConcatSquashConfig::default() })),
    ]
}

pub(crate) fn small_unet() -> UNetConfig {
    UNetConfig {
        image_size: [16, 16],
        channels: 32,
        channel_mult: vec![1.0, 2.0],
        res_blocks: 1,
        attention_at: vec![2],
        head_channels: 32,
        dropout: 0.0,
        classes: 10,
        ..UNetConfig::default()
    }
}

fn small_dit() -> DitConfig {
    DitConfig {
        image_size: [16, 16],
        width: 64,
        depth: 2,
        heads: 2,
        classes: 10,
        null_class: true,
        ..DitConfig::default()
    }
}

pub(crate) fn mlp() -> ModelConfig {
    ModelConfig::Mlp(MlpConfig { dim: 2, ..MlpConfig::default() })
}

/// The two networks whose speed is measured: torchcfm's CIFAR-10 U-Net (35.7M parameters) and
/// DiT-B/2.
pub(crate) fn measured(small: bool) -> [(&'static str, ModelConfig); 2] {
    let classes = |dit: DitConfig| DitConfig { classes: 10, null_class: true, ..dit };
    let (unet, dit) = if small {
        (UNetConfig { classes: 0, ..small_unet() }, small_dit())
    } else {
        (UNetConfig { dropout: 0.0, ..UNetConfig::default() }, classes(DitConfig::default()))
    };
    [("unet", ModelConfig::Unet(unet)), ("dit", ModelConfig::Dit(dit))]
}
