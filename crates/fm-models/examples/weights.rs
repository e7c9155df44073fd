//! Weights that travel: a DiT is written for PyTorch, read back, recognised and built again.
//!
//! `cargo run -p fm-models --example weights`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use fm_models::interchange::{About, Concerns, load, named, read, recognise, safetensors, torch};
use fm_models::{ModelConfig, VelocityModel, dit::DitConfig, parameter_count};
use std::{fs, path::Path};
use tch::{Device, Kind, Tensor, nn::VarStore};

/// A small network for 8 x 8 images of ten classes.
fn small() -> ModelConfig {
    let sizes = DitConfig { depth: 2, width: 32, heads: 4, patch: 2, ..DitConfig::default() };
    ModelConfig::Dit(DitConfig { image_size: [8, 8], image_channels: 1, classes: 10, ..sizes })
}

/// The largest difference of the outputs before and after, and the number of parameters.
pub(crate) fn round_trip(directory: &Path, name: &str) -> Result<(f64, usize), Box<dyn std::error::Error>> {
    let (store, path) = (VarStore::new(Device::Cpu), directory.join(name));
    let model = small().build(&store.root())?;
    // An untrained DiT answers zero: its last layer starts at zero.
    tch::no_grad(|| store.trainable_variables().iter_mut().for_each(|w| *w += Tensor::randn_like(w) * 0.02));
    let about = About { model: Some(small()), ..About::default() };
    let bytes = if name.ends_with(".pt") { torch(&named(&store))? } else { safetensors(&named(&store), &about)? };
    fs::write(&path, bytes)?;

    let weights = read(&path, None)?;
    let recognised = recognise(&weights)?;
    println!("{name}: a {}", recognised.config.kind());
    recognised.assumed.iter().for_each(|a| println!("  assumed {a}: {}", a.why));
    // Names and shapes do not tell heads and the scale of time: where they are assumed, say them.
    let open = recognised.assumed.iter().any(|a| a.concerns == Concerns::Network);
    let config = if open { small() } else { recognised.config };
    let again = VarStore::new(Device::Cpu);
    let other = config.build(&again.root())?;
    load(&again, config.kind(), &weights.tensors)?;

    let on_cpu = (Kind::Float, Device::Cpu);
    let (x, t, class) =
        (Tensor::randn([3, 1, 8, 8], on_cpu), Tensor::rand([3], on_cpu), Tensor::from_slice(&[1i64, 5, 9]));
    let [a, b] = [&model, &other].map(|m| m.forward(&x, &t, Some(&class)));
    Ok(((a - b).abs().max().double_value(&[]), parameter_count(&again)))
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    for name in ["dit.safetensors", "dit.pt"] {
        println!("largest difference and parameters: {:?}", round_trip(directory.path(), name)?);
    }
    Ok(())
}
