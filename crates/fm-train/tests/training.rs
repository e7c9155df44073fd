//! The loop on a batch that never changes: it must learn it, clip what it should, and stop when told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::objective::Objective;
use fm_core::path::{Custom, PathKind};
use fm_core::rng::{Stream, normal_rows};
use fm_core::tensor::VelocityModel;
use fm_core::time::{Draw, Drawn, Times};
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::TrainError;
use fm_train::adamw::AdamWConfig;
use fm_train::batch::{Batch, BatchSource};
use fm_train::flat::{FlatParams, Precision};
use fm_train::schedule::{Decay, Schedule};
use fm_train::task::{FlowMatching, weighted_mean};
use fm_train::train::{Flow, Observer, Record, TrainOptions, TrainState, train};
use std::collections::BTreeMap;
use tch::{Device, Tensor, nn};

/// One batch for ever.
struct Fixed(Batch);

impl BatchSource for Fixed {
    fn batch(&self, _step: u64) -> Result<Batch, String> {
        Ok(self.0.clone())
    }
}

fn fixed_batch() -> Fixed {
    let rows = |step| normal_rows(1, step, Stream::Data, 0, 64, 2);
    Fixed(Batch { x0: rows(0), x1: rows(1), ..Batch::default() })
}

/// A row in every 64th of the time, so that the curve is smooth.
fn objective() -> Objective {
    Objective { times: Times { draw: Draw::Stratified, ..Times::default() }, ..Objective::default() }
}

#[derive(Default)]
struct Collect {
    records: Vec<Record>,
    stop_at: Option<u64>,
}

impl Observer for Collect {
    fn after_step(&mut self, state: &mut TrainState, record: Option<&Record>) -> Result<Flow, TrainError> {
        self.records.extend(record);
        Ok(if self.stop_at == Some(state.step) { Flow::Stop } else { Flow::Continue })
    }
}

fn task(model: &dyn VelocityModel) -> FlowMatching<'_, PathKind> {
    FlowMatching { model, objective: objective(), shape: vec![2] }
}

fn setup(lr: f64, steps: u64) -> (Box<dyn VelocityModel>, TrainState, TrainOptions) {
    let store = nn::VarStore::new(Device::Cpu);
    let model =
        ModelConfig::Mlp(MlpConfig { widths: vec![64; 2], ..MlpConfig::default() }).build(&store.root()).unwrap();
    // libtorch has one generator for all threads, and the tests of a binary run beside each other.
    for (at, (_, mut weight)) in BTreeMap::from_iter(store.variables()).into_iter().enumerate() {
        let drawn = normal_rows(0, at as u64, Stream::Init, 0, 1, weight.numel());
        tch::no_grad(|| weight.copy_(&(Tensor::from_slice(&drawn).reshape(weight.size()) * 0.1)));
    }
    let state = TrainState::new(FlatParams::new(&store, Precision::F32), AdamWConfig::default(), 0.9, 0);
    let schedule = Schedule { lr, warmup_steps: 0, decay: Decay::Constant, total_steps: steps };
    let options = TrainOptions {
        steps,
        workers: 2,
        log_every: 50,
        clip: 1.0,
        schedule,
        seed: 0,
        checkpoint_activations: false,
        irreducible: None,
    };
    (model, state, options)
}

#[test]
fn the_loss_on_one_fixed_batch_falls() {
    let (model, mut state, options) = setup(1e-3, 400);
    let source = fixed_batch();
    let times = (0..64).map(|i| (f64::from(i) + 0.5) / 64.0).collect();
    let drawn = Drawn { times, ..Drawn::default() };
    let task = task(model.as_ref());
    let predict = |x: &Tensor, t: &Tensor, _: Option<&Tensor>| model.forward_t(x, t, None, false);
    let losses = || task.losses(&source.0, &drawn, Device::Cpu, predict).unwrap();
    let loss = || weighted_mean(&losses(), &[1.0; 64]).double_value(&[]);
    let before = loss();
    let mut log = Collect::default();
    train(&task, &source, &mut state, &options, &mut log).unwrap();
    let after = loss();
    assert!(after < 0.5 * before, "{before} to {after}");
    assert_eq!(log.records.iter().map(|r| r.step).collect::<Vec<_>>(), [50, 100, 150, 200, 250, 300, 350, 400]);
    assert!(log.records.windows(2).all(|pair| pair[1].loss < pair[0].loss), "{:?}", log.records);
    // The average of weights is as good on this batch as the weights, to within its short memory.
    state.params.bind(Some(&state.ema.weights));
    assert!((loss() - after).abs() < 0.2 * after);
}

#[test]
fn an_observer_stops_the_loop_and_a_nonsensical_rate_is_reported() {
    let (model, mut state, options) = setup(1e-3, 100);
    let mut log = Collect { stop_at: Some(7), ..Collect::default() };
    train(&task(model.as_ref()), &fixed_batch(), &mut state, &options, &mut log).unwrap();
    assert_eq!((state.step, state.optimizer.updates, state.ema.updates), (7, 7, 7));

    let (model, mut state, options) = setup(1e30, 100);
    let error =
        train(&task(model.as_ref()), &fixed_batch(), &mut state, &options, &mut Collect::default()).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { step: 50, .. }), "{error}");
    assert!(error.to_string().contains("lower the learning rate"));
}

/// Batches that cannot be made, or come from a thread that dies, end the run with their reason.
#[test]
fn a_failing_source_ends_the_run_with_its_reason() {
    struct Broken;
    impl BatchSource for Broken {
        fn batch(&self, step: u64) -> Result<Batch, String> {
            if step < 3 { Ok(fixed_batch().0) } else { Err("the disk is gone; plug it in".into()) }
        }
    }
    for workers in [0, 1, 3] {
        let (model, mut state, options) = setup(1e-3, 100);
        let options = TrainOptions { workers, ..options };
        let error = train(&task(model.as_ref()), &Broken, &mut state, &options, &mut Collect::default()).unwrap_err();
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
            let path = PathKind::Polynomial { n: 2.0 };
            let task = FlowMatching { objective: Objective { path, ..objective() }, ..task(model) };
            train(&task, &source, &mut state, &options, &mut log).unwrap();
        } else {
            let path = Custom::new("square", |t| t * t, |t| 2.0 * t, |t| 1.0 - t * t, |t| -2.0 * t).unwrap();
            let objective = Objective { times: objective().times, ..Objective::on(path) };
            train(&FlowMatching { model, objective, shape: vec![2] }, &source, &mut state, &options, &mut log).unwrap();
        }
        Vec::<f32>::try_from(&state.params.master).unwrap()
    };
    assert_eq!(weights(true), weights(false));
}
