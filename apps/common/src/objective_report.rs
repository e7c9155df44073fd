//! What an objective does, before anything is trained: its numbers over time, as a table and as a picture.

#![allow(clippy::print_stdout, reason = "a program speaks on standard output")]

use crate::objective_args::{FlowArgs, FlowConfig};
use crate::pictures::{Panel, panels};
use crate::sources;
use clap::Args;
use fm_core::objective::Objective;
use fm_core::path::ProbPath;
use ndarray::Array2;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show what an objective does over time, without training anything.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Write the numbers: one line a time.
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Draw them.
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
    /// The times (and, for the quantile, the probabilities) to show, instead of 200 evenly spread ones.
    #[arg(long, value_delimiter = ',', value_name = "T,...")]
    at: Vec<f64>,
    // Last, because its heading covers all that follows.
    #[command(flatten)]
    flow: FlowArgs,
}

const COLUMNS: [&str; 14] = [
    "t",
    "alpha",
    "sigma",
    "gamma",
    "d_alpha",
    "d_sigma",
    "d_gamma",
    "target_x1",
    "target_x0",
    "target_eps",
    "density",
    "cdf",
    "quantile",
    "weight",
];

/// Runs the command.
///
/// # Errors
/// An objective that has no meaning, and files that cannot be written.
pub fn run(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let mut config = FlowConfig::default();
    args.flow.apply(&mut config);
    // Without data there is nothing to measure or to load.
    let source = sources::open(&mut config.source, 1, || 1.0, |_| Ok(Array2::zeros((1, 1))))?;
    let objective = &config.objective;
    objective.validate(&source)?;
    println!("{}", config.describe());
    match objective.span() {
        Ok((low, high)) => println!("sampling  integrates t from {low} to {high}"),
        Err(error) => println!("sampling  is not possible: {error}"),
    }
    let (first, last) = objective.times.support();
    let spread = (0..200).map(|i| first + (f64::from(i) + 0.5) / 200.0 * (last - first));
    let times = if args.at.is_empty() { spread.collect() } else { args.at.clone() };
    let rows = times.iter().map(|t| row(objective, *t)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(path) = &args.csv {
        let line = |row: &[f64; 14]| row.map(|v| v.to_string()).join(",") + "\n";
        let text: String = rows.iter().map(line).collect();
        fm_train::files::write(path, format!("{}\n{text}", COLUMNS.join(",")).as_bytes())?;
        println!("wrote {}", path.display());
    }
    if let Some(path) = &args.picture {
        let line = |name: &str, f: &dyn Fn(&[f64; 14]) -> f64| {
            (name.to_owned(), rows.iter().map(|row| (row[0], f(row))).collect::<Vec<_>>())
        };
        let weights = format!("weight: {}", objective.weighting);
        panels(
            path,
            &[
                Panel {
                    title: format!("path: {}", objective.path),
                    lines: vec![
                        line("alpha (data)", &|r| r[1]),
                        line("sigma (source)", &|r| r[2]),
                        line("gamma", &|r| r[3]),
                    ],
                },
                Panel {
                    title: format!("times: {}", objective.times.distribution),
                    lines: vec![line("density p", &|r| r[10])],
                },
                Panel {
                    title: weights,
                    lines: vec![line("w", &|r| r[13]), line("w p, as it counts", &|r| r[13] * r[10])],
                },
            ],
        )?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn row(objective: &Objective, t: f64) -> anyhow::Result<[f64; 14]> {
    let c = objective.path.at(t)?;
    let (target, times) = (objective.prediction.target(&c)?, &objective.times);
    Ok([
        t,
        c.alpha,
        c.sigma,
        c.gamma,
        c.d_alpha,
        c.d_sigma,
        c.d_gamma,
        target.x1,
        target.x0,
        target.eps,
        times.density(t),
        times.cdf(t),
        times.quantile(t),
        objective.weight(t)?,
    ])
}
