//! Checkpoints of a small network.

#![allow(dead_code, unreachable_pub, reason = "each test uses some of these")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::tensor::Role;
use fm_train::TrainError;
use fm_train::checkpoint::{self, DataMeta, RunInfo};
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::train::TrainState;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tch::{Device, nn};

/// A state of a linear layer after some steps.
pub fn state(step: u64) -> TrainState {
    let store = nn::VarStore::new(Device::Cpu);
    let _ = nn::linear(store.root() / "layer", 2, 2, Default::default());
    let params = FlatParams::new(&store, Precision::F32).unwrap();
    let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let mut state = TrainState::new(params, optimizer, &EmaConfig::of(0.9), 0);
    state.step = step;
    state
}

pub fn info() -> RunInfo {
    let data = DataMeta { shape: vec![2], ..DataMeta::default() };
    let (program, path, prediction) = ("test".into(), "linear".into(), "velocity".into());
    RunInfo {
        program,
        path,
        prediction,
        data,
        model: serde_json::Value::Null,
        config: serde_json::json!({ "k": 1 }),
        log: String::new(),
        flow: None,
    }
}

/// Saves a checkpoint of a step.
pub fn save(directory: &Path, step: u64) -> PathBuf {
    checkpoint::save(directory, &state(step), &info()).unwrap()
}

/// Changes one value of the weights.
pub fn damage(checkpoint: &Path) {
    let file = checkpoint.join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(file, bytes).unwrap();
}

pub fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

pub fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Asserts an error with these words, in at most 300 characters besides its path.
pub fn refused<T>(result: Result<T, TrainError>, words: &str) {
    let text = result.map(|_| ()).unwrap_err().to_string();
    assert!(text.contains(words) && text.len() <= 300 && !text.contains('\n'), "{text}");
}
