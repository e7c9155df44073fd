//! The command `solve`: cost and error of a solver on a field with a known solution, the velocity
//! to a mixture of Gaussians of one deviation.

use anyhow::ensure;
use fm_cli::given;
use fm_cli::memory::ensure_fits;
use fm_cli::options::help;
use fm_cli::outputs;
use fm_core::exact::{ExactField, Mixture};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::source::Source;
use fm_core::time::Times;
use fm_data::table::{CsvOptions, csv};
use fm_run::solvers::SolveArgs;
use fm_solvers::sampler::Sampler;
use fm_terminal::println;
use ndarray::Array2;
use std::path::PathBuf;
use std::process::ExitCode;

/// The flags of the command.
#[derive(Debug, clap::Args)]
pub struct SolveOf {
    /// Means of the Gaussians, one per line.
    #[arg(value_name = "MEANS.csv")]
    means: PathBuf,
    /// Standard deviation of each Gaussian.
    #[arg(long, default_value_t = 0.1, help_heading = "Problem")]
    deviation: f64,
    /// Read the start points from a file instead of drawing them from a standard normal
    /// distribution.
    #[arg(long, value_name = "FILE.csv", help_heading = "Problem")]
    start: Option<PathBuf>,
    /// Number of start points to draw.
    #[arg(long, default_value_t = 1000, value_name = "N", conflicts_with = "start", help_heading = "Problem")]
    num_samples: usize,
    #[arg(long, default_value_t, help_heading = "Problem", help = help::<PathKind>("Path from noise to data"))]
    path: PathKind,
    /// Distance in time that the solver keeps from an end where the path is singular.
    #[arg(long, default_value_t = 0.0, help_heading = "Problem")]
    time_clip: f64,
    #[command(flatten)]
    solve: SolveArgs,
    /// Random seed of the start points and of stochastic steps.
    #[arg(long, default_value_t = 0, help_heading = "Problem")]
    seed: u64,
    /// Write the end points.
    #[arg(long, value_name = "FILE.csv", value_parser = outputs::lines(), help_heading = "Output")]
    out: PathBuf,
}

/// Solves the field, prints its cost, and writes the end points.
///
/// # Errors
/// Files that cannot be read, options outside their domains, and a solve that fails.
pub fn run(args: &SolveOf) -> anyhow::Result<ExitCode> {
    let means = csv(&args.means, &CsvOptions::default())?.values;
    ensure!(
        args.deviation > 0.0 && args.deviation.is_finite(),
        "--deviation is {}; give a width above 0",
        args.deviation
    );
    let variance = args.deviation * args.deviation;
    let count = means.nrows();
    let mixture = Mixture::isotropic(&vec![1.0 / count as f64; count], means.view(), &vec![variance; count])?;
    let start = match &args.start {
        Some(path) => csv(path, &CsvOptions::default())?.values,
        None => {
            // The states of the solver, and their text.
            ensure_fits("the points", &[args.num_samples, means.ncols(), 8], size_of::<f64>(), "--num-samples")?;
            noise(args.seed, 0, args.num_samples, means.ncols())
        }
    };
    ensure!(
        start.ncols() == means.ncols() && start.nrows() > 0,
        "the start has {} rows of {} values; give at least one, of {} as the means",
        start.nrows(),
        start.ncols(),
        means.ncols()
    );
    let times = Times { clip: args.time_clip, ..Times::default() };
    let objective = Objective { path: args.path, times, ..Objective::default() };
    objective.validate(&Source::default())?;
    let field = ExactField::new(&mixture, args.path, objective.span()?)?;
    let (rows, dim) = start.dim();
    let sampler: Sampler = args.solve.sampler()?;
    given::warn(&[(
        "seed",
        args.start.is_none() || sampler.stochastic.is_some(),
        "something to draw: --start gives the points, and no --sde",
    )]);
    let drawn = sampler.run(&field, &objective, start, |step| noise(args.seed, step + 1, rows, dim), false)?;
    println!("{rows} rows, NFE {}; {}", drawn.describe_nfe(), sampler.describe());
    let stats = drawn.stats;
    println!(
        "{} steps accepted, {} rejected, smallest {:.3e}; {} calls",
        stats.accepted, stats.rejected, stats.smallest_step, drawn.calls
    );
    let line = |row: ndarray::ArrayView1<'_, f64>| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",") + "\n";
    let text: String = drawn.x.rows().into_iter().map(line).collect();
    fm_train::files::output(&args.out, text.as_bytes())?;
    println!("wrote {}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

fn noise(seed: u64, step: u64, rows: usize, dim: usize) -> Array2<f64> {
    let values = normal_rows(Key::new(seed, step, Stream::Increment), rows, dim);
    Array2::from_shape_fn((rows, dim), |(i, j)| f64::from(values[i * dim + j]))
}
