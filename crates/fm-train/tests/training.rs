//! The loop on a batch that never changes: it must learn it, clip what it should, and stop when
//! told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::data::DataError;
use fm_core::path::{Custom, PathKind};
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::tensor::{Role, VelocityModel};
use fm_core::time::Draw;
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::TrainError;
use fm_train::batch::{Batch, BatchSource};
use fm_train::callbacks::Callback;
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::record::LogRecord;
use fm_train::schedule::{Decay, Schedule};
use fm_train::task::{FlowTask, PackContext, Task};
use fm_train::train::{TrainOptions, TrainState, train};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tch::{Device, Kind, Tensor, nn};

/// One batch for ever.
struct Fixed(Batch);

impl BatchSource for Fixed {
    fn batch(&self, _step: u64) -> Result<Batch, DataError> {
        Ok(self.0.clone())
    }
}

fn fixed_batch() -> Fixed {
    let rows = |step| normal_rows(Key::new(1, step, Stream::Data), 64, 2);
    Fixed(Batch { shape: vec![2], x0: rows(0), x1: rows(1), ..Batch::default() })
}

/// A row in every 64th of the time, so that the curve is smooth.
fn flow() -> FlowMatching {
    FlowMatching::default().time_draw(Draw::Stratified)
}

#[derive(Default)]
struct Collect {
    records: Vec<LogRecord>,
    stop_at: Option<u64>,
}

