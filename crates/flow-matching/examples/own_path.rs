//! A path, a time distribution and a weighting of your own, from training to samples.
//!
//! `cargo run -p flow-matching --features torch --example own_path`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;

/// alpha = t^2 (3 - 2 t) and sigma = 1 - alpha: slow at both ends.
struct SmoothStep;

impl ProbPath for SmoothStep {
    fn coefficients(&self, t: f64) -> Coefficients {
        let (alpha, slope) = (t * t * (3.0 - 2.0 * t), 6.0 * t * (1.0 - t));
        Coefficients { t, alpha, d_alpha: slope, sigma: 1.0 - alpha, d_sigma: -slope, ..Coefficients::default() }
    }
}

/// More times in the middle, where the path is fast: Q(u) = u + sin(2 pi u) / 10.
struct Middle;

impl TimeDistribution for Middle {
    fn quantile(&self, u: f64) -> f64 {
        u + (std::f64::consts::TAU * u).sin() / 10.0
    }
}

pub(crate) fn distance() -> Result<f64, Box<dyn std::error::Error>> {
    tch::manual_seed(0);
    let (data, store) = (toy("8gaussians", 5_000, 0)?, nn::VarStore::new(Device::Cpu));
    let net = ModelConfig::Mlp(MlpConfig { dim: 2, ..MlpConfig::default() }).build(&store.root())?;
    let flow = FlowMatching::new(SmoothStep).times(Middle).weighting(|t| 1.0 / (0.1 + t));
    let config = TrainerConfig { lr: 2e-3, ema_decay: Some(0.99), ..TrainerConfig::default() };
    let mut trainer = Trainer::new(&store, &config)?;
    for batch in flow.batches(&data, 256)?.take(1_000) {
        trainer.step(&flow.loss(&net, &batch?)?)?;
    }
    let samples = trainer.with_ema(|| Sampler::dopri5(1e-4).sample(&net, &flow, 1_000, 1))?;
    Ok(energy_distance(samples.rows()?.view(), data.view())?)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("energy distance to the data: {:.4}", distance()?);
    Ok(())
}
