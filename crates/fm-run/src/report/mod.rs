//! The command `report`: one or several runs as one self-contained HTML page, with curves, results,
//! samples and configuration.

mod curves;
mod page;
mod seen;

use clap::Args;
use fm_terminal::println;
use fm_train::TrainError;
use seen::Seen;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a report of a run, or of several side by side, as one HTML page: curves, evaluations,
/// samples and configuration.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run directories. Several are compared: their curves in one chart, and what differs in their
    /// configurations.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Page to write (default: report.html in the first run's directory; comparison.html for
    /// several runs).
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Also write each curve as PNG and SVG into this directory.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Show losses on a logarithmic axis.
    #[arg(long)]
    log: bool,
}

/// Runs the command.
///
/// # Errors
/// A directory without a run, and files that cannot be written.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let runs = Seen::read_all(&args.runs)?;
    let curves = curves::of(&runs, args.log);
    if let Some(directory) = &args.plots {
        fs::create_dir_all(directory).map_err(TrainError::io("create", directory))?;
        for (name, curve) in &curves {
            curve.save(&directory.join(format!("{name}.png")))?;
            curve.save(&directory.join(format!("{name}.svg")))?;
        }
        println!("wrote {} curves into {}", curves.len(), directory.display());
    }
    let name = if runs.len() == 1 { "report.html" } else { "comparison.html" };
    let path = args.out.clone().unwrap_or_else(|| args.runs.first().map(|run| run.join(name)).unwrap_or_default());
    fm_train::files::output(&path, page::page(&runs, &curves)?.into_string().as_bytes())?;
    println!("wrote {}", path.display());
    Ok(ExitCode::SUCCESS)
}
