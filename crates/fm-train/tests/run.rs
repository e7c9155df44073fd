//! A run in a directory: resumed bit for bit, refused where it is not the same run, loaded as it
//! was saved.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::tensor::TrainedModel;
use fm_core::{FlowMatching, NamedFlow};
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_solvers::Sampler;
use fm_train::callbacks::Callback;
use fm_train::checkpoint::Weights;
use fm_train::record::LogRecord;
use fm_train::train::TrainState;
use fm_train::{Run, RunOptions, TrainError, Trainer};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
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
    train_with(directory, flow, steps, &mut ())
}

fn train_with(
    directory: &Path,
    flow: &FlowMatching,
    steps: u64,
    callback: &mut dyn Callback,
) -> Result<(nn::VarStore, Trainer), TrainError> {
    let data = Array2::from_shape_vec((50, 2), normal_rows(Key::new(3, 0, Stream::Data), 50, 2)).unwrap();
    let (store, net) = store();
    let options = RunOptions { steps, save_every: 7, log_every: 2, ..RunOptions::default() };
    let run = Run::open(directory, &config())?.options(options);
    let trainer = run.train(flow, net.as_ref(), &store, &data, callback)?;
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
    assert_eq!(Run::load_weights(parts.path(), &loaded, Weights::Raw).unwrap(), 20);
    let same = |a: &nn::VarStore| {
        let (a, b) = (a.variables(), store.variables());
        a.iter().all(|(name, tensor)| tensor.equal(&b[name]))
    };
    assert!(same(&loaded));
    Run::load_weights(parts.path(), &loaded, Weights::Ema).unwrap();
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
    refused(Run::load_weights(directory.path(), &wrong, Weights::Ema).map(|_| ()), "do not fit the network");
    refused(
        Run::load_weights(directory.path().join("nowhere"), &wrong, Weights::Ema).map(|_| ()),
        "no checkpoint found",
    );
}