impl Callback for Collect {
    fn after_step(
        &mut self,
        state: &mut TrainState,
        record: Option<&LogRecord>,
    ) -> Result<ControlFlow<()>, TrainError> {
        self.records.extend(record.cloned());
        Ok(if self.stop_at == Some(state.step) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

fn setup(lr: f64, steps: u64) -> (Box<dyn VelocityModel>, TrainState, TrainOptions) {
    let store = nn::VarStore::new(Device::Cpu);
    let model =
        ModelConfig::Mlp(MlpConfig { widths: vec![64; 2], ..MlpConfig::default() }).build(&store.root()).unwrap();
    // libtorch has one generator for all threads, and the tests of a binary run beside each other.
    for (at, (_, mut weight)) in BTreeMap::from_iter(store.variables()).into_iter().enumerate() {
        let drawn = normal_rows(Key::new(0, at as u64, Stream::Init), 1, weight.numel());
        tch::no_grad(|| weight.copy_(&(Tensor::from_slice(&drawn).reshape(weight.size()) * 0.1)));
    }
    let params = FlatParams::new(&store, Precision::F32).unwrap();
    let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let state = TrainState::new(params, optimizer, &EmaConfig::of(0.9), 0);
    let schedule = Schedule { lr, warmup_steps: 0, decay: Decay::Constant };
    let options = TrainOptions {
        steps,
        workers: 2,
        log_every: 50,
        clip: 1.0,
        schedule,
        micro_batch: 0,
        patience: 10,
        checkpoint_activations: false,
        irreducible: None,
        ..TrainOptions::default()
    };
    (model, state, options)
}

#[test]
fn the_loss_on_one_fixed_batch_falls() {
    let (model, mut state, options) = setup(1e-3, 400);
    let source = fixed_batch();
    let flow = flow();
    let task = FlowTask::new(model.as_ref(), &flow);
    let inputs = task.packer().pack(&source.0, &PackContext::on(Device::Cpu)).unwrap().upload(Device::Cpu);
    let predict = |x: &Tensor, t: &Tensor, _: Option<&Tensor>| model.forward_t(x, t, None, false);
    let loss = || task.losses(&inputs, &(0..64), predict).unwrap().mean(Kind::Float).double_value(&[]);
    let before = loss();
    let mut log = Collect::default();
    train(&task, &source, &mut state, &options, &mut log).unwrap();
    let after = loss();
    assert!(after < 0.5 * before, "{before} to {after}");
    assert_eq!(log.records.iter().map(|r| r.step).collect::<Vec<_>>(), [50, 100, 150, 200, 250, 300, 350, 400]);
    assert!(log.records.windows(2).all(|pair| pair[1].loss < pair[0].loss), "{:?}", log.records);
    // The average of weights is as good on this batch as the weights, to within its short memory.
    state.params.bind(Some(state.ema.weights()));
    assert!((loss() - after).abs() < 0.2 * after);
}

#[test]
fn an_observer_stops_the_loop_and_a_nonsensical_rate_is_reported() {
    let (model, mut state, options) = setup(1e-3, 100);
    let mut log = Collect { stop_at: Some(7), ..Collect::default() };
    train(&FlowTask::new(model.as_ref(), &flow()), &fixed_batch(), &mut state, &options, &mut log).unwrap();
    assert_eq!((state.step, state.optimizer.updates.double_value(&[]), state.ema.updates), (7, 7.0, 7));

    let (model, mut state, options) = setup(1e30, 100);
    let error =
        train(&FlowTask::new(model.as_ref(), &flow()), &fixed_batch(), &mut state, &options, &mut Collect::default())
            .unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { step: 50, seed: 0, .. }), "{error}");
    assert!(error.to_string().contains("a lower learning rate"));
}

/// The loop sets the step of a batch, so that a source need not.
#[test]
fn times_are_those_of_the_step_even_if_the_source_does_not_say_it() {
    struct Counted;
    impl BatchSource for Counted {
        fn batch(&self, step: u64) -> Result<Batch, DataError> {
            Ok(Batch { step, ..fixed_batch().0 })
        }
    }
    let after = |source: &dyn BatchSource| {
        let (model, mut state, options) = setup(1e-3, 5);
        train(&FlowTask::new(model.as_ref(), &flow()), source, &mut state, &options, &mut ()).unwrap();
        state.params.master.copy()
    };
    assert!(after(&Counted).equal(&after(&fixed_batch())));
}

/// Batches that cannot be made, or come from a thread that dies, end the run with their reason.
#[test]
fn a_failing_source_ends_the_run_with_its_reason() {
    struct Broken;
    impl BatchSource for Broken {
        fn batch(&self, step: u64) -> Result<Batch, DataError> {
            if step < 3 { Ok(fixed_batch().0) } else { Err("the disk is gone; plug it in".into()) }
        }
    }
    for workers in [0, 1, 3] {
        let (model, mut state, options) = setup(1e-3, 100);
        let options = TrainOptions { workers, ..options };
        let error =
            train(&FlowTask::new(model.as_ref(), &flow()), &Broken, &mut state, &options, &mut Collect::default())
                .unwrap_err();
        assert_eq!(error.to_string(), "cannot make the batch of step 3: the disk is gone; plug it in");
    }
}

/// A path of a user's own trains like a named one: the same functions, the same bytes.
#[test]
fn a_custom_path_trains_as_the_named_one_that_it_equals() {
    let weights = |named: bool| {
        let (model, mut state, options) = setup(1e-3, 20);
        let mut log = Collect::default();
        let (model, source) = (model.as_ref(), fixed_batch());
        if named {
            let flow = FlowMatching::new(PathKind::Polynomial { n: 2.0 }).time_draw(Draw::Stratified);
            train(&FlowTask::new(model, &flow), &source, &mut state, &options, &mut log).unwrap();
        } else {
            let path = Custom::new("square", |t| t * t, |t| 2.0 * t, |t| 1.0 - t * t, |t| -2.0 * t).unwrap();
            let flow = FlowMatching::new(path).time_draw(Draw::Stratified);
            train(&FlowTask::new(model, &flow), &source, &mut state, &options, &mut log).unwrap();
        }
        Vec::<f32>::try_from(&state.params.master).unwrap()
    };
    assert_eq!(weights(true), weights(false));
}

/// Parts of a batch give the gradient of the whole, whatever their size; stratified times are those
/// of the whole batch.
#[test]
fn micro_batches_add_up_to_the_batch() {
    let run = |micro_batch| {
        let (model, mut state, options) = setup(1e-3, 30);
        let mut log = Collect::default();
        let options = TrainOptions { micro_batch, log_every: 10, ..options };
        train(&FlowTask::new(model.as_ref(), &flow()), &fixed_batch(), &mut state, &options, &mut log).unwrap();
        (Vec::<f32>::try_from(&state.params.master).unwrap(), log.records)
    };
    let (whole, lines) = run(0);
    for size in [64, 16, 7, 1] {
        let (parts, others) = run(size);
        let off = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 2e-5, "parts of {size}: {off}");
        for (a, b) in lines.iter().zip(&others) {
            assert!(
                (a.loss / b.loss - 1.0).abs() < 1e-5 && (a.grad_norm / b.grad_norm - 1.0).abs() < 1e-3,
                "{a:?} {b:?}"
            );
        }
    }
}

