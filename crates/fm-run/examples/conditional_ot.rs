//! What condition-awareness is for: optimal transport in a class-conditional model, with and
//! without it.
//!
//! `cargo run --release -p fm-run --example conditional_ot`, some ten minutes on two cores.
//!
//! Minibatch transport gives each class the noise nearest to it. A model that is conditioned on the
//! class then never sees that class start from anywhere else; when it samples, noise comes from
//! everywhere. A condition-aware cost lets each class have noise of its own, all of it.
//!
//! Printed are energy distances between 2,000 samples and 2,000 fresh points of each class,
//! averaged over classes, with the standard error over seeds, for few and for many Euler steps.

#![allow(clippy::print_stdout, reason = "an example speaks on standard output")]

use anyhow::{Context, Result};
use fm_core::choice::Choice;
use fm_core::data::Classes;
use fm_core::objective::Objective;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::source::Source;
use fm_core::tensor::{Role, VelocityModel, upload};
use fm_data::points::toy;
use fm_metrics::energy::energy_distance;
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_ot::CouplingKind;
use fm_run::objective_args::FlowConfig;
use fm_solvers::guidance::Guided;
use fm_solvers::sampler::Sampler;
use fm_solvers::sampler::SolverName;
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::schedule::{Decay, Schedule};
use fm_train::task::{FlowTask, FlowTraining};
use fm_train::train::{TrainOptions, TrainState, train};
use ndarray::{Array2, Axis};
use std::f32::consts::PI;
use tch::{Device, Kind, Tensor, nn};

const COUPLINGS: [&str; 5] = ["independent", "exact", "c2ot:0.1", "c2ot:1", "c2ot:10"];
const DATA: [&str; 2] = ["8gaussians", "checkerboard"];
const SEEDS: u64 = 5;
const STEPS: u64 = 3000;
const BATCH: usize = 256;
const POINTS: usize = 20_000;
const EVALUATED: usize = 2000;
const EULER: [usize; 2] = [5, 100];

fn main() -> Result<()> {
    println!("| data | coupling | {} |", EULER.map(|n| format!("D^2, {n} steps")).join(" | "));
    println!("|---|---|---|---|");
    for data in DATA {
        for name in COUPLINGS {
            let coupling = CouplingKind::parse(name)?;
            let runs = (0..SEEDS).map(|seed| experiment(data, coupling, seed)).collect::<Result<Vec<_>>>()?;
            let cell = |k: usize| {
                let mean = runs.iter().map(|r| r[k]).sum::<f64>() / SEEDS as f64;
                let variance = runs.iter().map(|r| (r[k] - mean).powi(2)).sum::<f64>() / (SEEDS - 1) as f64;
                format!("{mean:.4} +- {:.4}", (variance / SEEDS as f64).sqrt())
            };
            println!("| {data} | `{name}` | {} | {} |", cell(0), cell(1));
        }
    }
    Ok(())
}

/// Points in units of their spread, and the class of each.
struct Labelled {
    points: Array2<f32>,
    classes: Vec<i64>,
}

impl Labelled {
    /// The class is the Gaussian of the ring, or the column of the board.
    fn draw(data: &str, rows: usize, seed: u64) -> Result<Self> {
        let points = toy(data, rows, seed)?;
        let class = |x: f32, y: f32| match data {
            "8gaussians" => (y.atan2(x) / (PI / 4.0)).round().rem_euclid(8.0) as i64,
            _ => (x / 2.0).floor() as i64 + 2,
        };
        let classes = points.rows().into_iter().map(|p| class(p[0], p[1])).collect();
        Ok(Self { points: points / if data == "8gaussians" { 3.55 } else { 2.31 }, classes })
    }

    fn count(data: &str) -> i64 {
        if data == "8gaussians" { 8 } else { 4 }
    }

    fn of_class(&self, class: i64, most: usize) -> Array2<f32> {
        let rows: Vec<usize> = (0..self.classes.len()).filter(|&i| self.classes[i] == class).take(most).collect();
        self.points.select(Axis(0), &rows)
    }
}

/// An MLP that sees the class beside the point, one-hot.
#[derive(Debug)]
struct ClassMlp {
    net: Box<dyn VelocityModel>,
    classes: i64,
}

impl VelocityModel for ClassMlp {
    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let hot = condition.map_or_else(
            || Tensor::zeros([x.size()[0], self.classes], (Kind::Float, x.device())),
            |c| c.one_hot(self.classes).to_kind(Kind::Float),
        );
        self.net.forward(&Tensor::cat(&[x, &hot], 1), t, None).narrow(1, 0, 2)
    }
}

/// Trains once; the energy distance for each number of Euler steps.
fn experiment(data: &str, coupling: CouplingKind, seed: u64) -> Result<[f64; 2]> {
    let classes = Labelled::count(data);
    let config = FlowConfig { coupling, ..FlowConfig::default() };
    let flow = config.flow(Source::default(), seed, true, &fm_ot::Reports::default())?;
    let Labelled { points, classes: labels } = Labelled::draw(data, POINTS, seed)?;
    let data_set = Classes::new(points, labels)?;
    let batches = flow.batches(&data_set, BATCH)?;
    tch::manual_seed(Key::new(seed, 0, Stream::Init).torch_seed());
    let store = nn::VarStore::new(Device::Cpu);
    let net = ModelConfig::Mlp(MlpConfig { dim: 2 + classes, widths: vec![128; 3], ..MlpConfig::default() })
        .build(&store.root())?;
    let model = ClassMlp { net, classes };
    let params = FlatParams::new(&store, Precision::F32)?;
    let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let mut state = TrainState::new(params, optimizer, &EmaConfig::of(0.999), 0);
    let options = TrainOptions {
        steps: STEPS,
        workers: 1,
        log_every: STEPS,
        clip: 1.0,
        schedule: Schedule { lr: 2e-3, warmup_steps: 100, decay: Decay::Cosine },
        ..TrainOptions::default()
    };
    train(&FlowTask::new(&model, &flow), &batches, &mut state, &options, &mut ())?;
    state.params.bind(Some(state.ema.weights()));
    let fresh = Labelled::draw(data, EVALUATED * 2 * classes as usize, seed + 1000)?;
    let mut distances = [0.0; 2];
    for (k, steps) in EULER.into_iter().enumerate() {
        for class in 0..classes {
            let drawn = sample(&model, &config.objective, class, steps, seed)?;
            let real = fresh.of_class(class, EVALUATED);
            distances[k] += energy_distance(drawn.view(), real.view())? / classes as f64;
        }
    }
    Ok(distances)
}

fn sample(model: &ClassMlp, objective: &Objective, class: i64, steps: usize, seed: u64) -> Result<Array2<f32>> {
    let noise = normal_rows(Key::new(seed, class as u64, Stream::Sample), EVALUATED, 2);
    let x0 = upload(&noise, &[EVALUATED as i64, 2], Device::Cpu);
    let asked = Tensor::full([EVALUATED as i64], class, (Kind::Int64, Device::Cpu));
    let field = Guided { model, conditions: asked, null_class: 0, scale: 1.0, interval: (0.0, 1.0) };
    let noise = |_| x0.zeros_like();
    let drawn = Sampler::fixed(SolverName::Euler, steps).run(&field, objective, x0.copy(), noise, false)?;
    let values = Vec::<f32>::try_from(drawn.x.reshape([-1])).context("samples cannot be read")?;
    Ok(Array2::from_shape_vec((EVALUATED, 2), values)?)
}
