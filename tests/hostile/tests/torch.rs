//! Bad input to fm-torch, and to what fm-models has beside velocity networks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::prediction::Prediction;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::dit::DitConfig;
use fm_models::features::inception::{Inception, prepare_pytorch_fid};
use fm_models::features::resnet20::{self, Resnet20};
use fm_models::mlp::MlpConfig;
use fm_models::resize::resized;
use fm_models::reverse::reverse_time;
use fm_models::unet::UNetConfig;
use fm_models::vqvae::{Codebook, CodebookConfig, VqVae, VqVaeConfig};
use fm_models::{ModelConfig, interchange};
use fm_torch::TorchError;
use fm_torch::adam::{self, Adam, Moments};
use fm_torch::device::DeviceChoice;
use fm_torch::forward_ad::with_level;
use fm_torch::gradients::{self, Taker};
use fm_torch::group_norm::group_norm_silu;
use fm_torch::memory::{device_memory, reset_peaks};
use fm_torch::profile::Profile;
use hostile::Calls;
use std::path::Path;
use tch::{Device, Kind, Tensor, nn::VarStore};

/// Shapes that fit nothing, with and without values.
const SHAPES: [&[i64]; 9] =
    [&[], &[0], &[3], &[2, 3], &[0, 4], &[2, 3, 4], &[1, 1, 1, 1], &[0, 3, 8, 8], &[2, 5, 7, 7]];
const KINDS: [Kind; 4] = [Kind::Float, Kind::Double, Kind::Int64, Kind::Bool];

fn zeros(shape: &[i64], kind: Kind) -> Tensor {
    Tensor::zeros(shape, (kind, Device::Cpu))
}

#[test]
fn optimizer_and_gradients() {
    let mut calls = Calls::new("fm-torch, optimizer and gradients");
    let adam = Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.0, decoupled: true };
    let one = || Tensor::from_slice(&[1.0f32]);
    for shape in SHAPES {
        for kind in KINDS {
            let odd = zeros(shape, kind);
            for place in 0..6 {
                let mut all = [0; 3].map(|_| zeros(&[4], Kind::Float));
                let (mut gradient, mut numbers) = (zeros(&[4], Kind::Float), [one(), one(), one()]);
                match place {
                    0 => all[0] = odd.shallow_clone(),
                    1 => gradient = odd.shallow_clone(),
                    2 => all[1] = odd.shallow_clone(),
                    3 => all[2] = odd.shallow_clone(),
                    n => numbers[n - 4] = odd.shallow_clone(),
                }
                // One f32 of any shape is a number.
                if place > 3 && kind == Kind::Float && odd.numel() == 1 {
                    continue;
                }
                let [parameters, mean, square] = &mut all;
                let [step, scale, skip] = &numbers;
                let moments = Moments { mean, square, step };
                calls.refuses(&format!("adam::update {shape:?} {kind:?} at {place}"), || {
                    adam::update(parameters, &gradient, moments, scale, skip, &adam)
                });
            }
            let leaf = zeros(&[4], Kind::Float).set_requires_grad(true);
            calls.refuses("gradients::add", || gradients::add(&leaf, &odd));
            calls.refuses("Taker::new", || Taker::new(&[&leaf], vec![odd.shallow_clone()]));
            calls.refuses("Taker::new", || Taker::new(&[&leaf, &odd], vec![zeros(&[4], Kind::Float)]));
        }
    }
    for value in [f64::NAN, f64::INFINITY, -1.0, 0.0, 2.0, 1e300] {
        for settings in [
            Adam { lr: value, ..adam },
            Adam { beta1: value, ..adam },
            Adam { beta2: value, ..adam },
            Adam { eps: value, ..adam },
            Adam { decay: value, ..adam },
        ] {
            let [mut p, mut mean, mut square] = [0; 3].map(|_| zeros(&[4], Kind::Float));
            let (gradient, [step, scale, skip]) = (zeros(&[4], Kind::Float), [one(), one(), one()]);
            let moments = Moments { mean: &mut mean, square: &mut square, step: &step };
            calls.survives("adam::update", || adam::update(&mut p, &gradient, moments, &scale, &skip, &settings));
        }
    }
    // Leaves without a gradient, and leaves that take none.
    let leaf = zeros(&[4], Kind::Float);
    let taker = Taker::new(&[&leaf], vec![zeros(&[4], Kind::Float)]).unwrap();
    calls.survives("Taker::take", || taker.take());
    calls.survives("Taker::watch", || taker.watch(|_| {}, || ()));
    calls.panics("Taker::take_some", "index out of bounds", || taker.take_some([1]));
    calls.finish(300);
}

