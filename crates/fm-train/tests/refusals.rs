//! Settings, data and networks that would train wrongly without a word are errors before the first
//! step.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::data::{DataError, Dataset, Pick};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::source::Source;
use fm_core::tensor::{Role, VelocityModel};
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::TrainError;
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::schedule::Schedule;
use fm_train::task::{FlowTask, FlowTraining};
use fm_train::train::{TrainOptions, TrainState, train};
use ndarray::{Array2, array};
use tch::{Device, Kind, Tensor, nn};

fn table() -> Array2<f32> {
    array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
}

/// Everything that a run is made of.
struct Setup<'a> {
    data: &'a dyn Dataset,
    batches: BatchOptions,
    source: Source,
    objective: Objective,
    options: TrainOptions,
    ema: EmaConfig,
    network: Option<&'a dyn VelocityModel>,
}

impl<'a> Setup<'a> {
    fn of(data: &'a dyn Dataset) -> Self {
        Self {
            data,
            batches: BatchOptions { rows: 4, ..BatchOptions::default() },
            source: Source::default(),
            objective: Objective::default(),
            options: TrainOptions { steps: 3, ..TrainOptions::default() },
            ema: EmaConfig::of(0.9),
            network: None,
        }
    }

    /// Trains, and returns the weights' change.
    fn train(self) -> Result<f64, TrainError> {
        let store = nn::VarStore::new(Device::Cpu);
        let config = ModelConfig::Mlp(MlpConfig { dim: 2, widths: vec![8], ..MlpConfig::default() });
        let own = config.build(&store.root()).unwrap();
        let params = FlatParams::new(&store, Precision::F32)?;
        let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
        let before = params.master.copy();
        let mut state = TrainState::new(params, optimizer, &self.ema, self.objective.loss_aware_bins);
        let flow = FlowMatching::from(self.objective).source(self.source);
        let batches = FlowBatches::new(&flow, self.data, self.batches)?;
        let task = FlowTask::new(self.network.unwrap_or(own.as_ref()), &flow);
        train(&task, &batches, &mut state, &self.options, &mut ())?;
        Ok((&state.params.master - before).abs().sum(Kind::Double).double_value(&[]))
    }
}

fn refused(setup: Setup<'_>, parts: &[&str]) {
    let text = setup.train().unwrap_err().to_string();
    assert!(parts.iter().all(|part| text.contains(part)) && text.len() <= 300 && !text.contains('\n'), "{text}");
}

#[test]
fn a_sound_setup_trains() {
    assert!(Setup::of(&table()).train().unwrap() > 0.0);
    let unclipped = TrainOptions { clip: f64::INFINITY, steps: 3, ..TrainOptions::default() };
    assert!(Setup { options: unclipped, ..Setup::of(&table()) }.train().unwrap() > 0.0);
}

#[test]
fn clipping_at_nothing_does_not_freeze_the_training() {
    for clip in [0.0, -1.0, f64::NAN] {
        let options = TrainOptions { clip, ..TrainOptions::default() };
        refused(Setup { options, ..Setup::of(&table()) }, &["cannot train: gradient clipping norm is", "infinity"]);
    }
}

#[test]
fn rates_decays_and_patience_are_checked() {
    for lr in [-1e-3, f64::NAN, f64::INFINITY] {
        let schedule = Schedule { lr, ..TrainOptions::default().schedule };
        let options = TrainOptions { schedule, ..TrainOptions::default() };
        refused(Setup { options, ..Setup::of(&table()) }, &["learning rate"]);
    }
    for decays in [vec![1.5], vec![f64::NAN], vec![1.0], vec![-0.1], vec![0.9, 0.9]] {
        let ema = EmaConfig { decays, warmup: false, sigma_rel: Vec::new() };
        refused(Setup { ema, ..Setup::of(&table()) }, &["EMA decay"]);
    }
    let options = TrainOptions { patience: 0, ..TrainOptions::default() };
    refused(Setup { options, ..Setup::of(&table()) }, &["patience"]);
}

#[test]
fn an_objective_without_a_meaning_is_refused_before_the_first_step() {
    let singular = Objective { path: "linear-vp".parse::<PathKind>().unwrap(), ..Objective::default() };
    refused(Setup { objective: singular, ..Setup::of(&table()) }, &["linear-vp"]);
    // The score of a source of rows is not known.
    let objective = Objective { prediction: Prediction::Score, ..Objective::default() };
    let source = Source::Rows(table());
    refused(Setup { objective, source, ..Setup::of(&table()) }, &["score prediction"]);
}

