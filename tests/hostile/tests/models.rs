//! Bad input to fm-models.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::tape::Tape;
use fm_models::ModelConfig;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::dit::DitConfig;
use fm_models::embedding::{TimeEmbedding, positions_2d};
use fm_models::interchange;
use fm_models::mlp::MlpConfig;
use fm_models::unet::UNetConfig;
use fm_models::vqvae::{Codebook, CodebookConfig, VqVae, VqVaeConfig};
use hostile::Calls;
use std::path::Path;
use tch::{Device, Kind, Tensor, nn};

const SIZES: [i64; 6] = [i64::MIN, -1, 0, 7, 1 << 40, i64::MAX];

/// Counts the parameters of a configuration and builds it.
fn build(calls: &mut Calls, what: &str, config: &ModelConfig) {
    calls.survives(&format!("{what}: parameters"), || config.parameters().is_ok());
    calls.survives(&format!("{what}: build"), || config.build(&nn::VarStore::new(Device::Cpu).root()).is_ok());
}

fn reals(list: &[i64]) -> Vec<f64> {
    list.iter().map(|n| *n as f64).collect()
}

#[test]
fn configurations() {
    let mut calls = Calls::new("fm-models, configurations");
    for size in SIZES {
        let lists = [vec![size], vec![size, size], vec![]];
        let base = MlpConfig::default();
        for config in [
            MlpConfig { dim: size, ..base.clone() },
            MlpConfig { classes: size, ..base.clone() },
            MlpConfig { widths: lists[0].clone(), ..base.clone() },
        ] {
            build(&mut calls, &format!("mlp {size}"), &ModelConfig::Mlp(config));
        }
        let base = ConcatSquashConfig::default();
        for config in [
            ConcatSquashConfig { dim: size, ..base.clone() },
            ConcatSquashConfig { classes: size, ..base.clone() },
            ConcatSquashConfig { widths: lists[1].clone(), ..base.clone() },
            ConcatSquashConfig { classes: 2, class_width: size, ..base.clone() },
        ] {
            build(&mut calls, &format!("concat-squash {size}"), &ModelConfig::ConcatSquash(config));
        }
        let base = DitConfig { width: 16, depth: 1, heads: 2, image_size: [8, 8], ..DitConfig::default() };
        for config in [
            DitConfig { width: size, ..base.clone() },
            DitConfig { depth: size, ..base.clone() },
            DitConfig { heads: size, ..base.clone() },
            DitConfig { patch: size, ..base.clone() },
            DitConfig { image_size: [size, 8], ..base.clone() },
            DitConfig { image_channels: size, ..base.clone() },
            DitConfig { classes: size, ..base.clone() },
        ] {
            build(&mut calls, &format!("dit {size}"), &ModelConfig::Dit(config));
        }
        let base = UNetConfig {
            channels: 32,
            channel_mult: vec![1.0],
            res_blocks: 1,
            attention_at: vec![],
            ..UNetConfig::default()
        };
        for config in [
            UNetConfig { channels: size, ..base.clone() },
            UNetConfig { channel_mult: reals(&lists[0]), ..base.clone() },
            UNetConfig { channel_mult: reals(&lists[2]), ..base.clone() },
            UNetConfig { res_blocks: size, ..base.clone() },
            UNetConfig { attention_at: lists[0].clone(), ..base.clone() },
            UNetConfig { head_channels: size, attention_at: vec![1], ..base.clone() },
            UNetConfig { head_channels: 0, heads: size, attention_at: vec![1], ..base.clone() },
            UNetConfig { image_size: [8, size], ..base.clone() },
            UNetConfig { out_kernel: size, ..base.clone() },
            UNetConfig { channel_mult: vec![f64::NAN, 1e-300], ..base.clone() },
            UNetConfig { image_channels: size, ..base.clone() },
            UNetConfig { classes: size, ..base.clone() },
        ] {
            let config = ModelConfig::Unet(config);
            calls.survives("ModelConfig::at_size", || config.at_size([size, 8]).is_ok());
            build(&mut calls, &format!("unet {size}"), &config);
        }
        for config in [
            VqVaeConfig { channels: size, ..VqVaeConfig::default() },
            VqVaeConfig { image_size: [size; 2], ..VqVaeConfig::default() },
            VqVaeConfig { channel_mult: vec![size], ..VqVaeConfig::default() },
            VqVaeConfig {
                codebook: CodebookConfig { codes: size, ..CodebookConfig::default() },
                ..VqVaeConfig::default()
            },
        ] {
            calls.survives("VqVaeConfig::parameters", || config.parameters().is_ok());
            if size < 1 << 40 {
                calls.survives("VqVae::new", || VqVae::new(&nn::VarStore::new(Device::Cpu).root(), &config).is_ok());
            }
        }
        calls.survives("Codebook::new", || {
            let config = CodebookConfig { codes: size, ..CodebookConfig::default() };
            Codebook::new(&nn::VarStore::new(Device::Cpu).root(), &config).is_ok()
        });
        for [height, width, channels] in [[size, 2, 4], [2, size, 4], [2, 2, size]] {
            calls.survives("positions_2d", || positions_2d([height, width], channels, Device::Cpu).is_ok());
        }
    }
    for width in [i64::MIN, -1, 0, 1, 7] {
        let t = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        calls.panics("TimeEmbedding::embed", "width", || TimeEmbedding::default().embed(&t, width));
    }
    calls.finish(350);
}

