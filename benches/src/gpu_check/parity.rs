//! The device compared with the CPU in f64: relative errors |a - b| / |b| in the L2 norm.

use crate::compare::{relative, relative_of};
use crate::context::Context;
use crate::report::Report;
use crate::{networks, solving, training};
use fm_benches::Failure;
use fm_benches::networks::{Computed, Network, random_weights, reference};
use fm_models::ModelConfig;
use fm_torch::context::{MatmulPrecision, set_matmul_precision};
use fm_train::flat::Precision;
use serde_json::json;
use std::collections::BTreeMap;
use tch::Tensor;

/// Name, matmul precision, precision of the network, bound.
const MODES: [(&str, MatmulPrecision, Precision, f64); 3] = [
    ("f32", MatmulPrecision::Highest, Precision::F32, 1e-5),
    ("tf32", MatmulPrecision::High, Precision::F32, 2e-3),
    ("bf16", MatmulPrecision::Highest, Precision::Bf16, 2e-2),
];

pub(crate) fn run(context: &Context, report: &mut Report) {
    for (name, config) in networks::small() {
        report.attempt(name, |report| network(context, report, name, &config));
    }
    training::run(context, report);
    solving::run(context, report);
}

fn network(context: &Context, report: &mut Report, name: &str, config: &ModelConfig) -> Result<(), Failure> {
    let rows = 8;
    let weights = random_weights(config)?;
    let exact = reference(config, &weights, rows)?;
    for (mode, matmul, precision, bound) in MODES {
        set_matmul_precision(matmul)?;
        let mut network = Network::copy_of(config, &weights, rows, context.device, precision)?;
        let Computed { output, gradient } = network.computed()?;
        report.bounded(&format!("{name}: forward, {mode}"), relative(&output, &exact.output), bound);
        let (error, worst) = (relative_of(&gradient, &exact.gradient)?, worst(&gradient, &exact.gradient));
        let fields = json!({"value": error, "bound": bound, "worst parameter": worst.0, "its error": worst.1});
        report.line(&format!("{name}: gradient, {mode}"), error <= bound, fields);
    }
    set_matmul_precision(MatmulPrecision::Highest)?;
    Ok(())
}

/// The parameter that contributes most to the error, as a hint to the cause, and its |a - b|.
fn worst(a: &BTreeMap<String, Tensor>, b: &BTreeMap<String, Tensor>) -> (String, f64) {
    let each = a.iter().filter_map(|(name, t)| Some((name.clone(), (t - b.get(name)?).norm().double_value(&[]))));
    each.max_by(|x, y| x.1.total_cmp(&y.1)).unwrap_or_default()
}
