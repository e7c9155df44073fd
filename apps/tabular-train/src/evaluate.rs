//! `tabular-train evaluate`: distances between samples and held-out real rows.
//!
//! The exact Wasserstein distances come from an optimal assignment of at most 2000 rows per side.
//! They decrease slowly with that number, so compare them only for equal numbers.
//!
//! Every distance is also measured between the real rows and the same number of training rows:
//! about the value of a perfect sampler. Distances and the two-sample test use the units of the
//! network; each column's mean and variance use the table's units. For the flow itself there are
//! two numbers: the straightness S = E int |(x1 - x0) - v|^2 dt along its trajectories (0 if every
//! path is a line with constant speed), and the path energy E int |v|^2 dt = S + E |x1 - x0|^2,
//! which optimal transport minimises.

use crate::args::EvaluateArgs;
use crate::draw::drawn;
use crate::model::Loaded;
use anyhow::ensure;
use fm_core::field::{Converted, RowField, SharedTime};
use fm_data::Columns;
use fm_metrics::columns::{Column, Compared, compare};
use fm_metrics::energy::energy_distance;
use fm_metrics::frechet;
use fm_metrics::mmd::{median_distance, mmd};
use fm_metrics::moments::Moments;
use fm_metrics::nearest::copy_rate;
use fm_metrics::series::{self, Apart};
use fm_metrics::sliced::sliced_wasserstein;
use fm_metrics::two_sample::{Components, nearest_neighbour_accuracy};
use fm_ot::{assignment::assign, cost::Metric};
use fm_pictures::{Layer, Plane, Point, ink, save_picture, side_by_side};
use fm_solvers::Sampler;
use fm_solvers::straightness::straightness;
use fm_solvers::tableau::RK4;
use fm_solvers::{Grid, SaveAt, fixed};
use fm_tables::draw::Classes;
use fm_tables::training_data::Material;
use fm_terminal::println;
use ndarray::{Array2, ArrayView2, Axis, s};
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use tch::{Kind, Tensor};

/// A distance between two tables, or the reason why there is none.
#[derive(Debug, Clone)]
struct Distance {
    name: &'static str,
    /// Its name in the JSON file.
    key: &'static str,
    value: Result<f64, String>,
}

/// Distances between two tables.
#[derive(Debug, Clone)]
struct Distances(Vec<Distance>);

/// Settings of the distances.
struct How<'a> {
    directions: usize,
    /// The bandwidth of MMD; MMD measures the spread itself if there is none.
    bandwidth: Option<f64>,
    components: Option<&'a Components>,
}

/// Maximum number of rows per side for the two-sample test and an assignment.
const TESTED: usize = 2000;
/// Trajectories over which straightness is averaged: of rows, and of sequences, whose networks take
/// a hundred times as long.
const TRAJECTORIES: usize = 1000;
const OF_SEQUENCES: usize = 100;
/// RK4 steps per trajectory.
const STEPS: usize = 100;