#[test]
fn derivatives_norms_and_devices() {
    let mut calls = Calls::new("fm-torch, derivatives, norms and devices");
    for shape in SHAPES {
        for kind in KINDS {
            let odd = zeros(shape, kind);
            calls.refuses("Level::dual", || with_level(|level| level.dual(&zeros(&[7], Kind::Float), &odd).map(drop))?);
            calls.survives("Level::parts", || with_level(|level| level.parts(&odd).map(drop)));
            let (w, b) = (zeros(&[8], Kind::Float), zeros(&[8], Kind::Float));
            let x = zeros(&[2, 8, 16, 16], Kind::Float);
            calls.survives("group_norm_silu", || group_norm_silu(&odd, 4, &w, &b, 1e-5).map(drop));
            calls.survives("group_norm_silu", || group_norm_silu(&x, 4, &odd, &b, 1e-5).map(drop));
            calls.survives("group_norm_silu", || group_norm_silu(&x, 4, &w, &odd, 1e-5).map(drop));
        }
    }
    let nested = || with_level(|_| with_level(|_| ()).map(drop));
    calls.refuses("with_level", || nested().and_then(|inner| inner));
    calls.survives("with_level", || with_level(|_| ()).map(drop));
    let (x, w) = (zeros(&[2, 8, 16, 16], Kind::Float), zeros(&[8], Kind::Float));
    for groups in [i64::MIN, -1, 0, 3, 16, i64::MAX] {
        calls.survives("group_norm_silu", || group_norm_silu(&x, groups, &w, &w, 1e-5).map(drop));
    }
    for eps in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
        calls.survives("group_norm_silu", || group_norm_silu(&x, 4, &w, &w, eps).map(drop));
    }
    let long = "cuda".repeat(1000);
    for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:99999999999999999999", "CUDA:x", "cpu:1", "mps:0:0", &long] {
        calls.refuses("DeviceChoice", || text.parse::<DeviceChoice>());
    }
    for index in [0, 1, usize::MAX] {
        calls.survives("device_memory", || device_memory(Device::Cuda(index)));
        calls.survives("reset_peaks", || reset_peaks(Device::Cuda(index)));
        calls.survives("open", || "auto".parse::<DeviceChoice>().and_then(|choice| choice.open(index)).map(drop));
    }
    let profile = Profile::start(Device::Cpu).unwrap();
    calls.refuses("Profile::start", || Profile::start(Device::Cpu).map(drop));
    // One that is not finished is discarded, and leaves /dev/null a device.
    drop(profile);
    #[cfg(unix)]
    assert!(std::os::unix::fs::FileTypeExt::is_char_device(&std::fs::metadata("/dev/null").unwrap().file_type()));
    calls.survives("Profile::finish", || Profile::start(Device::Cpu).and_then(Profile::finish).map(drop));
    calls.finish(160);
}

#[test]
fn autoencoders_and_feature_extractors() {
    let mut calls = Calls::new("fm-models, autoencoders and features");
    let store = VarStore::new(Device::Cpu);
    let config = VqVaeConfig { image_channels: 1, image_size: [8, 8], ..VqVaeConfig::default() };
    let model = VqVae::new(&store.root(), &config).unwrap();
    let codebook = CodebookConfig { codes: 8, dim: 4, ..CodebookConfig::default() };
    let book = Codebook::new(&(store.root() / "own"), &codebook).unwrap();
    let net = Resnet20::new(Device::Cpu).unwrap();
    for shape in SHAPES {
        let odd = zeros(shape, Kind::Float);
        calls.panics("encode", "VqVae::encode takes", || model.encode(&odd));
        calls.panics("reconstruct", "VqVae::encode takes", || model.reconstruct(&odd, true).codes);
        calls.panics("loss", "VqVae::encode takes", || model.loss(&odd, true));
        if shape != [0, 4] {
            calls.panics("nearest", "Codebook::nearest takes", || book.nearest(&odd));
            calls.panics("update", "Codebook::update takes", || book.update(&odd, &zeros(&[2], Kind::Int64)));
        }
        calls.panics("decode", "VqVae::codes takes", || model.decode(&odd));
        calls.panics("set", "Codebook::set takes", || book.set(&odd, 1.0));
        calls.panics("look_up", "Codebook::look_up takes", || book.look_up(&odd));
        calls.panics("usage", "Codebook::usage takes", || book.usage(&odd));
        calls.panics("Resnet20::extract", "Resnet20::extract takes", || net.extract(&odd).features);
        calls.panics("resnet20::prepare", "resnet20::prepare takes", || resnet20::prepare(&odd));
        if shape != [0, 3, 8, 8] {
            calls.panics("prepare_pytorch_fid", "prepare_pytorch_fid takes", || prepare_pytorch_fid(&odd));
        }
    }
    for numbers in [[-1i64, 0], [0, 8], [i64::MIN, i64::MAX]] {
        calls.panics("look_up", "takes indices below 8", || book.look_up(&Tensor::from_slice(&numbers)));
        calls.panics("usage", "takes indices below 8", || book.usage(&Tensor::from_slice(&numbers)));
    }
    let none = zeros(&[0, 4], Kind::Float);
    calls.survives("nearest", || book.nearest(&none));
    calls.survives("update", || book.update(&none, &zeros(&[0], Kind::Int64)));
    calls.survives("usage", || book.usage(&zeros(&[0], Kind::Int64)));
    calls.survives("extract", || net.extract(&zeros(&[0, 3, 32, 32], Kind::Float)).logits);
    for path in ["/no/such/file", "/", "/dev/null", "/dev/zero"] {
        calls.refuses("Inception::open", || Inception::open(Path::new(path), Device::Cpu).map(drop));
    }
    calls.finish(110);
}

