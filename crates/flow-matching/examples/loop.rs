//! Trains an MLP on two moons, then samples with the averaged weights.
//!
//! `cargo run -p flow-matching --features torch --example loop`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;

pub(crate) fn distance() -> Result<f64, Box<dyn std::error::Error>> {
    tch::manual_seed(0);
    let data = toy("moons", 5_000, 0)?;
    let store = nn::VarStore::new(Device::Cpu);
    let net = ModelConfig::Mlp(MlpConfig { dim: 2, ..MlpConfig::default() }).build(&store.root())?;
    let flow = FlowMatching::default().coupling(OtCoupling::default());
    let config = TrainerConfig { lr: 2e-3, ema_decay: Some(0.99), ..TrainerConfig::default() };
    let mut trainer = Trainer::new(&store, &config)?;
    for batch in flow.batches(&data, 256)?.take(1_000) {
        trainer.step(&flow.loss(&net, &batch?)?)?;
    }
    let samples = trainer.with_ema(|| Sampler::midpoint(20).sample(&net, &flow, 1_000, 1))?;
    let points = samples.rows()?;
    Ok(energy_distance(points.view(), data.view())?)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("energy distance to the data: {:.4}", distance()?);
    Ok(())
}
