//! `tabular-train sample`.

use crate::args::SampleArgs;
use crate::table::Columns;
use crate::train::Saved;
use anyhow::{Context, ensure};
use fm_app::sampler::Sampler;
use fm_core::rng::{Stream, normal_rows};
use fm_core::tensor::{VelocityModel, upload};
use fm_models::ModelConfig;
use fm_solvers::guidance::Unconditional;
use fm_train::checkpoint::{Weights, read_weights};
use fm_train::flat::{FlatParams, Precision};
use fm_train::run_dir::latest_checkpoint;
use std::process::ExitCode;
use tch::{Device, Kind, nn};

pub(crate) fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.num_samples > 0, "--num-samples is 0: ask for at least one row");
    let device = fm_app::device::select(&args.device)?;
    let (path, meta, damaged) = latest_checkpoint(&args.checkpoint)?;
    damaged.iter().for_each(|problem| eprintln!("warning: {problem}"));
    let saved: Saved = serde_json::from_value(meta.config)
        .with_context(|| format!("{} was not written by tabular-train", path.display()))?;
    let dim = saved.columns.mean.len();
    let store = nn::VarStore::new(device);
    let model = ModelConfig::Mlp(saved.run.model(dim)).build(&store.root())?;
    let mut params = FlatParams::new(&store, Precision::F32);
    let weights = params.join(read_weights(&path, Weights::Ema)?)?;
    params.set_master(&weights);

    let sampler = args.solve.sampler()?;
    let (values, evaluations) =
        draw(model.as_ref(), device, &sampler, (args.num_samples, dim), args.seed, &saved.columns)?;
    let line = |row: &[f32]| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n";
    let text: String = values.chunks_exact(dim).map(line).collect();
    fm_train::files::write(&args.out, text.as_bytes())?;
    println!(
        "{} rows, NFE {evaluations}; {}; EMA weights of step {}; seed {}",
        args.num_samples,
        sampler.describe(),
        meta.step,
        args.seed
    );
    println!("wrote {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Rows in the table's own units, and the evaluations they cost.
pub(crate) fn draw(
    model: &dyn VelocityModel,
    device: Device,
    sampler: &Sampler,
    (rows, dim): (usize, usize),
    seed: u64,
    columns: &Columns,
) -> anyhow::Result<(Vec<f32>, usize)> {
    let noise = normal_rows(seed, 0, Stream::Sample, 0, rows, dim);
    let x0 = upload(&noise, &[rows as i64, dim as i64], device);
    let solution = sampler.run(&Unconditional(model), x0, |_, _| ())?;
    let mut values = Vec::<f32>::try_from(solution.x.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1]))?;
    columns.restore(&mut values);
    Ok((values, solution.stats.evaluations))
}

/// Values of two columns as points.
pub(crate) fn pairs(values: &[f32]) -> Vec<(f32, f32)> {
    values.chunks_exact(2).map(|p| (p[0], p[1])).collect()
}
