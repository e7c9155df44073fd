//! Trains, averages, samples and evaluates: `cargo run -p fm-train --example first`
#![allow(clippy::print_stderr, reason = "an example prints its result")]
use fm_core::FlowMatching;
use fm_metrics::energy::energy_distance;
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_solvers::Sampler;
use fm_train::{FlowTraining, Trainer, TrainerConfig};
use tch::{Device, nn};

pub(crate) fn distance() -> Result<f64, Box<dyn std::error::Error>> {
    let store = nn::VarStore::new(Device::Cpu);
    let net = ModelConfig::Mlp(MlpConfig::default()).build(&store.root())?;
    let circle = |(i, k): (usize, usize)| [(i as f32 / 100.0).sin(), (i as f32 / 100.0).cos()][k];
    let (data, flow) = (ndarray::Array2::from_shape_fn((5_000, 2), circle), FlowMatching::default());
    let mut trainer = Trainer::new(&store, &TrainerConfig { lr: 3e-3, ema_decay: Some(0.99), ..Default::default() })?;
    for batch in flow.batches(&data, 256)?.take(1_000) {
        trainer.step(&flow.loss(&net, &batch?)?)?;
    }
    let samples = trainer.with_ema(|| Sampler::midpoint(20).sample(&net, &flow, 1_000, 1))?.rows()?;
    Ok(energy_distance(samples.view(), data.view())?)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    distance().map(|distance| eprintln!("energy distance to the data: {distance:.4}"))
}
