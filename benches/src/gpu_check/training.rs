//! Training on the device compared with training on the CPU: the same weights, batches and steps.
//!
//! Updates of Adam are nearly sign(g), so a rounding error of a tiny gradient becomes an error of a
//! whole step. So `eps` is large here, and errors are relative to the change that training made.

use crate::compare::relative_of;
use crate::context::Context;
use crate::networks;
use crate::report::Report;
use fm_benches::Failure;
use fm_benches::networks::random_weights;
use fm_benches::steps::{Setup, Steps, tables};
use fm_models::ModelConfig;
use fm_run::process_group::Group;
use fm_train::optimizer::{OptimizerConfig, Rule};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::{Device, Tensor};

type Weights = BTreeMap<String, Tensor>;

const STEPS: u64 = 4;
const EPS: f64 = 1e-3;
/// Bound for two paths through libtorch's kernels, in f32.
const BOUND: f64 = 1e-3;
/// Muon's iteration amplifies small singular values by several hundred.
const MUON_BOUND: f64 = 2e-2;

pub(crate) fn run(context: &Context, report: &mut Report) {
    let device = context.device;
    for (name, rule, bound) in rules() {
        report.attempt(name, |report| {
            // Weight decay, so that adam and adamw differ.
            let optimizer = OptimizerConfig { rule, weight_decay: 0.5, ..OptimizerConfig::default() };
            let setup = Setup { optimizer, ..setup() };
            let [here, there] = [device, Device::Cpu].map(|device| trained(&setup, device, STEPS));
            let ((start, here), (_, there)) = (here?, there?);
            report.bounded(&format!("{name}: weights"), change(&here.weights(), &there.weights(), &start)?, bound);
            report.bounded(&format!("{name}: EMA"), change(&here.average(), &there.average(), &start)?, bound);
            Ok(())
        });
    }
    report.attempt("clipping", |report| clipping(device, report));
    report.attempt("a skipped step", |report| skipped(device, report));
    for (name, micro_batch, checkpoint_activations) in
        [("micro-batches", 3, false), ("checkpointed activations", 0, true)]
    {
        report.attempt(name, |report| {
            let setup = unet();
            let other = Setup { micro_batch, checkpoint_activations, ..setup.clone() };
            let ((start, plain), (_, other)) = (trained(&setup, device, 1)?, trained(&other, device, 1)?);
            report.bounded(name, change(&other.weights(), &plain.weights(), &start)?, BOUND);
            Ok(())
        });
    }
    report.attempt("a checkpoint", |report| checkpoint(device, report));
}

fn rules() -> [(&'static str, Rule, f64); 3] {
    let (beta1, beta2, eps) = (0.9, 0.999, EPS);
    [
        ("adamw", Rule::AdamW { beta1, beta2, eps }, BOUND),
        ("adam", Rule::Adam { beta1, beta2, eps }, BOUND),
        ("muon", Rule::Muon { momentum: 0.95, iterations: 5.0, beta1, beta2, eps }, MUON_BOUND),
    ]
}

fn setup() -> Setup {
    let [(_, rule, _), ..] = rules();
    Setup { optimizer: OptimizerConfig { rule, ..OptimizerConfig::default() }, ..Setup::of(networks::mlp(), 256) }
}

fn unet() -> Setup {
    Setup { config: ModelConfig::Unet(networks::small_unet()), rows: 8, ..setup() }
}

/// The initial weights, and the training after some steps.
fn trained(setup: &Setup, device: Device, steps: u64) -> Result<(Weights, Steps), Failure> {
    let [(_, ring), _] = tables()?;
    let weights = random_weights(&setup.config)?;
    let mut training = Steps::on(setup.clone(), ring, &weights, &Arc::new(Group::alone()), device)?;
    let start = training.weights();
    // A copy: on the CPU, the master weights change in place.
    let start = start.into_iter().map(|(name, t)| (name, t.copy())).collect();
    training.train(steps)?;
    Ok((start, training))
}

/// |a - b| / |b - start|.
fn change(a: &Weights, b: &Weights, start: &Weights) -> Result<f64, Failure> {
    let less = |all: &Weights| -> Weights {
        all.iter().filter_map(|(name, t)| Some((name.clone(), t - start.get(name)?))).collect()
    };
    relative_of(&less(a), &less(b))
}

/// Clipping at a norm below the gradient's: the same as on the CPU, and different from no clipping.
fn clipping(device: Device, report: &mut Report) -> Result<(), Failure> {
    let setup = Setup { clip: 1e-3, ..setup() };
    let ((start, here), (_, there)) = (trained(&setup, device, STEPS)?, trained(&setup, Device::Cpu, STEPS)?);
    report.bounded("clipping: weights", change(&here.weights(), &there.weights(), &start)?, BOUND);
    let (_, unclipped) = trained(&Setup { clip: f64::INFINITY, ..setup }, device, STEPS)?;
    let effect = change(&here.weights(), &unclipped.weights(), &start)?;
    report.line("clipping: has an effect", effect > 0.1, json!({"value": effect, "bound": "above 0.1"}));
    Ok(())
}

/// A step with a NaN gradient leaves every bit of the weights unchanged.
fn skipped(device: Device, report: &mut Report) -> Result<(), Failure> {
    let (start, mut training) = trained(&setup(), device, 2)?;
    let copied = |weights: Weights| -> Weights { weights.into_iter().map(|(name, t)| (name, t.copy())).collect() };
    let before = copied(training.weights());
    let moved = change(&before, &start, &before)?;
    training.poison();
    training.train(3)?;
    let same = same_bits(&before, &training.weights());
    let ok = same && training.skipped() == 3 && moved > 0.0;
    report.line(
        "a skipped step: weights unchanged",
        ok,
        json!({"same bits": same, "steps skipped": training.skipped()}),
    );
    Ok(())
}

/// Weights written on the device and read on the CPU.
fn checkpoint(device: Device, report: &mut Report) -> Result<(), Failure> {
    let (_, training) = trained(&unet(), device, 1)?;
    let directory = tempfile::tempdir()?;
    let read = training.saved(directory.path())?;
    let on_cpu = read.values().all(|t| t.device() == Device::Cpu);
    let same = same_bits(&training.weights(), &read);
    report.line("a checkpoint: read on the CPU, same bits", same && on_cpu, json!({"parameters": read.len()}));
    Ok(())
}

fn same_bits(a: &Weights, b: &Weights) -> bool {
    a.keys().eq(b.keys()) && a.iter().zip(b).all(|((_, a), (_, b))| a.size() == b.size() && a.equal(b))
}