#[test]
fn batches_without_rows() {
    let mut calls = Calls::new("fm-models, empty batches");
    let dit = DitConfig { width: 16, depth: 1, heads: 2, image_size: [8, 8], ..DitConfig::default() };
    let small = UNetConfig {
        channels: 32,
        channel_mult: vec![1.0],
        res_blocks: 1,
        image_size: [8, 8],
        ..UNetConfig::default()
    };
    let unet = UNetConfig { attention_at: vec![1], head_channels: 32, ..small };
    for config in [
        ModelConfig::Mlp(MlpConfig { dim: 2, ..MlpConfig::default() }),
        ModelConfig::ConcatSquash(ConcatSquashConfig { dim: 2, ..ConcatSquashConfig::default() }),
        ModelConfig::Dit(dit),
        ModelConfig::Unet(unet),
    ] {
        let store = nn::VarStore::new(Device::Cpu);
        let model = config.build(&store.root()).unwrap();
        let shape = [&[0], config.data_shape().as_slice()].concat();
        let x = Tensor::zeros(&shape, (Kind::Float, Device::Cpu));
        let t = Tensor::zeros([0], (Kind::Float, Device::Cpu));
        let mut tape = Tape::off();
        let name = |how: &str| format!("{} of no rows, {how}", config.kind());
        for y in [
            calls.survives(&name("sampling"), || model.forward_t(&x, &t, None, false)),
            calls.survives(&name("training"), || model.forward_t(&x, &t, None, true)),
            // Small networks have a fused form here.
            calls.survives(&name("training on a tape"), || model.forward_taped(&mut tape, &x, &t, None)),
        ] {
            assert!(y.is_none_or(|y| y.size() == shape));
        }
    }
    calls.finish(12);
}

#[test]
fn files() {
    let mut calls = Calls::new("fm-models, files");
    let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let claimed =
        [&100u64.to_le_bytes()[..], br#"{"w":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]}}"#]
            .concat();
    for bytes in [&b""[..], b"x", b"PK\x03\x04", b"\x80\x02}q\x00.", &huge, &claimed, &[0; 64]] {
        for part in [None, Some(""), Some("ema")] {
            calls.refuses("interchange::parse", || interchange::parse(bytes, Path::new("w"), part));
        }
    }
    calls.refuses("interchange::read", || interchange::read(Path::new("/"), None));
    calls.refuses("interchange::read", || interchange::read(Path::new("missing"), None));
    calls.finish(20);
}
