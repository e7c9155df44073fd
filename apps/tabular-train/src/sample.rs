//! `tabular-train sample`.

use crate::args::SampleArgs;
use crate::table::{Columns, open_source};
use crate::train::Saved;
use anyhow::{Context, ensure};
use fm_app::sampler::Sampler;
use fm_core::objective::Objective;
use fm_core::rng::{Stream, normal_rows};
use fm_core::source::Source;
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
    let mut saved: Saved = serde_json::from_value(meta.config)
        .with_context(|| format!("{} was not written by tabular-train", path.display()))?;
    let dim = saved.columns.mean.len();
    // The name in a checkpoint is measured already.
    let source = open_source(&mut saved.run, &saved.columns, || 0.0)?;
    let store = nn::VarStore::new(device);
    let model = ModelConfig::Mlp(saved.run.model(dim)).build(&store.root())?;
    let mut params = FlatParams::new(&store, Precision::F32);
    let weights = params.join(read_weights(&path, Weights::Ema)?)?;
    params.set_master(&weights);

    let sampler = args.solve.sampler()?;
    let objective = &saved.run.flow.objective;
    let drawer = Drawer { model: model.as_ref(), device, objective, source: &source, columns: &saved.columns };
    let Rows { values, nfe } = drawer.draw(&sampler, args.num_samples, args.seed)?;
    let line = |row: &[f32]| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n";
    let text: String = values.chunks_exact(dim).map(line).collect();
    fm_train::files::write(&args.out, text.as_bytes())?;
    println!(
        "{} rows, NFE {nfe}; {}; EMA weights of step {}; seed {}",
        args.num_samples,
        sampler.describe(),
        meta.step,
        args.seed
    );
    println!("wrote {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Everything that drawing needs beside the request.
pub(crate) struct Drawer<'a> {
    pub(crate) model: &'a dyn VelocityModel,
    pub(crate) device: Device,
    pub(crate) objective: &'a Objective,
    pub(crate) source: &'a Source,
    pub(crate) columns: &'a Columns,
}

impl Drawer<'_> {
    /// Rows in the table's own units.
    pub(crate) fn draw(&self, sampler: &Sampler, rows: usize, seed: u64) -> anyhow::Result<Rows> {
        let dim = self.columns.mean.len();
        let x0 = self.source.sample(seed, 0, Stream::Sample, 0, rows, dim);
        let shape = [rows as i64, dim as i64];
        let noise = |step| upload(&normal_rows(seed, step, Stream::Increment, 0, rows, dim), &shape, self.device);
        let x0 = upload(&x0, &shape, self.device);
        let drawn = sampler.run(&Unconditional(self.model), self.objective, x0, noise, false)?;
        let mut values = Vec::<f32>::try_from(drawn.x.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1]))?;
        self.columns.restore(&mut values);
        Ok(Rows { values, nfe: drawn.describe_nfe() })
    }
}

/// What was drawn.
pub(crate) struct Rows {
    pub(crate) values: Vec<f32>,
    /// What it cost, in words.
    pub(crate) nfe: String,
}

/// Values of two columns as points.
pub(crate) fn pairs(values: &[f32]) -> Vec<(f32, f32)> {
    values.chunks_exact(2).map(|p| (p[0], p[1])).collect()
}
