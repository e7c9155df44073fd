//! The loss on held-out rows: closed forms, and what measuring it must not change.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::data::{DataError, Dataset, Pick};
use fm_core::path::Coefficients;
use fm_core::prediction::Prediction;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::tensor::{Role, VelocityModel};
use fm_core::weighting::TimeWeight;
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::callbacks::Callback;
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision};
use fm_train::held_out::{HeldOut, HeldOutOptions, Validation};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::record::LogRecord;
use fm_train::task::FlowTask;
use fm_train::train::{TrainOptions, TrainState, train};
use fm_train::{Run, RunOptions, TrainError};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tch::{Device, Tensor, nn, no_grad};

fn rows(count: usize, seed: u64) -> Array2<f32> {
    // Standard deviation 2 around 1.
    let noise = normal_rows(Key::new(seed, 0, Stream::Data), count, 2);
    Array2::from_shape_vec((count, 2), noise.into_iter().map(|z| 1.0 + 2.0 * z).collect()).unwrap()
}

fn network() -> (nn::VarStore, Box<dyn VelocityModel>) {
    let store = nn::VarStore::new(Device::Cpu);
    let config = ModelConfig::Mlp(MlpConfig { widths: vec![16], ..MlpConfig::default() });
    let model = config.build(&store.root()).unwrap();
    // libtorch has one generator for all threads, and the tests of a binary run beside each other.
    for (at, (_, mut weight)) in BTreeMap::from_iter(store.variables()).into_iter().enumerate() {
        let drawn = normal_rows(Key::new(0, at as u64, Stream::Init), 1, weight.numel());
        no_grad(|| weight.copy_(&(Tensor::from_slice(&drawn).reshape(weight.size()) * 0.1)));
    }
    (store, model)
}

fn zeroed(store: &nn::VarStore) {
    no_grad(|| store.variables().into_values().for_each(|mut v| drop(v.zero_())));
}

struct OfData;

impl TimeWeight for OfData {
    fn weight(&self, _: Prediction, c: &Coefficients) -> Result<f64, fm_core::Error> {
        Ok(c.alpha)
    }
}

/// A network that predicts 0 has the losses E |x1 - x0|^2 / d = 1 + 4 + 1 at every time.
#[test]
fn the_loss_of_a_network_that_predicts_zero_is_known() {
    let (store, model) = network();
    zeroed(&store);
    let data = rows(20_000, 1);
    let flow = FlowMatching::default();
    let loss = HeldOut::new(&flow, &data, &HeldOutOptions::default()).unwrap().loss(model.as_ref(), None).unwrap();
    // The standard error of the mean is .042.
    assert!((loss.mean - 6.0).abs() < 0.17, "{loss:?}");
    assert_eq!(loss.by_time.len(), 10);
    assert!(loss.by_time.iter().all(|bin| (bin - 6.0).abs() < 0.54), "{loss:?}");

    // The weight x1 has in x_t, on the linear path t, is 1/2 in the mean; bins are unweighted.
    let weighted = HeldOut::new(&flow.weighting(OfData), &data, &HeldOutOptions::default()).unwrap();
    let half = weighted.loss(model.as_ref(), None).unwrap();
    assert!((half.mean - 3.0).abs() < 0.1 && half.by_time == loss.by_time, "{half:?}");
}

/// Few rows are used until the mean has the least number of them, each time with another noise.
#[test]
fn few_rows_are_used_several_times() {
    let (store, model) = network();
    zeroed(&store);
    let one = Array2::zeros((1, 2));
    let of = |least| {
        let options = HeldOutOptions { least, ..HeldOutOptions::default() };
        HeldOut::new(&FlowMatching::default(), &one, &options).unwrap().loss(model.as_ref(), None).unwrap().mean
    };
    // E x0^2 = 1, with a standard error of .016 over 4,000 rows of two values.
    assert!((of(4000) - 1.0).abs() < 0.07, "{}", of(4000));
    assert_ne!(of(1), of(2));
}

struct Ones;

impl Dataset for Ones {
    fn len(&self) -> usize {
        usize::MAX
    }

    fn dim(&self) -> usize {
        2
    }

