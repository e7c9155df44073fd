//! Files of learned time grids: `grid` writes them, and `--times FILE` reads them.

use anyhow::{anyhow, ensure};
use clap::Args;
use fm_core::budget::limits;
use fm_core::field::{ByRef, RowField};
use fm_core::objective::Objective;
use fm_solvers::learned_grid::{LeastSquares, equal_error, least_squares};
use fm_solvers::sampler::{Sampler, SolverName, Steps};
use fm_solvers::{Grid, SolveError};
use fm_train::files;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// The flags of learning a grid.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Grid")]
pub struct GridArgs {
    /// Number of samples whose ends the steps are fitted to.
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub grid_rows: usize,
    /// Number of RK4 steps of the fine solve that the steps are compared with.
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub fine_steps: usize,
    /// Largest number of least-squares steps; 0 takes the best of the fixed grids and
    /// of the times of equal errors.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub iterations: usize,
    /// File to write, for `--times`.
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub out: PathBuf,
}

/// A learned grid, as its file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GridFile {
    /// The times, from 0 to 1.
    pub times: Vec<f64>,
    /// The solver that they were learned for.
    pub solver: SolverName,
    /// Root mean square, over the values of samples, of the difference to the fine solve: for the
    /// times, and for other grids with as many steps.
    #[serde(default)]
    pub errors: Vec<(String, f64)>,
    /// The model, the guidance, and how the times were learned.
    #[serde(default)]
    pub about: Value,
}

/// Reads a file of a learned grid.
///
/// # Errors
/// A file that is not one, and times that do not rise from 0 to 1.
pub fn read(path: &Path) -> anyhow::Result<GridFile> {
    let read = files::read_plain(path, &limits::TABLE_OF_RESULTS).map_err(|error| error.to_string());
    let file = read.and_then(|(text, mut budget)| files::json::<GridFile>(&text, &mut budget)).map_err(|cause| {
        // A reader's cause may have a remedy of its own.
        let cause = cause.split("; ").next().unwrap_or_default();
        anyhow!("cannot read the times of {}: {cause}; give a file that the command grid wrote", path.display())
    })?;
    ensure!(
        rises(&file.times),
        "cannot use the times of {}: they do not rise from 0 to 1; write it again with `grid`",
        path.display()
    );
    Ok(file)
}

/// Whether times rise from 0 to 1.
pub fn rises(times: &[f64]) -> bool {
    let ends = (times.first(), times.last()) == (Some(&0.0), Some(&1.0));
    ends && times.windows(2).all(|pair| pair[0] < pair[1])
}

/// Learns the times of a sampler's steps for samples that start from x0, and writes them. Returns a
/// table of the errors.
///
/// # Errors
/// A sampler without a fixed number of steps, a place that has no directory, and the errors of
/// sampling.
pub fn learn(
    args: &GridArgs,
    sampler: &Sampler,
    field: &dyn RowField<Tensor>,
    objective: &Objective,
    x0: &Tensor,
    about: Value,
) -> anyhow::Result<String> {
    let steps = check(args, sampler)?;
    let none = |_| x0.shallow_clone();
    let solved =
        |sampler: &Sampler, frames: bool| sampler.run(&ByRef(field), objective, x0.shallow_clone(), none, frames);
    let fine = solved(&Sampler { schedule: sampler.schedule, ..Sampler::rk4(args.fine_steps) }, true)?;
    let end =
        |steps: Steps| -> Result<Tensor, SolveError> { Ok(solved(&Sampler { steps, ..sampler.clone() }, false)?.x) };
    let error = |x: &Tensor| (x - &fine.x).square().mean(tch::Kind::Double).sqrt().double_value(&[]);
    let uniform = Grid::Uniform.times(steps)?;
    let mut start = (error(&end(Steps::Listed(uniform.clone()))?), uniform);
    let mut errors = vec![("uniform".to_owned(), start.0)];
    let order = if sampler.solver == SolverName::Euler { 1 } else { 2 };
    let equal = equal_error(&fine.frames, steps, order)?;
    let others = ["warp", "edm", "shift"].map(|name| (name, name.parse::<Grid>()));
    let others = others.into_iter().filter_map(|(name, grid)| Some((name, grid.ok()?.times(steps).ok()?)));
    for (name, times) in others.chain([("equal errors", equal)]) {
        let found = error(&end(Steps::Listed(times.clone()))?);
        errors.push((name.to_owned(), found));
        if rises(&times) && found < start.0 {
            start = (found, times);
        }
    }
    let options = LeastSquares { iterations: args.iterations, ..LeastSquares::default() };
    let learned = least_squares(|times| end(Steps::Listed(times.to_vec())), &fine.x, &start.1, &options)?;
    errors.push(("learned".into(), learned.error));
    let file = GridFile { times: learned.times, solver: sampler.solver, errors, about };
    files::output(&args.out, format!("{}\n", serde_json::to_string_pretty(&file)?).as_bytes())?;
    Ok(table(&file, learned.solves))
}

/// The number of steps; fails before anything is computed.
fn check(args: &GridArgs, sampler: &Sampler) -> anyhow::Result<usize> {
    let Steps::Fixed(Grid::Uniform, steps) = sampler.steps else {
        anyhow::bail!(
            "cannot learn a grid: the steps are not a fixed number of equal ones; give --num-steps, without --grid and --times"
        )
    };
    ensure!(sampler.stochastic.is_none(), "a grid is learned for steps of the ODE; drop --sde");
    ensure!((1..=100).contains(&steps), "--num-steps is {steps}; learn a grid of 1 to 100 steps");
    ensure!((1..=100_000).contains(&args.grid_rows), "--grid-rows is {}; choose 1 to 100000", args.grid_rows);
    ensure!((4..=1000).contains(&args.fine_steps), "--fine-steps is {}; choose 4 to 1000", args.fine_steps);
    let parent = args.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(
        parent.is_dir(),
        "cannot write {}: {} is not a directory; create it, or choose another --out",
        args.out.display(),
        parent.display()
    );
    Ok(steps)
}

/// The errors of the grids, and the times.
fn table(file: &GridFile, solves: usize) -> String {
    let steps = file.times.len() - 1;
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let mut text = format!("{steps} step{} of {}, error at the end:\n", plural(steps), file.solver);
    for (name, error) in &file.errors {
        let _ = writeln!(text, "  {name:14}{error:.3e}");
    }
    let times: Vec<String> = file.times.iter().map(|t| format!("{t:.4}")).collect();
    text + &format!("times {} ({solves} solve{})", times.join(" "), plural(solves))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g.json");
        std::fs::write(&path, r#"{"times": [0, 0.25, 1], "solver": "heun"}"#).unwrap();
        let file = read(&path).unwrap();
        assert_eq!((&file.times[..], file.solver), (&[0.0, 0.25, 1.0][..], SolverName::Heun));
        for wrong in [r#"{"times": [0, 1], "solver": "x"}"#, r#"{"times": [0, 0.5], "solver": "heun"}"#, "[0, 1]", "{"]
        {
            std::fs::write(&path, wrong).unwrap();
            assert!(read(&path).is_err(), "{wrong}");
        }
        let error = read(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("not a plain file; give a file that the command grid wrote"), "{error}");
    }
}
