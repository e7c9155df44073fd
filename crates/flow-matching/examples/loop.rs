//! Trains an MLP on two moons, then samples with the averaged weights.
//!
//! `cargo run -p flow-matching --features torch --example loop`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use flow_matching::core::field::SharedTime;
use flow_matching::core::tensor::upload;
use flow_matching::data::points::toy;
use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;
use flow_matching::solvers::{SaveAt, tableau};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    flow_matching::tch::manual_seed(0);
    let data = toy("moons", 5_000, 0)?;
    let store = nn::VarStore::new(Device::Cpu);
    let net = ModelConfig::Mlp(MlpConfig { dim: 2, ..MlpConfig::default() }).build(&store.root())?;
    let flow = FlowMatching::new(net.as_ref(), Objective::on(PathKind::Linear), vec![2]);
    let options = BatchOptions { rows: 256, ..BatchOptions::default() };
    let batches = Batches::new(&data, Pairing::new(Source::default(), None, 0, 1), options);
    let mut trainer =
        Trainer::new(&store, &TrainerConfig { lr: 2e-3, ema_decay: Some(0.99), ..TrainerConfig::default() })?;
    for step in 0..1_000 {
        trainer.step(&flow.batch_loss(&batches.batch(step)?, &PackContext::at(0, step, trainer.device()))?)?;
    }
    let x0 = upload(&normal_rows(1, 0, Stream::Sample, 0, 1_000, 2), &[1_000, 2], trainer.device());
    let grid = Grid::Uniform.times(20)?;
    let field = SharedTime(Unconditional(net.as_ref()));
    let solution = trainer.with_ema(|| fixed::solve(&field, x0, &grid, &tableau::MIDPOINT, SaveAt::End))?;
    let samples = Array2::from_shape_vec((1_000, 2), Vec::<f32>::try_from(solution.x.view(-1))?)?;
    println!("energy distance to the data: {:.4}", energy_distance(samples.view(), data.view())?);
    Ok(())
}
