//! The script beside an exported `.pt`: run in PyTorch where it is installed, and otherwise
//! compared with a recorded run.
//!
//! `UPDATE_LOADERS=1` writes `reference/loader-*.json`, by running the scripts with the Python of
//! the variable PYTHON, which needs torch and torchcfm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;
#[path = "../../../crates/fm-models/tests/common/mod.rs"]
mod weights;

use common::{read, succeed};
use fm_models::ModelConfig;
use fm_models::interchange::{self, About};
use ndarray::Array4;
use ndarray_npy::{read_npy, write_npy};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn networks() -> [(&'static str, Value); 4] {
    let unet = json!({"kind": "unet", "image_channels": 1, "image_size": [8, 8], "channels": 32, "channel_mult": [1, 2], "res_blocks": 1,
        "attention_at": [2], "head_channels": 32, "dropout": 0.1, "classes": 10, "null_class": true, "time": {"scale": 1000.0}});
    let guide = json!({"kind": "unet", "image_size": [8, 12], "channels": 64, "channel_mult": [0.5, 1], "res_blocks": 1,
        "attention_at": [], "head_channels": 0, "heads": 2, "scale_shift_norm": true, "middle_attention": false, "out_kernel": 1,
        "time_activation": "gelu", "learn_sigma": true,
        "time": {"scale": 1000.0, "order": "sin-cos", "divisor": "half-minus-one"}});
    let dit = json!({"kind": "dit", "image_size": [8, 12], "patch": 2, "width": 32, "depth": 2, "heads": 2, "classes": 6, "null_class": true});
    let affine = json!({"kind": "dit", "image_size": [8, 8], "patch": 4, "width": 32, "depth": 1, "heads": 4, "affine_norm": true,
        "exact_gelu": true, "learn_sigma": true, "time": {"scale": 1.0, "order": "sin-cos", "divisor": "half-minus-one"}});
    [("unet", unet), ("unet-guide", guide), ("dit", dit), ("dit-guide", affine)]
}

/// Times of the images.
const TIMES: [f32; 3] = [0.0, 0.15, 0.8];

/// A file of weights that every language computes alike, and images for it.
fn prepare(d: &Path, config: &Value) -> (ModelConfig, String) {
    let config: ModelConfig = serde_json::from_value(config.clone()).unwrap();
    let (store, _) = weights::build(&config);
    tch::no_grad(|| {
        for (name, mut variable) in store.variables() {
            if name != "pos_embed" {
                variable.copy_(&weights::weight(&name, &variable.size()));
            }
        }
    });
    let about =
        About { model: Some(config.clone()), path: "linear".into(), prediction: "velocity".into(), ..About::default() };
    let path = d.join("net.safetensors");
    fs::write(&path, interchange::safetensors(&interchange::named(&store), &about).unwrap()).unwrap();
    let shape = [&[3], config.data_shape().as_slice()].concat();
    let x: Vec<f32> = weights::values(&weights::tensor("x", &shape, 1.5, 0.0)).iter().map(|v| *v as f32).collect();
    let side = |i: usize| shape[i] as usize;
    write_npy(d.join("x.npy"), &Array4::from_shape_vec((3, side(1), side(2), side(3)), x).unwrap()).unwrap();
    (config, path.display().to_string())
}

fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".into())
}

