//! Sampling: from the source to rows of a table.

use crate::args::DrawArgs;
use crate::config::{Config, TableConfig};
use crate::model::{Loaded, load};
use crate::training_data::read;
use crate::weak::open_weak;
use anyhow::{Context, bail, ensure};
use fm_cli::given;
use fm_cli::memory::ensure_fits;
use fm_core::field::RowField;
use fm_core::objective::Objective;
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_core::tensor::{VelocityModel, upload};
use fm_data::{Columns, TableSource};
use fm_pictures::Point;
use fm_run::guidance::{Guide, ensure_guidable};
use fm_solvers::sampler::{Sampler, Samples, Steps};
use fm_solvers::sde::SeededNoise;
use fm_terminal::eprintln;
use fm_train::trained_source::TrainedSource;
use ndarray::Array2;
use tch::{Device, Kind, Tensor};

/// Inputs of sampling other than the request.
pub(crate) struct Drawer<'a> {
    pub(crate) model: &'a dyn VelocityModel,
    pub(crate) device: Device,
    pub(crate) objective: &'a Objective,
    pub(crate) source: &'a Source,
    /// The source, if it was trained.
    pub(crate) trained_source: Option<&'a TrainedSource>,
    pub(crate) columns: &'a Columns,
    /// Rows to start from, in the units of the network, instead of rows of the source.
    pub(crate) from: Option<Array2<f32>>,
    /// Guidance of a conditional model.
    pub(crate) guide: Guide,
}

/// Samples.
pub(crate) struct Rows {
    pub(crate) values: Vec<f64>,
    /// Their classes, if the model has any.
    pub(crate) classes: Vec<i64>,
    /// States from the source on, if frames were requested.
    pub(crate) frames: Vec<Vec<f64>>,
    /// Number of evaluations, as text.
    pub(crate) nfe: String,
    pub(crate) guide: Guide,
}

impl<'a> Drawer<'a> {
    /// Samples of a model without guidance.
    pub(crate) fn of(loaded: &'a Loaded) -> Self {
        Self {
            model: loaded.model.as_ref(),
            device: loaded.device,
            objective: &loaded.config.flow.objective,
            source: &loaded.source,
            trained_source: loaded.trained_source.as_ref(),
            columns: &loaded.columns,
            from: None,
            guide: Guide::of_scale(1.0),
        }
    }

    /// Samples of a model under the guidance of these flags, by this sampler.
    pub(crate) fn guided(loaded: &'a Loaded, args: &DrawArgs, sampler: &Sampler) -> anyhow::Result<Self> {
        let (cfg_scale, given) = (args.cfg_scale, &args.guidance);
        let weak = open_weak(loaded, args)?;
        let guide = Guide { weak, ..Guide::of_scale(cfg_scale).with(given)? };
        ensure_guidable(cfg_scale, guide.weak.is_some() || loaded.config.label_drop > 0.0)?;
        guide.refuse_idle(given)?;
        guide.ensure_jumps(sampler, loaded.model.as_ref())?;
        guide.options(sampler, &loaded.config.flow.objective)?;
        Ok(Self { guide, ..Self::of(loaded) })
    }

    /// Source rows, in the units of the network.
    pub(crate) fn start(&self, rows: usize, seed: u64) -> anyhow::Result<Tensor> {
        let dim = self.columns.dim();
        if let Some(from) = &self.from {
            let values: Vec<f32> = from.iter().copied().collect();
            return Ok(upload(&values, &[from.nrows() as i64, dim as i64], self.device));
        }
        let x0 = self.source.sample(Key::new(seed, 0, Stream::Sample), rows, dim)?;
        Ok(self.start_of(&upload(&x0, &[rows as i64, dim as i64], self.device)))
    }

    /// Rows of the source, by the trained source if there is one.
    pub(crate) fn start_of(&self, x0: &Tensor) -> Tensor {
        tch::no_grad(|| self.trained_source.map_or_else(|| x0.shallow_clone(), |source| source.transform(x0)))
    }

    /// The field of the network for rows of these classes, for steps of this sampler.
    pub(crate) fn field(&self, classes: &[i64], sampler: &Sampler) -> anyhow::Result<Box<dyn RowField<Tensor> + '_>> {
        let null_class = self.columns.classes.len() as i64;
        let conditions = || (Tensor::from_slice(classes).to_device(self.device), null_class);
        self.guide.field(self.model, (!classes.is_empty()).then(conditions), sampler, self.objective)
    }

    /// Samples in the units of the network, with these classes if the model is conditional.
    pub(crate) fn solve(
        &self,
        sampler: &Sampler,
        rows: usize,
        seed: u64,
        classes: &[i64],
        frames: bool,
    ) -> anyhow::Result<Samples<Tensor>> {
        let start = self.start(rows, seed)?;
        let noise = SeededNoise::of(&start, seed, 0);
        Ok(sampler.run_by(&self.field(classes, sampler)?, self.objective, start, &noise, frames)?)
    }

    /// Samples in the table's units, with these classes if the model is conditional, and the
    /// intermediate states if requested.
    pub(crate) fn draw(
        &self,
        sampler: &Sampler,
        rows: usize,
        seed: u64,
        classes: Vec<i64>,
        frames: bool,
    ) -> anyhow::Result<Rows> {
        ensure!(rows > 0, "--num-samples is 0; ask for at least one row");
        let drawn = self.solve(sampler, rows, seed, &classes, frames)?;
        let host = |x: &Tensor| -> anyhow::Result<Vec<f64>> { Ok(self.columns.restore(&values(x)?)) };
        let frames = drawn.frames.iter().map(host).collect::<anyhow::Result<_>>()?;
        let values = host(&drawn.x)?;
        ensure!(
            values.iter().all(|v| v.is_finite()),
            "the model drew values that are not finite, because its weights are broken; use an earlier checkpoint, or train it again"
        );
        Ok(Rows { values, classes, frames, nfe: drawn.describe_nfe(), guide: self.guide.clone() })
    }
}