    fn is_endless(&self) -> bool {
        true
    }

    fn write(&self, _: Pick, out: &mut [f32]) -> Result<(), DataError> {
        out.fill(1.0);
        Ok(())
    }
}

#[test]
fn an_endless_data_set_gives_the_number_of_rows_that_was_requested_and_has_no_epochs() {
    let (store, model) = network();
    zeroed(&store);
    let flow = FlowMatching::default();
    let options = HeldOutOptions { least: 4000, rows: usize::MAX, ..HeldOutOptions::default() };
    let loss = HeldOut::new(&flow, &Ones, &options).unwrap().loss(model.as_ref(), None).unwrap();
    // E |1 - x0|^2 = 2, with a standard error of .03.
    assert!((loss.mean - 2.0).abs() < 0.12, "{loss:?}");
    let dir = tempfile::tempdir().unwrap();
    let options = RunOptions { steps: 2, log_every: 1, ..RunOptions::default() };
    let run = Run::open(dir.path(), &"endless").unwrap().options(options);
    let trainer = run.train(&flow, model.as_ref(), &store, &Ones, &mut ()).unwrap();
    assert_eq!(trainer.state().epoch, None);
}

#[test]
fn no_rows_are_refused() {
    let refused = HeldOut::new(&FlowMatching::default(), &rows(0, 1), &HeldOutOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("hold out at least one"), "{refused}");
}

struct Collect<'a> {
    validation: Option<Validation<'a>>,
    lines: Vec<LogRecord>,
}

impl Callback for Collect<'_> {
    fn measure(&mut self, state: &mut TrainState, record: &mut LogRecord) -> Result<(), TrainError> {
        self.validation.iter_mut().try_for_each(|validation| validation.measure(state, record))
    }

    fn after_step(&mut self, _: &mut TrainState, line: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        self.lines.extend(line.cloned());
        Ok(ControlFlow::Continue(()))
    }
}

/// Trains on 16 rows; the loss on held-out rows every `every` steps.
fn trained(every: Option<u64>, steps: u64) -> (TrainState, Vec<LogRecord>) {
    let (store, model) = network();
    let (data, unseen, flow) = (rows(16, 1), rows(500, 2), FlowMatching::default());
    let params = FlatParams::new(&store, Precision::F32).unwrap();
    let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let mut state = TrainState::new(params, optimizer, &EmaConfig::of(0.9), 0);
    let batches = FlowBatches::new(&flow, &data, BatchOptions { rows: 16, ..BatchOptions::default() }).unwrap();
    let options = TrainOptions { steps, log_every: 10, ..TrainOptions::default() };
    let validation = every.map(|every| {
        let held_out = HeldOut::new(&flow, &unseen, &HeldOutOptions::default()).unwrap();
        Validation { held_out, model: model.as_ref(), trained_source: None, every, last: steps }
    });
    let mut log = Collect { validation, lines: Vec::new() };
    train(&FlowTask::new(model.as_ref(), &flow), &batches, &mut state, &options, &mut log).unwrap();
    let lines = log.lines;
    (state, lines)
}

#[test]
fn measuring_changes_no_weight_and_only_the_lines_that_are_due() {
    let (plain, measured) = (trained(None, 50), trained(Some(20), 50));
    assert_eq!(plain.0.params.master, measured.0.params.master);
    let due: Vec<u64> = measured.1.iter().filter(|line| line.val_loss.is_some()).map(|line| line.step).collect();
    assert_eq!(due, [20, 40, 50]);
    for (line, with) in plain.1.iter().zip(&measured.1) {
        let without = LogRecord {
            val_loss: None,
            val_loss_raw: None,
            val_loss_by_time: Vec::new(),
            val_loss_raw_by_time: Vec::new(),
            ..with.clone()
        };
        assert_eq!(*line, without);
        assert_eq!(with.val_loss_by_time.len(), if with.val_loss.is_some() { 10 } else { 0 });
    }
    let last = measured.1.last().unwrap();
    assert_ne!(last.val_loss, last.val_loss_raw, "the EMA weights are others");
    assert_eq!((last.value("val_loss"), last.value("val_loss_raw")), (last.val_loss, last.val_loss_raw));
}
