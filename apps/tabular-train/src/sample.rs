//! `tabular-train sample`.

use crate::args::SampleArgs;
use crate::model::{Loaded, load};
use crate::table::Columns;
use anyhow::ensure;
use fm_app::sampler::Sampler;
use fm_core::objective::Objective;
use fm_core::rng::{Stream, normal_rows};
use fm_core::source::Source;
use fm_core::tensor::{VelocityModel, upload};
use fm_solvers::guidance::Unconditional;
use std::process::ExitCode;
use tch::{Device, Kind};

pub(crate) fn run(args: &SampleArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.num_samples > 0, "--num-samples is 0: ask for at least one row");
    let loaded = load(&args.checkpoint, &args.file, &args.device)?;
    let dim = loaded.dim();
    let sampler = args.solve.sampler()?;
    let Loaded { model, device, source, columns, .. } = &loaded;
    let objective = &loaded.config.flow.objective;
    let drawer = Drawer { model: model.as_ref(), device: *device, objective, source, columns };
    let Rows { values, nfe } = drawer.draw(&sampler, args.num_samples, args.seed)?;
    let line = |row: &[f32]| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n";
    let text: String = values.chunks_exact(dim).map(line).collect();
    fm_train::files::write(&args.out, text.as_bytes())?;
    println!("{} rows, NFE {nfe}; {}; {}; seed {}", args.num_samples, sampler.describe(), loaded.weights, args.seed);
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
