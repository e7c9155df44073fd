//! A run in a directory, the model that it has trained, samples of one class with solver, grid and
//! guidance chosen, and metrics.
//!
//! `cargo run -p flow-matching --features torch --example guided_class`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use flow_matching::metrics::evaluation::{Report, energy_distance, precision_recall, sliced_wasserstein};
use flow_matching::prelude::*;
use std::f32::consts::{FRAC_PI_2, FRAC_PI_4};

/// Eight classes of points, at eight angles.
fn eight(rows: usize, seed: u64) -> Result<Array2<f32>, ndarray::ShapeError> {
    let noise = Array2::from_shape_vec((rows, 2), normal_rows(Key::new(seed, 0, Stream::Data), rows, 2))?;
    let centre = |row: usize, k: usize| 3.0 * (row as f32 * FRAC_PI_4 - k as f32 * FRAC_PI_2).cos();
    Ok(Array2::from_shape_fn((rows, 2), |(row, k)| centre(row, k) + 0.3 * noise[(row, k)]))
}

pub(crate) fn report() -> Result<Report, Box<dyn std::error::Error>> {
    tch::manual_seed(0);
    let (directory, points) = (tempfile::tempdir()?, eight(4_000, 0)?);
    let data = Classes::new(points, (0..4_000).map(|row| row % 8).collect())?;
    let config = MlpConfig { classes: 8, null_class: true, ..Default::default() };
    let (vs, flow) = (nn::VarStore::new(Device::Cpu), FlowMatching::default());
    let net = config.build(&vs.root())?;
    let batches = BatchOptions { rows: 256, conditional: true, dropped: Some((8, 0.1)), ..Default::default() };
    let trainer = TrainerConfig { lr: 3e-3, ema_decay: Some(0.99), ..Default::default() };

    let run = Run::open(directory.path(), &config)?.options(RunOptions {
        trainer,
        batches,
        steps: 1_500,
        ..Default::default()
    });
    run.train(&flow, &net, &vs, &data, &mut Progress::default())?;
    let model = run.load()?;

    let sampler = Sampler::new(SolverName::unipc(2)?, Grid::Shift { s: 1.5 }.steps(18));
    let samples = sampler.guidance(GuidanceOptions::scaled(1.2)).class(7).sample_model(&model, 500, 0)?;
    let held_out = eight(4_000, 1)?.select(ndarray::Axis(0), &(0..500).map(|k| 8 * k + 7).collect::<Vec<_>>());
    Ok(Evaluation::new([energy_distance(), sliced_wasserstein(), precision_recall(5)]).run(&samples.rows()?, &held_out))
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    report().map(|report| println!("{report}"))
}