/// One small network of each kind.
fn networks() -> Vec<ModelConfig> {
    let dit = DitConfig { width: 16, depth: 1, heads: 2, image_size: [8, 8], ..DitConfig::default() };
    let unet = UNetConfig {
        channels: 32,
        channel_mult: vec![1.0, 1.0],
        res_blocks: 1,
        image_size: [8, 8],
        ..UNetConfig::default()
    };
    vec![
        ModelConfig::Mlp(MlpConfig::default()),
        ModelConfig::ConcatSquash(ConcatSquashConfig::default()),
        ModelConfig::Dit(dit),
        ModelConfig::Unet(UNetConfig { attention_at: vec![], head_channels: 32, ..unet }),
    ]
}

#[test]
fn other_sizes_and_other_directions_of_time() {
    let mut calls = Calls::new("fm-models, resize and reverse");
    let stores: Vec<VarStore> = networks().iter().map(|_| VarStore::new(Device::Cpu)).collect();
    let configs = networks();
    for (config, store) in configs.iter().zip(&stores) {
        config.build(&store.root()).unwrap();
    }
    for (config, store) in configs.iter().zip(&stores) {
        for size in [i64::MIN, -8, 0, 3, 1 << 40, i64::MAX] {
            calls.refuses("resized", || resized(config, store, [size, 8]).map(drop));
            calls.refuses("resized", || resized(config, store, [8, size]).map(drop));
        }
        for (k, other) in stores.iter().enumerate() {
            let weights = interchange::named(other);
            let own = std::ptr::eq(store, other);
            calls.survives("resized", || resized(config, other, [8, 16]).map(drop));
            let call = || reverse_time(config, &weights, Prediction::Velocity).map(drop);
            if own {
                calls.survives("reverse_time", call);
            } else {
                calls.refuses(&format!("reverse_time of {k}"), call);
            }
        }
        // Every tensor in turn of every other shape and kind.
        let weights = interchange::named(store);
        for name in weights.keys() {
            for shape in SHAPES {
                for kind in [Kind::Float, Kind::Bool] {
                    let mut broken = weights
                        .iter()
                        .map(|(n, t)| (n.clone(), t.shallow_clone()))
                        .collect::<std::collections::BTreeMap<_, _>>();
                    broken.insert(name.clone(), zeros(shape, kind));
                    calls.survives("reverse_time", || reverse_time(config, &broken, Prediction::Velocity).map(drop));
                }
            }
        }
    }
    for dim in [i64::MIN, -1, 0, 3, 4, i64::MAX] {
        let config = ModelConfig::Mlp(MlpConfig { dim, ..MlpConfig::default() });
        calls.refuses("reverse_time", || {
            reverse_time(&config, &interchange::named(&stores[0]), Prediction::Noise).map(drop)
        });
    }
    calls.finish(1000);
}

/// Errors of one line, whatever libtorch says.
#[test]
fn thrown_texts_are_one_line() {
    let mut calls = Calls::new("fm-torch, errors");
    for text in ["", "a\nb\nc", "Internal torch error: x", &"long ".repeat(500)] {
        let error = tch::TchError::Torch(text.to_owned());
        calls.refuses("TorchError::thrown", || Err::<(), _>(TorchError::thrown("try", &error)));
    }
    calls.finish(4);
}
