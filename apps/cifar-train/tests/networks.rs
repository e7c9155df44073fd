//! Networks for images through the real binary: every variant's velocities against what torchcfm
//! and diffusers recorded, weights converted there and back, and an autoencoder with a network in
//! its latent space. The first writes docs/networks.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;
#[path = "../../../crates/fm-models/tests/common/mod.rs"]
mod weights;

use common::{fail, read, succeed};
use fm_models::ModelConfig;
use fm_models::interchange::{self, About};
use ndarray::Array4;
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;
use std::path::{Path, PathBuf};
use weights::{integers, numbers, reference_model, relative, tensor, values};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn reference(kind: &str) -> Value {
    let path = root().join(format!("crates/fm-models/tests/reference/{kind}.json"));
    serde_json::from_slice(&read(path)).unwrap()
}

/// Writes a reference's weights as a file of ours.
fn file(kind: &str, case: &Value, path: &Path) -> ModelConfig {
    let (config, store, _model) = reference_model(Some(kind), case);
    let about = About { model: Some(config.clone()), ..About::default() };
    std::fs::write(path, interchange::safetensors(&interchange::named(&store), &about).unwrap()).unwrap();
    config
}

/// The largest deviation of the program's velocities from the recorded ones; `source` is the file
/// and its flags.
fn deviation(case: &Value, source: &str, dir: &Path) -> f64 {
    let shape = integers(&case["shape"]);
    let d = dir.display();
    let call = |call: &Value| {
        let t = numbers(&call["t"]);
        let size = [&[t.len() as i64], shape.as_slice()].concat();
        let x: Vec<f32> =
            values(&tensor(&format!("x{}", t.len()), &size, 1.7, 0.0)).iter().map(|v| *v as f32).collect();
        let side = |i: usize| size[i] as usize;
        let x = Array4::from_shape_vec((side(0), side(1), side(2), side(3)), x).unwrap();
        write_npy(dir.join("x.npy"), &x).unwrap();
        let list = |values: Vec<String>| values.join(",");
        let at = list(t.iter().map(f64::to_string).collect());
        let classes = match call["classes"].as_array() {
            Some(classes) => format!("--classes {}", list(classes.iter().map(Value::to_string).collect())),
            None => String::new(),
        };
        succeed(&format!("velocity {d}/x.npy --checkpoint {source} --at {at} {classes} --out {d}/v.npy"));
        let v: Array4<f32> = read_npy(dir.join("v.npy")).unwrap();
        let v: Vec<f64> = v.iter().map(|v| f64::from(*v)).collect();
        relative(&v, &numbers(&call["output"]))
    };
    case["calls"].as_array().unwrap().iter().map(call).fold(0.0, f64::max)
}

const INTRODUCTION: &str = "# Networks for images\n\
    \n\
    The tested variants of the networks. A test writes this page: run `cargo xtask test -- -p cifar-train --test networks`, with\n\
    `UPDATE_DOCS=1` to rewrite it. The test writes weights that the Python reference computes too into a file, runs `cifar-train velocity` on\n\
    it at several times and batch sizes, and compares the velocities with the recorded ones. Keys are those of `[model]` in a configuration\n\
    file, and of `--set`. `crates/fm-models/tests` compares gradients. `crates/fm-models/tests/peers.rs` compares full-size networks, and\n\
    loads exported weights in Python (`load_state_dict(strict=True)`).\n\
    \n\
    | network | keys | outside reference |\n\
    |---|---|---|\n";

#[test]
fn every_variant_is_the_peers_and_stands_in_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = INTRODUCTION.to_owned();
    for (kind, by) in [("unet", "torchcfm's `UNetModelWrapper`"), ("dit", "diffusers' `DiTTransformer2DModel`")] {
        for (name, case) in reference(kind).as_object().unwrap() {
            let path = dir.path().join(format!("{kind}-{name}.safetensors"));
            file(kind, case, &path);
            let off = deviation(case, &path.display().to_string(), dir.path());
            assert!(off <= 1e-5, "{kind} {name}: {off}");
            let sizes = ["channels", "channel_mult", "res_blocks", "image_size", "image_channels", "width", "depth"];
            let keys = case["config"].as_object().unwrap().iter().filter(|(key, _)| !sizes.contains(&key.as_str()));
            let keys = keys.map(|(key, value)| format!("`{key} = {value}`")).collect::<Vec<_>>().join(", ");
            text += &format!("| {kind}: {name} | {keys} | {by}, to 1e-5 |\n");
        }
    }
    let path = root().join("docs/networks.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/networks.md is out of date: run this test with UPDATE_DOCS=1");
}