/// What a request asks of the classes of a table.
pub(crate) trait Classes {
    /// The classes of `rows` samples: a single class, or all classes with the frequencies of the
    /// data.
    ///
    /// # Errors
    /// A class that does not exist.
    fn asked(&self, class: Option<&str>, rows: usize) -> anyhow::Result<Vec<i64>>;
}

impl Classes for Columns {
    fn asked(&self, class: Option<&str>, rows: usize) -> anyhow::Result<Vec<i64>> {
        let names = self.classes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        let whole: usize = self.classes.iter().map(|(_, count)| count).sum();
        match class {
            None if names.is_empty() => Ok(Vec::new()),
            Some(_) if names.is_empty() => bail!("this model was trained without classes; drop --class"),
            Some(class) => {
                let number = class.parse::<usize>().ok().filter(|k| *k < names.len());
                let place = names.iter().position(|name| *name == class).or(number);
                let place = place
                    .with_context(|| format!("there is no class '{class}'; choose one of {}", first_few(&names)))?;
                Ok(vec![place as i64; rows])
            }
            None => {
                // Sample i takes the class at quantile (i + 1/2) / n of the data, sorted by class.
                let (mut classes, mut class, mut before) = (Vec::with_capacity(rows), 0, 0);
                for i in 0..rows {
                    let at = (2 * i + 1) as f64 / (2 * rows) as f64 * whole as f64;
                    while class + 1 < names.len() && (before + self.classes[class].1) as f64 <= at {
                        before += self.classes[class].1;
                        class += 1;
                    }
                    classes.push(class as i64);
                }
                Ok(classes)
            }
        }
    }
}

/// The first few of many names.
fn first_few(names: &[&str]) -> String {
    match names {
        [first @ .., _, _] if first.len() > 8 => format!("{}, ... ({} in all)", first[..8].join(", "), names.len()),
        all => all.join(", "),
    }
}

/// Fails if samples, with the states on their way if they are kept, do not fit into memory.
pub(crate) fn ensure_samples_fit(sampler: &Sampler, rows: usize, dim: usize, frames: bool) -> anyhow::Result<()> {
    let states = match &sampler.steps {
        Steps::Fixed(_, steps) if frames => steps.saturating_add(1),
        Steps::Listed(times) if frames => times.len(),
        _ => 1,
    };
    ensure_fits("the samples", &[rows, dim, states], 4 * size_of::<f64>(), "--num-samples or --num-steps")
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
    if let Some(name) = from {
        let draws = sampler.stochastic.is_some() || matches!(name.parse(), Ok(TableSource::Toy(_)));
        given::warn(&[("seed", draws, "something to draw: the rows of --from are given, and no --sde")]);
    }
    let from = from.map(|name| starts(name, &loaded, rows, args.seed)).transpose()?;
    let rows = from.as_ref().map_or(rows, Array2::nrows);
    let classes = loaded.columns.asked(args.class.as_deref(), rows)?;
    let drawer = Drawer { from, ..Drawer::guided(&loaded, args, &sampler)? };
    let drawn = drawer.draw(&sampler, rows, args.seed, classes, frames)?;
    Ok((loaded, sampler, drawn))
}

/// The first rows of a file, or new points of a toy distribution, in the units of the network.
fn starts(name: &str, loaded: &Loaded, rows: usize, seed: u64) -> anyhow::Result<Array2<f32>> {
    let unusable = || format!("cannot start from {name}");
    let rows_wanted = if name.parse().is_ok_and(|source| matches!(source, TableSource::Toy(_))) { rows } else { 0 };
    let table = TableConfig { labels: String::new(), ignore: Vec::new(), ..loaded.config.table.clone() };
    let config = Config { rows: rows_wanted, seed, table, ..loaded.config.clone() };
    let table = read(name, &config, &loaded.columns.names).with_context(unusable)?;
    let kept = rows.min(table.values.nrows());
    ensure!(kept > 0, "{}: it has no rows, or --num-samples is 0; give at least one", unusable());
    if kept < table.values.nrows() {
        eprintln!("note: starting from {kept} of the {} rows of {name} (--num-samples)", table.values.nrows());
    }
    let first: Vec<usize> = (0..kept).collect();
    Ok(loaded.columns.apply_table(&table.select(&first)).with_context(unusable)?.values)
}

/// Values on the host, row after row.
pub(crate) fn values(x: &Tensor) -> anyhow::Result<Vec<f32>> {
    Ok(Vec::<f32>::try_from(x.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1]))?)
}

/// Values of two columns as points.
pub(crate) fn points(values: &[f64]) -> Vec<Point> {
    values.chunks_exact(2).map(|p| (p[0] as f32, p[1] as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_drawn_as_often_as_the_data_have_them() {
        let named = [("a", 5), ("b", 0), ("c", 15)].map(|(name, count)| (name.to_owned(), count));
        let columns = Columns { classes: named.to_vec(), ..Columns::unchanged(1) };
        let drawn = columns.asked(None, 8).unwrap();
        assert_eq!(drawn, [0, 0, 2, 2, 2, 2, 2, 2]);
        assert_eq!(columns.asked(Some("c"), 2).unwrap(), [2, 2]);
        assert_eq!(columns.asked(Some("1"), 1).unwrap(), [1]);
        assert!(columns.asked(Some("d"), 1).unwrap_err().to_string().contains("choose one of a, b, c"));
        assert!(Columns::unchanged(1).asked(Some("a"), 1).is_err());
    }
}