pub(crate) fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.directions > 0 && args.components > 0, "--directions or --components is 0; both must be at least 1");
    let (loaded, sampler, rows) = drawn(&args.draw, None, args.num_samples, false)?;
    let (config, columns, dim) = (&loaded.config, &loaded.columns, loaded.dim());
    let wanted = config.wanted();
    let material = Material::open(&wanted)?;
    ensure!(
        material.columns.dim() == dim,
        "{} has {} columns now; the model has {dim}",
        config.data,
        material.columns.dim()
    );
    let (real, whence) = material.fresh(&wanted, args.num_samples)?;
    let samples = Array2::from_shape_vec((args.num_samples, dim), rows.values)?;

    let own = compare(samples.view(), real.values.view()).map_err(|reason| reason.to_string());
    let seen = |table: &Array2<f64>| columns.apply(table.view());
    let (samples, real, trained) = (seen(&samples)?, seen(&real.values)?, seen(&material.table.values)?);
    let components = (dim > args.components).then(|| Components::of(trained.view(), args.components)).transpose()?;
    let bandwidth = median_distance(real.view(), trained.view()).ok();
    let how = How { directions: args.directions, bandwidth, components: components.as_ref() };
    let found = how.between(samples.view(), real.view());
    let few = trained.nrows().min(args.num_samples);
    // Neighbouring windows of a series share their rows.
    let picked =
        if columns.series.is_some() { spaced(trained.view(), few) } else { trained.slice(s![..few, ..]).to_owned() };
    let floor = how.between(picked.view(), real.view());
    let gaussian = columns.series.map(|_| gaussian(trained.view(), args)).transpose()?;
    let mut compared = vec![("samples".to_owned(), &found), (format!("{few} trained on"), &floor)];
    let fitted = gaussian.as_ref().map(|drawn| how.between(drawn.view(), real.view()));
    compared.extend(fitted.as_ref().map(|fitted| ("a Gaussian fit".to_owned(), fitted)));

    println!(
        "{} samples against {} {whence} of {}; NFE {}; {}; {}; seed {}",
        args.num_samples,
        real.nrows(),
        config.data,
        rows.nfe,
        sampler.describe(),
        loaded.weights,
        args.draw.seed
    );
    println!("{}", table(&compared));
    let sequences = columns.series.map(|series| sequences(series.length, &samples, &real, &picked)).transpose()?;
    // A distribution whose points are new at every step has nothing to copy.
    let finite = config.toy().is_none() || config.rows > 0;
    let copies = finite.then(|| copies(samples.view(), trained.view())).flatten();
    let [straight, energy] = paths(args, &loaded)?;
    println!("paths     straightness {straight:.4}, energy {energy:.4}");
    show_columns(args, &own, dim)?;
    let own = own.as_ref().ok();
    if let Some(path) = &args.json {
        let result = json!({
            "checkpoint": args.draw.checkpoint, "data": config.data, "weights": loaded.weights, "against": whence,
            "samples": args.num_samples, "real": real.nrows(), "solver": sampler.describe(), "nfe": rows.nfe,
            "guidance": rows.guide.about(), "seed": args.draw.seed, "directions": args.directions, "bandwidth": bandwidth,
            "components": components.as_ref().map(|_| args.components),
            "found": found.json(), "floor": floor.json(), "copies": copies, "straightness": straight, "path_energy": energy,
            "mean_correlation": own.map(|own| own.mean_correlation),
            "variance_correlation": own.map(|own| own.variance_correlation),
            "columns": own.map(|own| statistics(columns, own)), "gaussian": fitted.map(|fitted| fitted.json()), "sequences": sequences,
        });
        fm_train::files::output(path, format!("{result:#}\n").as_bytes())?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The share of samples that copy a row that was trained on, which is also printed.
fn copies(samples: ArrayView2<'_, f32>, trained: ArrayView2<'_, f32>) -> Option<f64> {
    match copy_rate(samples, trained) {
        Ok(found) => {
            println!(
                "copies    {:.1} %: nearer to a row that was trained on than the 1st percentile among those rows themselves",
                100.0 * found.rate
            );
            Some(found.rate)
        }
        Err(reason) => {
            println!("copies    left out: {reason}");
            None
        }
    }
}

/// Prints how the columns' statistics correlate, and draws them.
fn show_columns(args: &EvaluateArgs, own: &Result<Compared, String>, dim: usize) -> anyhow::Result<()> {
    let own = match own {
        Ok(own) => own,
        Err(reason) => {
            println!("columns   left out: {reason}");
            return Ok(());
        }
    };
    let Compared { mean_correlation, variance_correlation, .. } = own;
    if dim > 2 {
        println!(
            "columns   correlation of their means {mean_correlation:.4}, of their variances {variance_correlation:.4}"
        );
    }
    if let Some(path) = &args.picture {
        picture(path, own)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

impl How<'_> {
    fn between(&self, x: ArrayView2<'_, f32>, real: ArrayView2<'_, f32>) -> Distances {
        let sliced = |p| sliced_wasserstein(x, real, p, self.directions, 0);
        let exact = |metric| wasserstein(x, real, metric);
        let some = |z: ArrayView2<'_, f32>| spaced(z, z.nrows().min(TESTED));
        let accuracy = || match self.components {
            None => nearest_neighbour_accuracy(some(x).view(), some(real).view()),
            Some(c) => nearest_neighbour_accuracy(c.coordinates(x)?.view(), c.coordinates(real)?.view()),
        };
        Distances(vec![
            Distance::of("energy distance", "energy_distance", energy_distance(x, real)),
            Distance::of("sliced Wasserstein-1", "sliced_wasserstein_1", sliced(1)),
            Distance::of("sliced Wasserstein-2", "sliced_wasserstein_2", sliced(2)),
            Distance::of("Wasserstein-1, exact", "wasserstein_1", exact(Metric::Euclidean)),
            Distance::of("Wasserstein-2, exact", "wasserstein_2", exact(Metric::SquaredEuclidean).map(f64::sqrt)),
            Distance::of("MMD^2", "mmd", mmd(x, real, self.bandwidth)),
            Distance::of("1-NN accuracy (.5 is best)", "nearest_neighbour_accuracy", accuracy()),
        ])
    }
}

impl Distance {
    fn of(name: &'static str, key: &'static str, value: Result<f64, impl Display>) -> Self {
        Self { name, key, value: value.map_err(|reason| reason.to_string()) }
    }
}

impl Distances {
    fn json(&self) -> Value {
        let value =
            |d: &Distance| d.value.as_ref().map_or_else(|reason| json!({ "left_out": reason }), |v| (*v).into());
        Value::Object(self.0.iter().map(|d| (d.key.to_owned(), value(d))).collect())
    }
}

/// `n` evenly spaced rows.
fn spaced(table: ArrayView2<'_, f32>, n: usize) -> Array2<f32> {
    table.select(Axis(0), &(0..n).map(|i| i * table.nrows() / n.max(1)).collect::<Vec<_>>())
}

/// The mean cost of the optimal assignment between equal numbers of rows.
fn wasserstein(x: ArrayView2<'_, f32>, real: ArrayView2<'_, f32>, metric: Metric) -> anyhow::Result<f64> {
    let n = x.nrows().min(real.nrows()).min(TESTED);
    let cost = metric.matrix(spaced(x, n).view(), spaced(real, n).view())?;
    Ok(assign(cost.view())?.cost / n as f64)
}

/// Straightness and energy of the flow's paths, as squared norms.
fn paths(args: &EvaluateArgs, loaded: &Loaded) -> anyhow::Result<[f64; 2]> {
    let sampler = Sampler::rk4(STEPS);
    let drawer = loaded.guided(&args.draw, &sampler)?;
    let count = if loaded.columns.series.is_some() { OF_SEQUENCES } else { TRAJECTORIES };
    let classes = loaded.columns.asked(args.draw.class.as_deref(), count)?;
    let (field, objective) = (drawer.field(&classes, &sampler)?, drawer.objective);
    let (low, high) = objective.span()?;
    let predicted = |x: &Tensor, t: &[f64], rows: &[usize]| field.velocities(x, t, rows);
    let velocity = Converted::new(predicted, &objective.path, objective.prediction, (low, high))?;
    let times: Vec<f64> = Grid::Uniform.times(STEPS)?.iter().map(|t| low + t * (high - low)).collect();
    let start = drawer.start(count, args.draw.seed)?;
    let bends = straightness(&velocity, start.shallow_clone(), &times, &RK4)?;
    let together = SharedTime(|x: &Tensor, t: &[f64], rows: &[usize]| velocity.velocities(x, t, rows));
    let end = fixed::solve(&together, start.shallow_clone(), &times, &RK4, SaveAt::End)?.x;
    let moved = (end - start).square().sum(Kind::Double).double_value(&[]) / count as f64;
    let straight = bends.iter().sum::<f64>() / bends.len() as f64 * loaded.dim() as f64;
    Ok([straight, straight + moved])
}

/// A line per distance, with a column for each set.
fn table(sets: &[(String, &Distances)]) -> String {
    let width = |k: usize| if k == 0 { 12 } else { 16 };
    let number = |d: &Distance| d.value.as_ref().map_or_else(|_| "-".to_owned(), |value| format!("{value:.5}"));
    let mut text = format!("{:28}", "");
    sets.iter().enumerate().for_each(|(k, (name, _))| text += &format!("{name:>0$}", width(k)));
    for (k, distance) in sets.first().into_iter().flat_map(|(_, first)| first.0.iter().enumerate()) {
        text += &format!("\n{:28}", distance.name);
        let of_sets = || sets.iter().filter_map(|(_, distances)| distances.0.get(k));
        of_sets().enumerate().for_each(|(column, d)| text += &format!("{:>1$}", number(d), width(column)));
        let reason = of_sets().find_map(|d| d.value.as_ref().err());
        text += &reason.map_or_else(String::new, |reason| format!("  left out: {reason}"));
    }
    text
}

/// Rows of the Gaussian that has the mean and the covariance of the training rows: of windows of a
/// series, a Gaussian process.
fn gaussian(trained: ArrayView2<'_, f32>, args: &EvaluateArgs) -> anyhow::Result<Array2<f32>> {
    let mut moments = Moments::like(trained)?;
    moments.add(trained)?;
    Ok(frechet::draw(&moments.gaussian()?, args.num_samples, args.draw.seed)?.mapv(|v| v as f32))
}

/// Prints how far the autocorrelation and the spectrum of samples are from those of held-out
/// sequences, and those of training sequences beside them.
fn sequences(length: usize, samples: &Array2<f32>, real: &Array2<f32>, trained: &Array2<f32>) -> anyhow::Result<Value> {
    let wide = |rows: &Array2<f32>| rows.mapv(f64::from);
    let apart = |rows: &Array2<f32>| series::compare(wide(rows).view(), wide(real).view(), length);
    let (own, floor) = (apart(samples)?, apart(trained)?);
    println!(
        "sequences autocorrelation {:.4} apart (rows trained on: {:.4}), spectrum {:.2} dB ({:.2} dB)",
        own.autocorrelation, floor.autocorrelation, own.spectrum, floor.spectrum
    );
    let json = |apart: Apart| json!({ "autocorrelation": apart.autocorrelation, "spectrum": apart.spectrum });
    Ok(json!({ "samples": json(own), "trained": json(floor) }))
}

/// A plot of each column's mean and variance, samples against real rows: the points lie on the
/// diagonal if they agree.
fn picture(path: &Path, compared: &Compared) -> anyhow::Result<()> {
    let plane = |title: &str, of: fn(&Column) -> f64| {
        let log = |column: &Column| of(column).abs().ln_1p() as f32;
        let dots: Vec<Point> = compared.real.iter().map(log).zip(compared.samples.iter().map(log)).collect();
        let reach = dots.iter().fold(1e-3f32, |most, p| most.max(p.0).max(p.1)) * 1.05;
        let diagonal = Layer::Paths(vec![vec![(0.0, 0.0), (reach, reach)]], ink::FIELD);
        Plane {
            title: title.into(),
            span: (0.0, reach),
            layers: vec![diagonal, Layer::Points(String::new(), dots, ink::SAMPLES)],
        }
    };
    let planes = [plane("means: real, samples", |c| c.mean), plane("variances: real, samples", |c| c.variance)];
    save_picture(path, &side_by_side(&planes)?)
}

fn statistics(columns: &Columns, compared: &Compared) -> Vec<Value> {
    let name = |k: usize| columns.names.get(k).cloned().unwrap_or_else(|| (k + 1).to_string());
    let of = |c: &Column| json!({ "mean": c.mean, "variance": c.variance });
    let both = compared.samples.iter().zip(&compared.real).enumerate();
    both.map(|(k, (a, b))| json!({ "column": name(k), "samples": of(a), "real": of(b) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// The distance between the means bounds the cost of every plan from below.
    #[test]
    fn a_shifted_cloud_is_as_far_as_it_was_shifted() {
        let x = Array2::from_shape_fn((300, 2), |(i, j)| ((i * 7919 + j * 104_729) % 1000) as f32 / 100.0);
        let y = (&x + &array![3.0f32, 4.0]).slice(s![..;-1, ..]).to_owned();
        let exact = |metric| wasserstein(x.view(), y.view(), metric).unwrap();
        assert!((exact(Metric::Euclidean) - 5.0).abs() < 1e-5);
        assert!((exact(Metric::SquaredEuclidean).sqrt() - 5.0).abs() < 1e-5);
    }
}