#[test]
fn weights_are_converted_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let reference = reference("unet");
    let case = &reference["new-attention-order"];
    let config = file("unet", case, &dir.path().join("ours.safetensors"));
    let said = succeed(&format!("convert {d}/ours.safetensors {d}/theirs.pt"));
    assert!(said.contains(&format!("{} parameters", config.parameters().unwrap())), "{said}");
    // A .pt tells shapes only: what they do not say is given, and the file that comes out says it
    // all.
    let set = "--set heads=4 --set head_channels=0 --set new_attention_order=true --set image_size=[8,8]";
    succeed(&format!("convert {d}/theirs.pt {d}/again.safetensors {set} --path trigonometric"));
    let off = deviation(case, &format!("{d}/again.safetensors"), dir.path());
    assert!(off <= 1e-5, "{off}");
    let wrong = deviation(case, &format!("{d}/theirs.pt --set image_size=[8,8]"), dir.path());
    assert!(wrong > 1e-3, "without its settings the network is another one");
    let said = succeed(&format!("inspect {d}/again.safetensors --tensors"));
    assert!(said.contains("trigonometric path") && said.contains("middle_block.1.qkv.weight"), "{said}");
    let said =
        succeed(&format!("sample --checkpoint {d}/again.safetensors --num-samples 2 --num-steps 2 --out {d}/a.png"));
    assert!(said.contains("again.safetensors") && said.contains("NFE 2"), "{said}");

    // Networks for points are converted too.
    let moons = root().join("crates/fm-models/tests/reference/flow-weights/gaussian-moons__vp_flow_v1.pt");
    let said = succeed(&format!("convert {} {d}/moons.safetensors", moons.display()));
    assert!(said.contains("selu") && said.contains("8706 parameters"), "{said}");

    for (words, says) in [
        (format!("convert {d}/theirs.pt {d}/x.bin"), "names no format"),
        (format!("convert {d}/again.safetensors {d}/x.pt --path linear"), "says trigonometric; drop --path linear"),
        (format!("convert {d}/theirs.pt {d}/x.pt --set heads=5"), "do not divide every width"),
        (format!("convert {d}/theirs.pt {d}/x.pt --set haeds=4"), "did you mean 'model.heads'"),
        (format!("convert {d}/theirs.pt {d}/x.pt --set channels=64"), "values, they have"),
        (format!("convert {d}/theirs.pt {d}/x.pt --set classes=3"), "label_emb.weight is missing"),
        (format!("convert {d}/theirs.pt {d}/x.pt --part ema"), "no part 'ema'"),
        (
            format!("velocity {d}/x.npy --checkpoint {d}/again.safetensors --at 0.1,0.2 --out {d}/v.npy"),
            "one for each of the 3 images",
        ),
        (
            format!("velocity {d}/x.npy --checkpoint {d}/again.safetensors --at 0.1 --classes 0,0,0 --out {d}/v.npy"),
            "--classes",
        ),
    ] {
        let error = fail(&words);
        assert!(error.contains(says), "{words}: {error}");
    }
    assert!(!dir.path().join("x.pt").exists());
}

#[test]
fn a_run_is_exported_whole_and_runs_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (run, d) = (dir.path().join("run"), dir.path().display().to_string());
    let config = common::tiny_config(dir.path());
    succeed(&format!("train --config {config} --steps 3 --path trigonometric --out {}", run.display()));
    succeed(&format!("convert {} {d}/run.safetensors", run.display()));
    let pixels = |from: &str| {
        succeed(&format!("sample --checkpoint {from} --num-samples 3 --num-steps 4 --out {d}/s.png --npy {d}/s.npy"));
        read_npy::<_, Array4<f32>>(dir.path().join("s.npy")).unwrap()
    };
    assert_eq!(pixels(&run.display().to_string()), pixels(&format!("{d}/run.safetensors")));
    assert!(
        fail(&format!("sample --checkpoint {d}/run.safetensors --raw-weights --out {d}/s.png")).contains("--part NAME")
    );
    assert!(
        fail(&format!("sample --checkpoint {} --part ema --out {d}/s.png", run.display())).contains("this is a run")
    );
}

