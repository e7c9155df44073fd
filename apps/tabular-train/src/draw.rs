//! Sampling from a loaded model, as flags ask for it.

use crate::args::DrawArgs;
use crate::model::{Loaded, load};
use crate::weak::open_weak;
use anyhow::{Context, ensure};
use fm_cli::given;
use fm_data::TableSource;
use fm_run::guidance::{Guide, ensure_guidable};
use fm_solvers::sampler::Sampler;
use fm_tables::data::{Reading, read};
use fm_tables::draw::{Classes, Drawer, Rows, ensure_samples_fit};
use fm_terminal::eprintln;
use ndarray::Array2;

impl Loaded {
    /// Samples of a model without guidance.
    pub(crate) fn drawer(&self) -> Drawer<'_> {
        Drawer {
            model: self.model.as_ref(),
            device: self.device,
            objective: &self.config.flow.objective,
            source: &self.source,
            trained_source: self.trained_source.as_ref(),
            columns: &self.columns,
            from: None,
            guide: Guide::of_scale(1.0),
        }
    }

    /// Samples of a model under the guidance of these flags, by this sampler.
    pub(crate) fn guided(&self, args: &DrawArgs, sampler: &Sampler) -> anyhow::Result<Drawer<'_>> {
        let (cfg_scale, given) = (args.cfg_scale, &args.guidance);
        let weak = open_weak(self, args)?;
        let guide = Guide { weak, ..Guide::of_scale(cfg_scale).with(given)? };
        ensure_guidable(cfg_scale, guide.weak.is_some() || self.config.label_drop > 0.0)?;
        guide.refuse_idle(given)?;
        guide.ensure_jumps(sampler, self.model.as_ref())?;
        guide.options(sampler, &self.config.flow.objective)?;
        Ok(Drawer { guide, ..self.drawer() })
    }
}

/// Loads a model and draws samples, from the first rows of `from` if it is named.
pub(crate) fn drawn(
    args: &DrawArgs,
    from: Option<&str>,
    rows: usize,
    frames: bool,
) -> anyhow::Result<(Loaded, Sampler, Rows)> {
    let loaded = load(&args.checkpoint, &args.file, &args.device)?;
    let sampler = args.solve.sampler()?;
    ensure_samples_fit(&sampler, rows, loaded.dim(), frames)?;
    let toy = from.is_some_and(|name| matches!(name.parse(), Ok(TableSource::Toy(_))));
    let draws = from.is_none() || toy || sampler.stochastic.is_some();
    let from = from.map(|name| starts(name, &loaded, rows, args.seed)).transpose()?;
    let rows = from.as_ref().map_or(rows, Array2::nrows);
    let classes = loaded.columns.asked(args.class.as_deref(), rows)?;
    let drawer = Drawer { from, ..loaded.guided(args, &sampler)? };
    let drawn = drawer.draw(&sampler, rows, args.seed, classes, frames)?;
    given::warn(&[("seed", draws, "something to draw: the rows of --from are given, and no --sde")]);
    Ok((loaded, sampler, drawn))
}

/// The first rows of a file, or new points of a toy distribution, in the units of the network.
fn starts(name: &str, loaded: &Loaded, rows: usize, seed: u64) -> anyhow::Result<Array2<f32>> {
    let unusable = || format!("cannot start from {name}");
    let rows_wanted = if name.parse().is_ok_and(|source| matches!(source, TableSource::Toy(_))) { rows } else { 0 };
    let how = Reading { rows: rows_wanted, seed, ..loaded.config.reading().without_classes() };
    let table = read(name, &how, &loaded.columns.names).with_context(unusable)?;
    let kept = rows.min(table.values.nrows());
    ensure!(kept > 0, "{}: it has no rows, or --num-samples is 0; give at least one", unusable());
    if kept < table.values.nrows() {
        eprintln!("note: starting from {kept} of the {} rows of {name} (--num-samples)", table.values.nrows());
    }
    let first: Vec<usize> = (0..kept).collect();
    Ok(loaded.columns.apply_table(&table.select(&first)).with_context(unusable)?.values)
}
