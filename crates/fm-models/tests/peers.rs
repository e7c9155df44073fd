//! Full-size networks, randomly initialised by Python, there and back: `reference/peers.py` makes
//! and checks the files.
//!
//! Needs a Python with torch, torchcfm, diffusers and safetensors: `FM_PYTHON=path/to/python`, or
//! `python3`. Without one it says so and passes; the narrow networks of the other tests need no
//! Python.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, relative, values};
use fm_models::interchange::{self, About, recognise};
use fm_models::{ModelConfig, parameter_count};
use std::path::Path;
use std::process::Command;
use tch::{Kind, Tensor};

fn python(words: &[&str]) -> Option<String> {
    let program = std::env::var("FM_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/peers.py");
    // This process's libtorch is not Python's.
    let known = Command::new(&program)
        .env_remove("LD_LIBRARY_PATH")
        .args(["-c", "import torch, torchcfm, diffusers, safetensors"])
        .output();
    if !known.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let output = Command::new(program).env_remove("LD_LIBRARY_PATH").arg(script).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The settings that names and shapes do not tell.
fn complete(name: &str, config: ModelConfig) -> ModelConfig {
    match config {
        ModelConfig::Unet(mut c) => {
            c.new_attention_order = name == "new-attention-order";
            c.null_class = false;
            ModelConfig::Unet(c)
        }
        ModelConfig::Dit(mut c) => {
            c.time.scale = if name.starts_with("sit") { 1.0 } else { 1000.0 };
            ModelConfig::Dit(c)
        }
        other => other,
    }
}

#[test]
fn full_size_networks_agree_with_python_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    if python(&["make", &folder]).is_none() {
        return eprintln!("skipped: no Python with torch, torchcfm, diffusers and safetensors at hand");
    }
    let counts = [
        ("cifar10", 35_746_307),
        ("mnist", 1_075_361),
        ("cifar10-classes", 35_751_427),
        ("scale-shift", 0),
        ("resblock-updown", 0),
        ("new-attention-order", 0),
        ("several-attentions", 0),
        ("dit-s2", 32_475_660),
        ("sit-s2", 32_865_056),
        ("dit-b4", 0),
    ];
    for (name, count) in counts {
        let extension = if name.contains("it-") { "safetensors" } else { "pt" };
        let read = interchange::read(&dir.path().join(format!("{name}.{extension}")), None).unwrap();
        assert_eq!(read.part, if extension == "pt" { "ema_model" } else { "" });
        let config = complete(name, recognise(&read).unwrap().config);
        let (store, model) = build(&config);
        assert!(count == 0 || parameter_count(&store) == count, "{name}: {}", parameter_count(&store));
        interchange::load(&store, config.kind(), &read.tensors).unwrap();

        let known: Vec<(String, Tensor)> = Tensor::read_npz(dir.path().join(format!("{name}.npz"))).unwrap();
        let known = |key: &str| known.iter().find(|(k, _)| k == key).map(|(_, t)| t.shallow_clone());
        let mut v = Tensor::new();
        for i in 0..2 {
            let [x, t, want] = ["x", "t", "v"].map(|key| known(&format!("{key}{i}")).unwrap());
            v = model.forward_t(&x, &t, known(&format!("y{i}")).as_ref(), false);
            let off = relative(&values(&v), &values(&want));
            println!("{name}: outputs of {} rows off by {off:.1e}", x.size()[0]);
            assert!(off <= 1e-5, "{name}: outputs off by {off}");
        }
        (v * known("w").unwrap()).sum(Kind::Float).backward();
        let (mut worst, variables) = (0.0f64, store.variables());
        let trainable = variables.iter().filter(|(_, t)| t.requires_grad());
        let pairs: Vec<_> =
            trainable.map(|(key, t)| (key, values(&t.grad()), values(&known(&format!("g.{key}")).unwrap()))).collect();
        let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        // A bias before a normalisation of its own channel has gradient 0, so rounding is measured
        // against the largest.
        let largest = pairs.iter().map(|(_, _, want)| norm(want)).fold(0.0, f64::max);
        for (key, got, want) in &pairs {
            let difference: Vec<f64> = got.iter().zip(want).map(|(a, b)| a - b).collect();
            let off = norm(&difference) / norm(want).max(1e-3 * largest);
            assert!(off <= 1e-4, "{name}: gradient of {key} off by {off}");
            worst = worst.max(off);
        }
        println!("{name}: gradients of {} tensors off by at most {worst:.1e}", pairs.len());

        let tensors = interchange::named(&store);
        let back = |extension: &str| dir.path().join(format!("{name}.back.{extension}"));
        std::fs::write(back("pt"), interchange::torch(&tensors).unwrap()).unwrap();
        std::fs::write(back("safetensors"), interchange::safetensors(&tensors, &About::default()).unwrap()).unwrap();
    }
    println!("loaded strictly in Python, outputs off by\n{}", python(&["check", &folder]).unwrap());
}