#[test]
fn a_network_learns_in_the_latent_space_of_an_autoencoder() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    let said = succeed(&format!("vqvae --steps 30 --batch-size 16 --codes 32 --sample-every 30 --out {d}/vq"));
    assert!(said.contains("codes") && said.contains("a palette of 16 colours"), "{said}");
    let measured: Value = serde_json::from_slice(&read(dir.path().join("vq/autoencoder.json"))).unwrap();
    assert_eq!((measured[0]["bits"].as_f64(), measured[0]["images"].as_u64()), (Some(80.0), Some(1797)));
    assert!(dir.path().join("vq/samples/step-30.png").exists());
    // Stopped and resumed, the codebook too ends the same.
    succeed(&format!("vqvae --steps 30 --batch-size 16 --codes 32 --sample-every 0 --save-every 20 --out {d}/parts"));
    std::fs::remove_dir_all(dir.path().join("parts/checkpoints/step-30")).unwrap();
    succeed(&format!("vqvae --resume --out {d}/parts"));
    let weights = |run: &str| read(dir.path().join(run).join("checkpoints/step-30/model.safetensors"));
    assert!(weights("vq") == weights("parts"), "a resumed autoencoder differs");

    let toml =
        "preset = \"quickstart\"\n[model]\nchannels = 32\nchannel_mult = [1]\nres_blocks = 1\nattention_at = []\n";
    std::fs::write(dir.path().join("latent.toml"), toml).unwrap();
    succeed(&format!(
        "train --config {d}/latent.toml --latent {d}/vq --steps 3 --batch-size 8 --sample-every 3 --out {d}/run"
    ));
    // The run keeps what it needs, and no other run that is begun there by mistake takes it away.
    let kept = || read(dir.path().join("run/autoencoder.safetensors"));
    let before = kept();
    succeed(&format!("vqvae --steps 2 --batch-size 16 --codes 32 --seed 9 --sample-every 0 --out {d}/other"));
    assert!(
        fail(&format!("train --config {d}/latent.toml --latent {d}/other --steps 3 --out {d}/run"))
            .contains("already holds a run")
    );
    assert!(kept() == before);
    std::fs::remove_dir_all(dir.path().join("vq")).unwrap();
    succeed(&format!("train --resume --steps 4 --sample-every 0 --out {d}/run"));
    succeed(&format!(
        "sample --checkpoint {d}/run --num-samples 3 --num-steps 3 --out {d}/s.png --npy {d}/s.npy --gif {d}/s.gif"
    ));
    let drawn: Array4<f32> = read_npy(dir.path().join("s.npy")).unwrap();
    assert_eq!(drawn.dim(), (3, 1, 8, 8));
    let meta: Value = serde_json::from_slice(&read(dir.path().join("run/checkpoints/step-4/meta.json"))).unwrap();
    let scale = meta["config"]["latent_scale"].as_f64().unwrap();
    assert!(scale > 0.0 && meta["data"]["shape"] == serde_json::json!([4, 4, 4]), "{meta}");
    succeed(&format!(
        "evaluate --checkpoint {d}/run --num-samples 20 --num-steps 2 --metrics kid,nn --cache {d}/cache"
    ));
    assert!(fail(&format!("likelihood --checkpoint {d}/run")).contains("latent space"));
    // The run's copy of the autoencoder is part of the run.
    let copy = dir.path().join("run/autoencoder.safetensors");
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, &bytes).unwrap();
    let damaged = fail(&format!("sample --checkpoint {d}/run --num-samples 2 --num-steps 1 --out {d}/s.png"));
    assert!(damaged.contains("is not the one that the run was trained with, or it is damaged"), "{damaged}");
    assert!(fail(&format!("train --resume --steps 4 --out {d}/run")).contains("changed since the run began"));
    bytes[middle] ^= 1;
    std::fs::write(&copy, &bytes).unwrap();
    assert!(fail(&format!("sample --checkpoint {d}/run --size 8x12 --out {d}/s.png")).contains("drop --size"));
    assert!(fail(&format!("train --preset quickstart --latent {d}/nowhere --out {d}/r")).contains("nowhere"));
    assert!(fail(&format!("train --preset quickstart --latent {d}/run --out {d}/r")).contains("no autoencoder"));
}