/// A batch that is not finite changes nothing and is counted; too many in a row end the run.
#[test]
fn steps_that_are_not_finite_are_skipped_and_counted() {
    struct Sometimes(fn(u64) -> bool);
    impl BatchSource for Sometimes {
        fn batch(&self, step: u64) -> Result<Batch, DataError> {
            let mut batch = fixed_batch().0;
            if self.0(step) {
                batch.x1[3] = f32::NAN;
            }
            Ok(batch)
        }
    }
    let (model, mut state, options) = setup(1e-3, 60);
    let options = TrainOptions { log_every: 20, ..options };
    let mut log = Collect::default();
    let before = state.params.master.copy();
    let flow = flow();
    let task = FlowTask::new(model.as_ref(), &flow);
    train(&task, &Sometimes(|step| step % 4 == 1 || (20..28).contains(&step)), &mut state, &options, &mut log).unwrap();
    let skipped: Vec<u64> = log.records.iter().map(|r| r.skipped).collect();
    assert_eq!(skipped, [5, 16, 21]);
    assert_eq!(state.optimizer.updates.double_value(&[]), 39.0);
    assert!(log.records.iter().all(|r| r.loss.is_finite()), "{:?}", log.records);
    assert!(!state.params.master.equal(&before) && state.params.master.isfinite().all().int64_value(&[]) == 1);
    assert!(state.ema.weights().isfinite().all().int64_value(&[]) == 1);

    let (_, mut state, options) = setup(1e-3, 60);
    let error = train(&task, &Sometimes(|step| step >= 7), &mut state, &options, &mut Collect::default()).unwrap_err();
    assert!(error.to_string().contains("43 consecutive steps before step 50 (seed 0)"), "{error}");
}

/// What a line of the log says, from numbers that are known.
#[test]
fn a_line_of_the_log_adds_up() {
    let (model, mut state, options) = setup(1e-3, 40);
    let options = TrainOptions { log_every: 1, irreducible: Some(0.25), ..options };
    let mut log = Collect::default();
    let source = Fixed(Batch { coupling_gain: Some(0.75), ..fixed_batch().0 });
    train(&FlowTask::new(model.as_ref(), &flow()), &source, &mut state, &options, &mut log).unwrap();
    for r in &log.records {
        assert!((r.excess.unwrap() - (r.loss - 0.25)).abs() < 1e-12 && r.coupling_gain == Some(0.75));
        let bins: Vec<f64> = r.loss_by_time.iter().map(|b| b.unwrap()).collect();
        // 64 strata over ten bins: six or seven rows each, so that their mean is nearly the loss.
        assert!(bins.len() == 10 && (bins.iter().sum::<f64>() / 10.0 / r.loss - 1.0).abs() < 0.05, "{r:?}");
        assert!(r.update_ratio > 0.0 && r.update_ratio < 0.1, "{r:?}");
    }
    // Adam's first step moves each weight by the learning rate.
    let weights = state.params.count() as f64;
    let (first, norm) = (&log.records[0], state.params.master.norm().double_value(&[]));
    assert!((first.update_ratio / (1e-3 * weights.sqrt() / norm) - 1.0).abs() < 0.1, "{}", first.update_ratio);
}

/// Several averages at once, each by its own formula, also through a checkpoint.
#[test]
fn averages_follow_their_formulas() {
    for warmup in [false, true] {
        let decays = vec![0.9, 0.5];
        let mut weights = Tensor::from_slice(&[1f32, -2.0]);
        let mut ema =
            fm_train::ema::Ema::new(&weights, &EmaConfig { decays: decays.clone(), warmup, sigma_rel: Vec::new() });
        let mut want = [1f64, 1.0];
        for n in 1..=30 {
            weights *= 0.9;
            ema.update(&weights);
            for (e, d) in want.iter_mut().zip(&decays) {
                let d = if warmup { d.min((1.0 + f64::from(n)) / (10.0 + f64::from(n))) } else { *d };
                *e = d * *e + (1.0 - d) * 0.9f64.powi(n);
            }
        }
        for (average, want) in ema.averages.iter().zip(want) {
            assert!(
                (average.double_value(&[0]) - want).abs() < 1e-6
                    && (average.double_value(&[1]) + 2.0 * want).abs() < 1e-6
            );
        }
    }
}

/// diffusers' and transformers' schedules: `python3 crates/fm-train/tests/reference/schedules.py`.
#[test]
fn learning_rates_are_those_of_other_libraries() {
    let reference: serde_json::Value = serde_json::from_str(include_str!("reference/schedules.json")).unwrap();
    assert_eq!(reference.as_object().unwrap().len(), <Decay as fm_core::choice::Choice>::TABLE.len());
    for (name, want) in reference.as_object().unwrap() {
        let schedule = Schedule { lr: 1.0, warmup_steps: 10, decay: name.parse().unwrap() };
        for (step, want) in want.as_array().unwrap().iter().enumerate() {
            let got = schedule.at(step as u64, 60);
            assert!((got - want.as_f64().unwrap()).abs() < 1e-12, "{name} {step}: {got} {want}");
        }
    }
}
