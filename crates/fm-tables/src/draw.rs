//! Sampling: from the source to rows of a table.
//!
//! ```
//! use fm_data::Columns;
//! use fm_tables::draw::Classes;
//! let classes = vec![("a".to_owned(), 5), ("b".to_owned(), 15)];
//! let columns = Columns { classes, ..Columns::unchanged(1) };
//! assert_eq!(columns.asked(None, 4)?, [0, 1, 1, 1]);
//! assert_eq!(columns.asked(Some("a"), 2)?, [0, 0]);
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::{Context, bail, ensure};
use fm_cli::memory::ensure_fits;
use fm_core::field::RowField;
use fm_core::objective::Objective;
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_core::tensor::{VelocityModel, upload};
use fm_data::Columns;
use fm_pictures::Point;
use fm_run::guidance::Guide;
use fm_run::host::{ensure_finite, to_host};
use fm_solvers::sampler::{Sampler, Samples, Steps};
use fm_solvers::sde::SeededNoise;
use fm_train::trained_source::TrainedSource;
use ndarray::Array2;
use tch::{Device, Tensor};

/// Inputs of sampling other than the request.
#[derive(Debug)]
pub struct Drawer<'a> {
    /// The network.
    pub model: &'a dyn VelocityModel,
    /// Its device.
    pub device: Device,
    /// The objective that it was trained with.
    pub objective: &'a Objective,
    /// Its source.
    pub source: &'a Source,
    /// The source, if it was trained.
    pub trained_source: Option<&'a TrainedSource>,
    /// The columns and the classes of its table.
    pub columns: &'a Columns,
    /// Rows to start from, in the units of the network, instead of rows of the source.
    pub from: Option<Array2<f32>>,
    /// Guidance of a conditional model.
    pub guide: Guide,
}

/// Samples.
#[derive(Debug)]
pub struct Rows {
    /// The values, row after row.
    pub values: Vec<f64>,
    /// Their classes, if the model has any.
    pub classes: Vec<i64>,
    /// States from the source on, if frames were requested.
    pub frames: Vec<Vec<f64>>,
    /// Number of evaluations, as text.
    pub nfe: String,
    /// Their guidance.
    pub guide: Guide,
}

impl Drawer<'_> {
    /// Source rows, in the units of the network.
    ///
    /// # Errors
    /// A source that cannot be drawn from.
    pub fn start(&self, rows: usize, seed: u64) -> anyhow::Result<Tensor> {
        let dim = self.columns.dim();
        if let Some(from) = &self.from {
            let values: Vec<f32> = from.iter().copied().collect();
            return Ok(upload(&values, &[from.nrows() as i64, dim as i64], self.device));
        }
        let x0 = self.source.sample(Key::new(seed, 0, Stream::Sample), rows, dim)?;
        Ok(self.start_of(&upload(&x0, &[rows as i64, dim as i64], self.device)))
    }

    /// Rows of the source, by the trained source if there is one.
    pub fn start_of(&self, x0: &Tensor) -> Tensor {
        tch::no_grad(|| self.trained_source.map_or_else(|| x0.shallow_clone(), |source| source.transform(x0)))
    }

    /// The field of the network for rows of these classes, for steps of this sampler.
    ///
    /// # Errors
    /// Guidance that suits neither the steps nor the prediction.
    pub fn field(&self, classes: &[i64], sampler: &Sampler) -> anyhow::Result<Box<dyn RowField<Tensor> + '_>> {
        let null_class = self.columns.classes.len() as i64;
        let conditions = || (Tensor::from_slice(classes).to_device(self.device), null_class);
        self.guide.field(self.model, (!classes.is_empty()).then(conditions), sampler, self.objective)
    }

    /// Samples in the units of the network, with these classes if the model is conditional.
    ///
    /// # Errors
    /// As [`field`](Self::field), and a solve that fails.
    pub fn solve(
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
    ///
    /// # Errors
    /// As [`solve`](Self::solve), no rows, and values that are not finite.
    pub fn draw(
        &self,
        sampler: &Sampler,
        rows: usize,
        seed: u64,
        classes: Vec<i64>,
        frames: bool,
    ) -> anyhow::Result<Rows> {
        ensure!(rows > 0, "--num-samples is 0; ask for at least one row");
        let drawn = self.solve(sampler, rows, seed, &classes, frames)?;
        let host = |x: &Tensor| -> anyhow::Result<Vec<f64>> { Ok(self.columns.restore(&to_host(x)?)) };
        let frames = drawn.frames.iter().map(host).collect::<anyhow::Result<_>>()?;
        let values = host(&drawn.x)?;
        ensure_finite(&values)?;
        Ok(Rows { values, classes, frames, nfe: drawn.describe_nfe(), guide: self.guide.clone() })
    }
}

/// What a request asks of the classes of a table.
pub trait Classes {
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
///
/// # Errors
/// The memory that they need and that there is.
pub fn ensure_samples_fit(sampler: &Sampler, rows: usize, dim: usize, frames: bool) -> anyhow::Result<()> {
    let states = match &sampler.steps {
        Steps::Fixed(_, steps) if frames => steps.saturating_add(1),
        Steps::Listed(times) if frames => times.len(),
        _ => 1,
    };
    ensure_fits("the samples", &[rows, dim, states], 4 * size_of::<f64>(), "--num-samples or --num-steps")
}

/// Values of two columns as points.
pub fn points(values: &[f64]) -> Vec<Point> {
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
