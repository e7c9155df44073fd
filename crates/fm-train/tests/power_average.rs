//! Averages of relative widths: against NumPy
//! (`python3 crates/fm-train/tests/reference/power_average.py`), and computed from the
//! snapshots of a training run, against the ones tracked in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use fm_core::FlowMatching;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::callbacks::Callback;
use fm_train::checkpoint::{Weights, average_of, read_weights};
use fm_train::ema::{Ema, EmaConfig};
use fm_train::power_average::{Profile, exponent, fit};
use fm_train::record::LogRecord;
use fm_train::run_dir::latest_checkpoint;
use fm_train::schedule::Decay;
use fm_train::{BatchOptions, Run, RunOptions, TrainError, TrainState, Trainer, TrainerConfig};
use ndarray::Array2;
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::Path;
use tch::{Device, Tensor, nn};

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/power_average.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn exponents_and_coefficients_equal_numpys() {
    let reference = reference();
    for pair in reference["exponents"].as_array().unwrap() {
        let [width, want] = numbers(pair)[..] else { unreachable!() };
        assert!((exponent(width).unwrap() / want - 1.0).abs() < 1e-9, "{width}");
    }
    let snapshots: Vec<Profile> = reference["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| Profile { sigma_rel: pair[0].as_f64().unwrap(), updates: pair[1].as_u64().unwrap() })
        .collect();
    for case in reference["fits"].as_array().unwrap() {
        let found = fit(&snapshots, Profile { sigma_rel: case[0].as_f64().unwrap(), updates: 300 }).unwrap();
        let off = numbers(&case[1]).iter().zip(&found.coefficients).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-6, "{off}");
        assert!((found.coefficients.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((found.error - case[2].as_f64().unwrap()).abs() < 1e-6, "{}", found.error);
    }
    // An average that was tracked is its own snapshot.
    let found = fit(&snapshots, Profile { sigma_rel: 0.1, updates: 300 }).unwrap();
    assert!((found.coefficients[9] - 1.0).abs() < 1e-9 && found.error < 1e-6, "{found:?}");
}

#[test]
fn averages_equal_numpys() {
    let reference = reference();
    for case in reference["averages"].as_array().unwrap() {
        let [width, last, want] = numbers(case)[..] else { unreachable!() };
        let config = EmaConfig { sigma_rel: vec![width], ..EmaConfig::of(0.9) };
        // What they start from does not stay in them.
        let mut ema = Ema::new(&Tensor::from_slice(&[100f64]), &config);
        for w in &numbers(&reference["walk"])[..last as usize] {
            ema.update(&Tensor::from_slice(&[*w]));
        }
        assert!((ema.power[0].double_value(&[0]) - want).abs() < 1e-9, "{width} {last}");
    }
}

#[test]
fn averages_that_cannot_be_computed_are_refused() {
    let of = |sigma_rel, updates| Profile { sigma_rel, updates };
    let refused = |snapshots: &[Profile], wanted: Profile, says: &str| {
        let error = fit(snapshots, wanted).unwrap_err();
        assert!(matches!(error, TrainError::Average { .. }) && error.to_string().contains(says), "{error}");
    };
    refused(&[], of(0.1, 5), "the number of snapshots is 0");
    refused(&[of(0.1, 5)], of(0.1, 0), "its number of updates is 0");
    refused(&[of(0.1, 5)], of(0.3, 5), "give 0.001 to 0.28");
    refused(&[of(f64::NAN, 5)], of(0.1, 5), "give 0.001 to 0.28");
    refused(&[of(0.1, 0)], of(0.1, 5), "the update of a snapshot is 0");
    refused(&[of(0.1, 6)], of(0.1, 5), "the update of a snapshot is 6");
    refused(&[of(0.1, 5), of(0.1, 5)], of(0.1, 5), "give each snapshot once");
    let widths = |sigma_rel: &[f64]| EmaConfig { sigma_rel: sigma_rel.to_vec(), ..EmaConfig::of(0.9) }.validate();
    assert!(widths(&[0.05, 0.1]).is_ok() && widths(&[0.05, 0.05]).is_err() && widths(&[0.5]).is_err());
}

const WIDTHS: [f64; 7] = [0.03, 0.04, 0.05, 0.06, 0.08, 0.12, 0.15];

/// Averages that are tracked beside a run.
#[derive(Default)]
struct Beside(Option<Ema>);

impl Callback for Beside {
    fn after_step(&mut self, state: &mut TrainState, _: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        let config = EmaConfig { sigma_rel: WIDTHS.to_vec(), ..EmaConfig::of(0.9) };
        self.0.get_or_insert_with(|| Ema::new(&state.params.master, &config)).update(&state.params.master);
        Ok(ControlFlow::Continue(()))
    }
}

fn train(directory: &Path, (steps, decay): (u64, Decay), beside: &mut dyn Callback) -> Trainer {
    let config = ModelConfig::Mlp(MlpConfig { widths: vec![16], ..MlpConfig::default() });
    let store = nn::VarStore::new(Device::Cpu);
    let net = config.build(&store.root()).unwrap();
    let mut variables: Vec<_> = store.variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    for (at, (_, weight)) in variables.iter_mut().enumerate() {
        let drawn = normal_rows(Key::new(0, at as u64, Stream::Init), 1, weight.numel());
        tch::no_grad(|| weight.copy_(&(Tensor::from_slice(&drawn).reshape(weight.size()) * 0.3)));
    }
    let data = Array2::from_shape_vec((50, 2), normal_rows(Key::new(3, 0, Stream::Data), 50, 2)).unwrap();
    let trainer = TrainerConfig { sigma_rel: vec![0.05, 0.1], ..TrainerConfig::default() };
    let batches = BatchOptions { rows: 16, ..BatchOptions::default() };
    let options = RunOptions { trainer, batches, steps, save_every: 50, decay, ..RunOptions::default() };
    let run = Run::open(directory, &config).unwrap().options(options);
    run.train(&FlowMatching::default(), net.as_ref(), &store, &data, beside).unwrap()
}

fn steps_of(directory: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(directory.join("averages")).unwrap();
    let step = |name: String| name.strip_prefix("step-").unwrap().parse().unwrap();
    let mut steps: Vec<u64> = entries.map(|e| step(e.unwrap().file_name().into_string().unwrap())).collect();
    steps.sort_unstable();
    steps
}

#[test]
fn any_width_follows_from_twenty_snapshots_of_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let mut beside = Beside::default();
    let trainer = train(directory.path(), (1000, Decay::Cosine), &mut beside);
    let params = &trainer.state().params;
    // Checkpoints are removed, snapshots are not.
    assert_eq!(steps_of(directory.path()), (1..=20).map(|k| 50 * k).collect::<Vec<u64>>());
    let (path, ..) = latest_checkpoint(directory.path()).unwrap();
    let distance = |a: &Tensor, b: &Tensor| (a - b).norm().double_value(&[]) / b.norm().double_value(&[]);
    for (width, want) in WIDTHS.iter().zip(&beside.0.unwrap().power) {
        let found = average_of(&path, *width).unwrap();
        assert_eq!(found.snapshots, 40);
        let off = distance(&params.join(found.weights).unwrap(), want);
        assert!(off < 1e-4, "{width}: {off}");
        // The widest is not just the last weights.
        let still = distance(&params.master, want);
        assert!(*width < 0.15 || still > 50.0 * off, "{width}: {still} {off}");
    }
}

#[test]
fn a_resumed_run_has_the_snapshots_of_an_uninterrupted_one() {
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    train(whole.path(), (150, Decay::Constant), &mut ());
    train(parts.path(), (100, Decay::Constant), &mut ());
    // A run that stopped between a snapshot and its checkpoint, and one whose snapshot was cut.
    std::fs::remove_dir_all(parts.path().join("checkpoints/step-100")).unwrap();
    let file = "ema-sigma-0.1.safetensors";
    std::fs::write(parts.path().join("averages/step-100").join(file), "cut").unwrap();
    // Snapshots of later steps are not used.
    let (checkpoint, ..) = latest_checkpoint(parts.path()).unwrap();
    assert_eq!(average_of(&checkpoint, 0.08).unwrap().snapshots, 2);
    train(parts.path(), (150, Decay::Constant), &mut ());
    for step in [50, 100, 150] {
        let read = |run: &Path| std::fs::read(run.join(format!("averages/step-{step}")).join(file)).unwrap();
        assert!(read(whole.path()) == read(parts.path()), "{step}");
    }
    let average = |run: &Path| {
        let (path, ..) = latest_checkpoint(run).unwrap();
        average_of(&path, 0.08).unwrap().weights
    };
    let (whole, parts) = (average(whole.path()), average(parts.path()));
    assert!(whole.iter().all(|(name, tensor)| tensor.equal(&parts[name])));
}

#[test]
fn runs_without_widths_and_damaged_snapshots_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    train(directory.path(), (100, Decay::Constant), &mut ());
    let (path, ..) = latest_checkpoint(directory.path()).unwrap();
    let refused = |width: f64, says: &str| {
        let error = read_weights(&path, Weights::SigmaRel(width)).unwrap_err().to_string();
        assert!(error.contains(says) && error.len() <= 300, "{error}");
    };
    refused(0.5, "give 0.001 to 0.28");
    std::fs::write(directory.path().join("averages/step-50/ema-sigma-0.1.safetensors"), "cut").unwrap();
    refused(0.08, "step-50 is a damaged snapshot of averages: ");
    std::fs::remove_dir_all(directory.path().join("averages")).unwrap();
    // The checkpoint has its own averages.
    assert_eq!(average_of(&path, 0.08).unwrap().snapshots, 2);
    let plain = tempfile::tempdir().unwrap();
    let state = common::state(3);
    let path = fm_train::checkpoint::save(plain.path(), &state, &common::info()).unwrap();
    let error = average_of(&path, 0.08).unwrap_err().to_string();
    assert!(error.contains("ema_sigma = [0.05, 0.1]"), "{error}");
}
