//! `tabular-train evaluate`: distances between samples and held-out real rows.
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
use fm_evaluation::tables::{How, copies, gaussian, sequences, show_columns, spaced, statistics, table};
use fm_metrics::columns::compare;
use fm_metrics::mmd::median_distance;
use fm_metrics::two_sample::Components;
use fm_run::straightness::of_paths;
use fm_solvers::Sampler;
use fm_tables::draw::Classes;
use fm_tables::training_data::Material;
use fm_terminal::println;
use ndarray::{Array2, s};
use serde_json::json;
use std::process::ExitCode;

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
    let wanted = config.data_options();
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
    let gaussian = columns.series.map(|_| gaussian(trained.view(), args.num_samples, args.draw.seed)).transpose()?;
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
    show_columns(&own, dim, args.picture.as_deref())?;
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

/// Straightness and energy of the flow's paths, as squared norms.
fn paths(args: &EvaluateArgs, loaded: &Loaded) -> anyhow::Result<[f64; 2]> {
    let sampler = Sampler::rk4(STEPS);
    let drawer = loaded.guided(&args.draw, &sampler)?;
    let count = if loaded.columns.series.is_some() { OF_SEQUENCES } else { TRAJECTORIES };
    let classes = loaded.columns.asked(args.draw.class.as_deref(), count)?;
    let field = drawer.field(&classes, &sampler)?;
    of_paths(field.as_ref(), drawer.objective, &drawer.start(count, args.draw.seed)?, STEPS)
}
