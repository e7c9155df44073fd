//! A run in a directory: resumed bit for bit, refused where it is not the same run, loaded as it
//! was saved.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::path::PathKind;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::checkpoint::Weights;
use fm_train::record::LogRecord;
use fm_train::{Run, RunOptions, TrainError, Trainer};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Tensor, nn};

fn config() -> ModelConfig {
    ModelConfig::Mlp(MlpConfig { widths: vec![16], ..MlpConfig::default() })
}

/// A store whose initial weights do not depend on libtorch's generator, which other tests share.
fn store() -> (nn::VarStore, Box<dyn fm_core::tensor::VelocityModel>) {
    let store = nn::VarStore::new(Device::Cpu);
    let net = config().build(&store.root()).unwrap();
    for (at, (_, mut weight)) in BTreeMap::from_iter(store.variables()).into_iter().enumerate() {
        let drawn = normal_rows(Key::new(0, at as u64, Stream::Init), 1, weight.numel());
        tch::no_grad(|| weight.copy_(&(Tensor::from_slice(&drawn).reshape(weight.size()) * 0.3)));
    }
    (store, net)
}

fn train(directory: &Path, flow: &FlowMatching, steps: u64) -> Result<(nn::VarStore, Trainer), TrainError> {
    let data = Array2::from_shape_vec((50, 2), normal_rows(Key::new(3, 0, Stream::Data), 50, 2)).unwrap();
    let (store, net) = store();
    let options = RunOptions { steps, save_every: 7, log_every: 2, ..RunOptions::default() };
    let trainer = Run::open(directory, &config())?.train(flow, net.as_ref(), &store, &data, &options, &mut ())?;
    Ok((store, trainer))
}

fn log(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("metrics.jsonl")).unwrap()
}

#[test]
fn a_resumed_run_ends_where_an_uninterrupted_one_does() {
    let flow = FlowMatching::default();
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (_, uninterrupted) = train(whole.path(), &flow, 20).unwrap();
    train(parts.path(), &flow, 10).unwrap();
    // Killed after its last checkpoint: a line of a later step, and one that was cut short.
    let later = log(parts.path()).lines().last().unwrap().replace("\"step\":10", "\"step\":12");
    std::fs::write(parts.path().join("metrics.jsonl"), format!("{}{later}\n{{\"st", log(parts.path()))).unwrap();
    let (store, resumed) = train(parts.path(), &flow, 20).unwrap();
    assert!(uninterrupted.state().params.master.equal(&resumed.state().params.master));
    assert!(uninterrupted.state().ema.weights().equal(resumed.state().ema.weights()));
    assert_eq!(log(whole.path()), log(parts.path()));
    let rate = |line: &str| serde_json::from_str::<LogRecord>(line).unwrap().lr;
    assert!(log(whole.path()).lines().all(|line| rate(line) == RunOptions::default().trainer.lr));

    // Loaded weights are those of the store, or their average.
    let (loaded, _) = self::store();
    assert_eq!(Run::load(parts.path(), &loaded, Weights::Raw).unwrap(), 20);
    let same = |a: &nn::VarStore| {
        let (a, b) = (a.variables(), store.variables());
        a.iter().all(|(name, tensor)| tensor.equal(&b[name]))
    };
    assert!(same(&loaded));
    Run::load(parts.path(), &loaded, Weights::Ema).unwrap();
    assert!(!same(&loaded));
    assert_eq!(Run::config::<ModelConfig>(parts.path()).unwrap(), config());
}

#[test]
fn what_is_not_the_same_run_is_refused_and_left_alone() {
    let refused = |result: Result<(), TrainError>, words: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(words) && text.len() <= 300 && !text.contains('\n'), "{text}");
    };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("thesis.tex"), "mine").unwrap();
    let open = |config: &ModelConfig| Run::open(directory.path(), config).map(|_| ());
    refused(open(&config()), "files of something else; choose a new directory");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    std::fs::remove_file(directory.path().join("thesis.tex")).unwrap();
    let flow = FlowMatching::default();
    train(directory.path(), &flow, 5).unwrap();
    let before = log(directory.path());
    let other = ModelConfig::Mlp(MlpConfig { widths: vec![32], ..MlpConfig::default() });
    refused(open(&other), "another configuration");
    let trigonometric = FlowMatching::new(PathKind::Trigonometric);
    refused(train(directory.path(), &trigonometric, 9).map(|_| ()), "give the flow that the run began with");
    assert_eq!(before, log(directory.path()));

    let held = Run::open(directory.path(), &config()).unwrap();
    assert_eq!(held.step().unwrap(), 5);
    refused(open(&config()), "in use by another run");
    let (wrong, _) = (nn::VarStore::new(Device::Cpu), ());
    let _ = nn::linear(wrong.root() / "other", 2, 2, Default::default());
    refused(Run::load(directory.path(), &wrong, Weights::Ema).map(|_| ()), "do not fit the network");
    refused(Run::load(directory.path().join("nowhere"), &wrong, Weights::Ema).map(|_| ()), "no checkpoint found");
}

#[test]
fn damaged_checkpoints_are_not_cut() {
    let directory = tempfile::tempdir().unwrap();
    train(directory.path(), &FlowMatching::default(), 5).unwrap();
    let meta = directory.path().join("checkpoints/step-5/meta.json");
    std::fs::write(&meta, "{}").unwrap();
    let before = log(directory.path());
    assert!(Run::open(directory.path(), &config()).is_err());
    assert_eq!((before, std::fs::read_to_string(&meta).unwrap()), (log(directory.path()), "{}".into()));
}
