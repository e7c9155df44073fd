//! Training steps and samples per second, and peak memory of the device.

use crate::context::Context;
use crate::networks;
use crate::report::Report;
use fm_benches::Failure;
use fm_benches::networks::{Network, random_weights};
use fm_benches::steps::{Setup, Steps};
use fm_models::ModelConfig;
use fm_run::process_group::Group;
use fm_torch::context::{MatmulPrecision, set_cudnn_benchmark, set_matmul_precision};
use fm_torch::memory::{device_memory, reset_peaks};
use fm_train::flat::Precision;
use ndarray::Array2;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// The fastest mode first, because it matters most if time runs out.
const MODES: [(&str, MatmulPrecision, Precision); 3] = [
    ("bf16", MatmulPrecision::Highest, Precision::Bf16),
    ("tf32", MatmulPrecision::High, Precision::F32),
    ("f32", MatmulPrecision::Highest, Precision::F32),
];
/// Steps before timing starts: cuDNN chooses algorithms, the allocator grows.
const WARM_UP: u64 = 10;
/// Threads that make batches.
const WORKERS: usize = 4;
/// Euler steps per sample.
const SAMPLER_STEPS: usize = 50;

pub(crate) fn run(context: &Context, report: &mut Report) {
    set_cudnn_benchmark(true);
    let batches: [usize; 2] = if context.small { [4, 8] } else { [128, 256] };
    for (mode, matmul, precision) in MODES {
        for (name, config) in networks::measured(context.small) {
            for batch in batches {
                let check = format!("{name}: training, {mode}, batch {batch}");
                report.attempt(&check, |report| {
                    set_matmul_precision(matmul)?;
                    let setup = setup(&config, batch, precision);
                    let fields = training(context, setup)?;
                    report.line(&check, true, fields);
                    Ok(())
                });
            }
        }
    }
    for (name, config) in networks::measured(context.small) {
        let check = format!("{name}: sampling, bf16, batch {}", batches[1]);
        report.attempt(&check, |report| {
            let fields = sampling(context, &config, batches[1] as i64)?;
            report.line(&check, true, fields);
            Ok(())
        });
    }
}

/// Settings of a run with this batch size; also used for the profile.
pub(crate) fn setup(config: &ModelConfig, rows: usize, precision: Precision) -> Setup {
    let workers = WORKERS.min(std::thread::available_parallelism().map_or(1, usize::from));
    Setup { precision, workers, resident: true, ..Setup::of(config.clone(), rows) }
}

/// A network in training, after the warm-up.
///
/// # Errors
/// The errors of training.
pub(crate) fn warm(context: &Context, setup: Setup) -> Result<Steps, Failure> {
    let weights = random_weights(&setup.config)?;
    let group = Arc::new(Group::alone());
    let mut training = Steps::on(setup, Array2::zeros((0, 0)), &weights, &group, context.device)?;
    training.train(if context.small { 1 } else { WARM_UP })?;
    Ok(training)
}

fn training(context: &Context, setup: Setup) -> Result<Value, Failure> {
    reset_peaks(context.device);
    let rows = setup.rows;
    let mut training = warm(context, setup)?;
    // One line of the log, at the end, which waits for the device.
    let started = Instant::now();
    let loss = training.train(context.steps)?;
    let seconds = started.elapsed().as_secs_f64();
    let rate = context.steps as f64 / seconds;
    if !loss.is_finite() {
        return Err(format!("the loss is {loss}").into());
    }
    Ok(with_memory(
        context,
        json!({"steps": context.steps, "steps/s": rate, "images/s": rate * rows as f64, "loss": loss}),
    ))
}

fn sampling(context: &Context, config: &ModelConfig, rows: i64) -> Result<Value, Failure> {
    reset_peaks(context.device);
    let weights = random_weights(config)?;
    let network = Network::copy_of(config, &weights, rows, context.device, Precision::Bf16)?;
    let steps = if context.small { 2 } else { SAMPLER_STEPS };
    network.sample(2)?;
    let started = Instant::now();
    // Reads one number at the end, which waits for the device.
    let value = network.sample(steps)?;
    let rate = rows as f64 / started.elapsed().as_secs_f64();
    if !value.is_finite() {
        return Err(format!("samples are {value}").into());
    }
    Ok(with_memory(
        context,
        json!({"Euler steps": steps, "images/s": rate, "evaluations/s": rate * steps as f64 / rows as f64}),
    ))
}

fn with_memory(context: &Context, mut fields: Value) -> Value {
    fields["peak MiB"] = device_memory(context.device).map_or(Value::Null, |m| json!(m.peak_allocated >> 20));
    fields
}