#[test]
fn an_early_stopped_run_is_over_also_when_it_is_resumed() {
    use fm_train::callbacks::EarlyStopping;
    let (flow, directory) = (FlowMatching::default(), tempfile::tempdir().unwrap());
    // The norm of the gradient does not fall by 0.5 for long.
    let patient = |lines| EarlyStopping::new("grad_norm", lines, 0.5).unwrap();
    let (_, first) = train_with(directory.path(), &flow, 40, &mut patient(3)).unwrap();
    let stopped = first.state().step;
    assert!(stopped < 40, "{stopped}");
    let before = log(directory.path());
    let (_, again) = train_with(directory.path(), &flow, 40, &mut patient(3)).unwrap();
    assert_eq!((again.state().step, log(directory.path())), (stopped, before));
    assert!(again.state().params.master.equal(&first.state().params.master));
    // Killed before the checkpoint of the last step was saved, it stops at the same step.
    std::fs::remove_dir_all(directory.path().join(format!("checkpoints/step-{stopped}"))).unwrap();
    let (_, third) = train_with(directory.path(), &flow, 40, &mut patient(3)).unwrap();
    assert!(third.state().step == stopped && third.state().params.master.equal(&first.state().params.master));
    // More patience trains on.
    let (_, longer) = train_with(directory.path(), &flow, 40, &mut patient(30)).unwrap();
    assert_eq!(longer.state().step, 40);
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

/// Collects replayed steps and warnings.
#[derive(Default)]
struct Witness {
    steps: Vec<u64>,
    warnings: Vec<String>,
}

impl Callback for Witness {
    fn after_step(&mut self, _: &mut TrainState, _: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        Ok(ControlFlow::Continue(()))
    }

    fn replay(&mut self, record: &LogRecord) -> ControlFlow<()> {
        self.steps.push(record.step);
        ControlFlow::Continue(())
    }

    fn warn(&mut self, warning: &TrainError) {
        self.warnings.push(warning.to_string());
    }
}

#[test]
fn what_a_resumed_run_finds_damaged_is_said_and_nothing_good_is_lost() {
    let (flow, directory) = (FlowMatching::default(), tempfile::tempdir().unwrap());
    train(directory.path(), &flow, 20).unwrap();
    let checkpoints = directory.path().join("checkpoints");
    for step in [14, 20] {
        std::fs::write(checkpoints.join(format!("step-{step}/ema.safetensors")), "").unwrap();
    }
    // The line of step 4 is damaged by one byte.
    let mut lines = log(directory.path()).into_bytes();
    let place = lines.windows(8).position(|w| w == b"\"step\":4").unwrap();
    lines[place + 1] = 0xff;
    std::fs::write(directory.path().join("metrics.jsonl"), lines).unwrap();
    let mut witness = Witness::default();
    train_with(directory.path(), &flow, 12, &mut witness).unwrap();
    assert_eq!(witness.steps, [2, 6]);
    let said = |words: &str| witness.warnings.iter().filter(|w| w.contains(words)).count();
    assert_eq!((said("ema.safetensors"), said("1 lines missing, 1 lines damaged")), (2, 1), "{:?}", witness.warnings);
    let steps: Vec<u64> =
        log(directory.path()).lines().map(|l| serde_json::from_str::<LogRecord>(l).unwrap().step).collect();
    assert_eq!(steps, [2, 6, 8, 10, 12]);
    for step in [7, 12] {
        fm_train::checkpoint::verify(&checkpoints.join(format!("step-{step}"))).unwrap();
    }

    // All checkpoints are gone: the rest of the run is not overwritten.
    std::fs::remove_dir_all(&checkpoints).unwrap();
    let before = log(directory.path());
    let told = Run::open(directory.path(), &config()).unwrap_err().to_string();
    assert!(told.contains("already holds a run"), "{told}");
    assert_eq!(log(directory.path()), before);
}

#[test]
fn a_model_is_loaded_as_it_was_trained_with_its_flow() {
    let directory = tempfile::tempdir().unwrap();
    let flow = FlowMatching::new(PathKind::Trigonometric).prediction(Prediction::Data).time_clip(1e-3).seed(9);
    train(directory.path(), &flow, 10).unwrap();
    let (points, half) = (Tensor::from_slice2(&[[0.5f32, -1.0], [2.0, 0.0]]), Tensor::from_slice(&[0.5f32]));
    let run = Run::open(directory.path(), &config()).unwrap();
    let model = run.load().unwrap();
    assert_eq!(NamedFlow::of(&model.flow), NamedFlow::of(&flow));
    let by_hand = {
        let (store, net) = store();
        Run::load_weights(directory.path(), &store, Weights::Ema).unwrap();
        net.forward(&points, &half, None)
    };
    let (_, untrained) = store();
    let loaded = model.network.forward(&points, &half, None);
    assert!(loaded.equal(&by_hand) && !loaded.equal(&untrained.forward(&points, &half, None)));
    // The sampler takes path, prediction and clip from the model.
    let of_model = Sampler::midpoint(5).sample_model(&model, 3, 1).unwrap();
    let of_parts = Sampler::midpoint(5).sample(model.network.as_ref(), &flow, 3, 1).unwrap();
    assert!(of_model.x.equal(&of_parts.x));
    drop(run);
    assert!(Run::model::<ModelConfig>(directory.path()).is_ok());
    let refused = |result: Result<TrainedModel, TrainError>, words: &str| {
        let text = result.map(|_| ()).unwrap_err().to_string();
        assert!(text.contains(words) && text.len() <= 300 && !text.contains('\n'), "{text}");
    };
    refused(Run::model::<fm_models::unet::UNetConfig>(directory.path()), "its configuration is of another kind");
    refused(Run::model::<ModelConfig>(directory.path().join("nowhere")), "no checkpoint found");

    // A flow with a function, and a checkpoint of an earlier version, have no stored flow.
    let own = tempfile::tempdir().unwrap();
    train(own.path(), &FlowMatching::default().weighting(|t: f64| 1.0 + t), 5).unwrap();
    refused(Run::open(own.path(), &config()).unwrap().load(), "call Run::load_weights and give the sampler your flow");
    let meta = directory.path().join("checkpoints/step-10/meta.json");
    let mut value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&meta).unwrap()).unwrap();
    let fields = value.as_object_mut().unwrap();
    assert!(fields.remove("flow").is_some() && fields.remove("sha256").is_some());
    fields.insert("format".into(), 5.into());
    std::fs::write(&meta, serde_json::to_string_pretty(&value).unwrap()).unwrap();
    refused(Run::model::<ModelConfig>(directory.path()), "has no flow of built-in parts");
    assert_eq!(Run::open(directory.path(), &config()).unwrap().step().unwrap(), 10);
}