#[test]
fn classes_are_there_where_the_model_is_told_them() {
    let batches = BatchOptions { rows: 4, conditional: true, ..BatchOptions::default() };
    refused(Setup { batches, ..Setup::of(&table()) }, &["conditional", "row 0 of the data has no class"]);
    for share in [1.5, -0.1, f64::NAN] {
        let batches = BatchOptions { rows: 4, dropped: Some((0, share)), ..BatchOptions::default() };
        refused(Setup { batches, ..Setup::of(&table()) }, &["label drop"]);
    }
}

#[test]
fn batches_and_data_are_not_empty() {
    let batches = BatchOptions { rows: 0, ..BatchOptions::default() };
    refused(Setup { batches, ..Setup::of(&table()) }, &["batch size"]);
    for empty in [Array2::zeros((0, 2)), Array2::zeros((3, 0))] {
        refused(Setup::of(&empty), &["data set"]);
    }
    for shape in [vec![0], vec![3], vec![], vec![usize::MAX, 2]] {
        refused(Setup::of(&Shaped(shape)), &["shape of the data set", "a row has 2 values"]);
    }
}

/// Rows of two values that say another shape.
struct Shaped(Vec<usize>);

impl Dataset for Shaped {
    fn len(&self) -> usize {
        3
    }

    fn dim(&self) -> usize {
        2
    }

    fn shape(&self) -> Vec<usize> {
        self.0.clone()
    }

    fn write(&self, _: Pick, out: &mut [f32]) -> Result<(), DataError> {
        out.fill(1.0);
        Ok(())
    }
}

#[test]
fn batches_and_task_of_two_flows_do_not_train() {
    let (one, other) = (FlowMatching::default(), FlowMatching::default().source(Source::Rows(table())));
    let (store, table) = (nn::VarStore::new(Device::Cpu), table());
    let model = ModelConfig::Mlp(MlpConfig::default()).build(&store.root()).unwrap();
    let params = FlatParams::new(&store, Precision::F32).unwrap();
    let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let mut state = TrainState::new(params, optimizer, &EmaConfig::of(0.9), 0);
    let (task, batches) = (FlowTask::new(model.as_ref(), &one), other.batches(&table, 2).unwrap());
    let error = train(&task, &batches, &mut state, &TrainOptions::default(), &mut ()).unwrap_err().to_string();
    assert!(error.contains("make batches and task from one flow"), "{error}");
}

/// A data set that is broken at one row.
struct Broken {
    panics: bool,
}

impl Dataset for Broken {
    fn len(&self) -> usize {
        3
    }

    fn dim(&self) -> usize {
        2
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        assert!(pick.row != 1 || !self.panics, "row {} cannot be read", pick.row);
        out.fill(0.0);
        if pick.row == 1 { Err(format!("row {} cannot be read", pick.row).into()) } else { Ok(()) }
    }
}

#[test]
fn an_error_or_a_panic_of_the_data_set_is_an_error_that_names_step_and_reason() {
    for (workers, panics) in [(0, true), (1, true), (2, true), (0, false), (1, false), (2, false)] {
        let options = TrainOptions { workers, steps: 3, ..TrainOptions::default() };
        let parts = ["cannot make the batch of step 0", "row 1 cannot be read"];
        refused(Setup { options, ..Setup::of(&Broken { panics }) }, &parts);
    }
}

/// A network that returns a column, or a row, or one value.
#[derive(Debug)]
struct Narrow(Vec<i64>);

impl VelocityModel for Narrow {
    fn forward(&self, x: &Tensor, _t: &Tensor, _condition: Option<&Tensor>) -> Tensor {
        let mut y = x.shallow_clone();
        for dim in &self.0 {
            y = y.mean_dim(*dim, true, Kind::Float);
        }
        y
    }
}

#[test]
fn a_network_that_returns_another_shape_does_not_train_by_broadcasting() {
    for dims in [vec![1], vec![0], vec![0, 1]] {
        let network = Narrow(dims);
        refused(
            Setup { network: Some(&network), ..Setup::of(&table()) },
            &["the prediction of the network", "expected shape"],
        );
    }
}
