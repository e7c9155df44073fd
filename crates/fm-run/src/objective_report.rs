//! The command `objective`: the coefficients of an objective over time, as a table and as a
//! picture.

use crate::objective_args::{FlowArgs, FlowConfig};
use crate::sources;
use crate::time_animation::animate;
use clap::Args;
use fm_cli::outputs;
use fm_cli::{options, settings};
use fm_core::objective::Objective;
use fm_core::path::ProbPath;
use fm_pictures::{Panel, panels, save_picture};
use fm_terminal::println;
use ndarray::Array2;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print and plot an objective over time, without training.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Write path, target, time distribution and weight as a table, one line per time.
    #[arg(long, value_name = "FILE.csv", value_parser = outputs::lines(), help_heading = "Output")]
    csv: Option<PathBuf>,
    /// Plot path, time distribution and weight.
    #[arg(long, value_name = "FILE.png", value_parser = outputs::picture(), help_heading = "Output")]
    picture: Option<PathBuf>,
    /// Animate the time distribution: its quantile function and density while its first parameter
    /// goes through its range.
    #[arg(long, value_name = "FILE.gif", value_parser = outputs::animation(), help_heading = "Output")]
    gif: Option<PathBuf>,
    /// Evaluate at these times instead of 200 evenly spaced ones; the quantile is evaluated at the
    /// same numbers.
    #[arg(long, value_delimiter = ',', value_name = "T,...", help_heading = "Output")]
    at: Vec<f64>,
    // Last: its heading would also cover later fields that have none.
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
/// An invalid objective, and files that cannot be written.
pub fn run(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let mut config: FlowConfig = settings::lay_over(&FlowConfig::default(), options::table(&args.flow)?)?;
    // There are no data: `matched` gets deviation 1, and a data set as the source is a placeholder.
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
        fm_train::files::output(path, format!("{}\n{text}", COLUMNS.join(",")).as_bytes())?;
        println!("wrote {}", path.display());
    }
    if let Some(path) = &args.picture {
        let line = |name: &str, f: &dyn Fn(&[f64; 14]) -> f64| {
            (name.to_owned(), rows.iter().map(|row| (row[0], f(row))).collect::<Vec<_>>())
        };
        let weights = format!("weight: {}", objective.weighting);
        let picture = panels(&[
            Panel {
                title: format!("path: {}", objective.path),
                lines: vec![
                    line("alpha (data)", &|r| r[1]),
                    line("sigma (source)", &|r| r[2]),
                    line("gamma", &|r| r[3]),
                ],
                top: None,
            },
            Panel {
                title: format!("times: {}", objective.times.distribution),
                lines: vec![line("density p", &|r| r[10])],
                top: None,
            },
            Panel {
                title: weights,
                lines: vec![line("w", &|r| r[13]), line("w p (effective weight)", &|r| r[13] * r[10])],
                top: None,
            },
        ])?;
        save_picture(path, &picture)?;
        println!("wrote {}", path.display());
    }
    if let Some(path) = &args.gif {
        animate(path, objective.times.distribution)?;
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
