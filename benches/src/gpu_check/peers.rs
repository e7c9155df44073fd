//! Writes weights, a batch and its results, for the same networks in PyTorch (`gpu_peers.py`).

use crate::context::Context;
use crate::networks;
use crate::report::Report;
use fm_benches::networks::{Network, inputs, random_weights, write_weights};
use fm_train::flat::Precision;
use serde_json::json;
use tch::{Device, Tensor};

const ROWS: i64 = 16;

pub(crate) fn run(context: &Context, report: &mut Report) {
    for (name, config) in networks::measured(context.small) {
        report.attempt(name, |report| {
            let weights = random_weights(&config)?;
            write_weights(&weights, &config, &context.out.join(format!("{name}.safetensors")))?;
            let mut network = Network::copy_of(&config, &weights, ROWS, context.device, Precision::F32)?;
            let norm: f64 = network.computed()?.gradient.values().map(|g| g.norm().double_value(&[]).powi(2)).sum();
            let [x, loss_weights] = inputs(&config, ROWS, Device::Cpu);
            let batch = [("x", x), ("weights", loss_weights)];
            Tensor::write_safetensors(&batch, context.out.join(format!("{name}-batch.safetensors")))?;
            let about = json!({"loss": network.train()?, "gradient norm": norm.sqrt(), "config": config});
            std::fs::write(context.out.join(format!("{name}.json")), about.to_string())?;
            report.line(
                name,
                true,
                json!({"rows": ROWS, "loss": about["loss"], "gradient norm": about["gradient norm"]}),
            );
            Ok(())
        });
    }
}