/// The outputs of the script at [`TIMES`]: without labels, and with labels 1, 0, 1 if there are
/// any.
fn by_script(d: &Path, classes: bool) -> Vec<f64> {
    let program = "import sys, json, numpy, torch\nsys.path.insert(0, '.')\nfrom net import load\nmodel = load()\n\
                   x = torch.from_numpy(numpy.load('x.npy'))\nt = torch.tensor(json.loads(sys.argv[1]))\n\
                   out = [model(x, t)] + ([model(x, t, torch.tensor([1, 0, 1]))] if sys.argv[2] == 'true' else [])\n\
                   print(json.dumps(torch.cat(out).detach().double().flatten().tolist()))";
    let times = serde_json::to_string(&TIMES).unwrap();
    let mut command = Command::new(python());
    command.current_dir(d).args(["-c", program, &times, &classes.to_string()]).env_remove("LD_LIBRARY_PATH");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    weights::numbers(&serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_script_computes_what_the_program_computes() {
    let update = std::env::var_os("UPDATE_LOADERS").is_some();
    let torch =
        Command::new(python()).args(["-c", "import torch, torchcfm, numpy"]).env_remove("LD_LIBRARY_PATH").output();
    let torch = update || torch.is_ok_and(|output| output.status.success());
    for (name, config) in networks() {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path();
        let (config, file) = prepare(d, &config);
        let said = succeed(&format!("convert {file} {}/net.pt", d.display()));
        assert!(
            said.contains("net.py: builds the network in PyTorch") && said.contains("the weights take t times"),
            "{said}"
        );
        let script = String::from_utf8(read(d.join("net.py"))).unwrap();
        assert!(script.contains("t: (B) from 0 (noise) to 1 (data)") && script.contains("velocity of the linear path"));

        let classes = config.classes() > 0;
        let velocity = |flags: &str| {
            let times = TIMES.map(|t| t.to_string()).join(",");
            succeed(&format!(
                "velocity {0}/x.npy --checkpoint {file} --at {times} {flags} --out {0}/v.npy",
                d.display()
            ));
            let v: Array4<f32> = read_npy(d.join("v.npy")).unwrap();
            v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>()
        };
        let mut ours = velocity("");
        if classes {
            ours.extend(velocity("--classes 1,0,1"));
        }
        let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/loader-{name}.json"));
        if update {
            let made = json!({ "script": script, "values": by_script(d, classes) });
            fs::write(&golden, format!("{made:#}\n")).unwrap();
        }
        // The recorded values are those of the recorded script.
        let recorded: Value = serde_json::from_slice(&read(golden)).unwrap();
        assert_eq!(recorded["script"].as_str(), Some(script.as_str()), "{name}: run with UPDATE_LOADERS=1");
        let off = weights::relative(&ours, &weights::numbers(&recorded["values"]));
        assert!(off < 1e-5, "{name}: the recorded run is off by {off}");
        if torch {
            let off = weights::relative(&ours, &by_script(d, classes));
            assert!(off < 1e-5, "{name}: the script is off by {off}");
        } else {
            eprintln!("{name}: without torch and torchcfm, compared with the recorded run only");
        }
    }
}

/// Foreign weights whose t = 0 is data: v(x, t) = -u(x, 1 - t), through the programs.
#[test]
fn weights_of_the_other_direction_are_converted() {
    for (_, config) in networks() {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path();
        let (config, file) = prepare(d, &config);
        succeed(&format!("convert {file} {}/turned.safetensors --time-direction data-to-noise", d.display()));
        succeed(&format!("convert {file} {}/theirs.pt --output-time-direction data-to-noise", d.display()));
        assert!(!d.join("theirs.py").exists(), "a script for our direction must not lie beside weights of the other");
        let velocity = |file: &str, t: f64| {
            succeed(&format!("velocity {0}/x.npy --checkpoint {file} --at {t} --out {0}/v.npy", d.display()));
            read_npy::<_, Array4<f32>>(d.join("v.npy")).unwrap().iter().map(|v| f64::from(*v)).collect::<Vec<_>>()
        };
        let turned = format!("{}/turned.safetensors", d.display());
        for t in [0.25, 0.75] {
            let expected: Vec<f64> = velocity(&file, 1.0 - t).iter().map(|v| -v).collect();
            let off = weights::relative(&velocity(&turned, t), &expected);
            assert!(off < 2e-3, "{}: {off}", config.kind());
        }
        // Both ways are the same weights.
        let (a, b) =
            (interchange::read(&d.join("turned.safetensors"), None), interchange::read(&d.join("theirs.pt"), None));
        let (a, b) = (a.unwrap().tensors, b.unwrap().tensors);
        assert!(a.iter().all(|(name, tensor)| b[name].equal(tensor)) && a.len() == b.len());
    }
}

#[test]
fn inspect_refuses_a_file_that_does_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let (_, file) = prepare(dir.path(), &networks()[3].1);
    let tensors = interchange::read(Path::new(&file), None).unwrap().tensors;
    let write = |tensors: &std::collections::BTreeMap<String, tch::Tensor>| {
        let path = dir.path().join("broken.safetensors");
        fs::write(&path, interchange::safetensors(tensors, &About::default()).unwrap()).unwrap();
        format!("inspect {}", path.display())
    };
    assert!(succeed(&write(&tensors)).contains("parameters"));
    let mut missing = tensors.clone_of();
    missing.remove("blocks.0.mlp.fc2.bias");
    let error = common::fail(&write(&missing));
    assert!(
        error.contains("does not fit the network") && error.contains("blocks.0.mlp.fc2.bias is missing"),
        "{error}"
    );
    let mut narrow = tensors.clone_of();
    let bias = narrow["blocks.0.mlp.fc1.bias"].narrow(0, 0, 8);
    narrow.insert("blocks.0.mlp.fc1.bias".into(), bias);
    assert!(common::fail(&write(&narrow)).contains("blocks.0.mlp.fc1.bias is [8], not [128]"));
}

trait CloneOf {
    fn clone_of(&self) -> Self;
}

impl CloneOf for std::collections::BTreeMap<String, tch::Tensor> {
    fn clone_of(&self) -> Self {
        self.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }
}
