//! Quality as a function of the number of function evaluations, for several solvers, of the scale
//! of classifier-free guidance, or of the relative width of the weights' average.

use super::plan::Plan;
use super::samples::{PROGRAM, describe, of_samples};
use crate::model::Loaded;
use crate::sample::{image_scale, in_turn, with_classes};
use anyhow::{Context, ensure};
use fm_cli::given;
use fm_evaluation::measured::{Measured, ensure_any};
use fm_evaluation::metrics::MetricName;
use fm_evaluation::table::{Column, json, number, reasons};
use fm_images::sampling::{Request, generate};
use fm_models::interchange;
use fm_pictures::{Curves, Grid, save_picture};
use fm_run::guidance::Guide;
use fm_run::process_group::Group;
use fm_run::weights::{self, WhichWeights};
use fm_solvers::sampler::{Sampler, SolverName, Steps};
use fm_terminal::println;
use fm_train::checkpoint::Weights;
use fm_train::power_average::exponent;
use std::path::Path;
use std::process::ExitCode;

/// What a sweep varies.
#[derive(Debug, Clone, PartialEq)]
enum Sweep {
    /// The number of function evaluations, for each of several solvers.
    Nfe(Vec<usize>),
    /// The scale of classifier-free guidance.
    Cfg(Vec<f64>),
    /// The relative width of the average.
    Sigma(Vec<f64>),
}

/// One point of a sweep.
struct Point {
    /// The first column of the table: the solver, the scale or the width.
    line: String,
    request: Request,
    /// The relative width of the average to use, if it is not that of the model.
    sigma: Option<f64>,
}

/// Result of one point of a sweep.
struct Case {
    /// As of its point.
    line: String,
    /// The place on the plot's axis.
    at: f64,
    nfe: f64,
    column: Column,
}

pub(super) fn run(plan: &Plan<'_>, sweep: &str, group: &Group) -> anyhow::Result<ExitCode> {
    let sweep = parse(sweep)?;
    let over_nfe = matches!(sweep, Sweep::Nfe(_));
    given::warn(&[
        ("sweep_solvers", over_nfe, "--sweep nfe=N,..."),
        ("solver", !over_nfe, "another --sweep: --sweep-solvers has those of nfe=N,..."),
        ("num_steps", !over_nfe, "another --sweep: nfe=N,... has the steps"),
        ("cfg_scale", !matches!(sweep, Sweep::Cfg(_)), "another --sweep: cfg=S,... has the scales"),
    ]);
    let loaded = plan.loaded.as_ref().context("there is no model to sample in the sweep; give --checkpoint")?;
    let count = plan.count;
    let classes = in_turn(loaded.data.classes.len(), count)?;
    let asked = with_classes(&plan.args.solver, loaded, count, classes.clone())?;
    ensure!(asked.sampler.stochastic.is_none(), "a sweep is over solvers of the ODE; drop --sde");
    ensure!(
        plan.asked.iter().all(|a| a.metric != MetricName::Nll),
        "nll does not depend on how samples are drawn; ask for it without --sweep"
    );
    let (mut found, mut about) = (Vec::new(), Vec::new());
    let points = points(&sweep, &plan.args.sweep_solvers, asked)?;
    points.iter().try_for_each(|point| point.request.check(loaded.model.as_ref()))?;
    if let (Some(path), true) = (&plan.args.picture, group.is_first()) {
        picture(path, loaded, &points)?;
        println!("wrote {}", path.display());
    }
    for point in points {
        point.take_average(loaded)?;
        let Point { line, request, sigma } = point;
        if let Some(samples_found) = of_samples(loaded, &request, plan.wanted(true), &plan.cache, group)? {
            let average = |width| WhichWeights { ema_sigma: Some(width), ..WhichWeights::default() };
            let name = sigma.map_or_else(|| loaded.weights.clone(), |width| average(width).of(loaded.step).1);
            about.push(describe(loaded, &name, &request, &samples_found));
            found.push((line, sigma.unwrap_or(request.guide.scale), samples_found));
        }
    }
    if !group.is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    let reference = plan.reference()?;
    let mut cases = Vec::new();
    for (line, value, found) in &found {
        let nfe = found.nfe.iter().sum::<f64>() / found.count as f64;
        let measured = plan.measured(found, &reference, &classes)?;
        let column = Column { name: format!("{line} {nfe}"), measured };
        let at = if matches!(sweep, Sweep::Nfe(_)) { nfe } else { *value };
        cases.push(Case { line: line.clone(), at, nfe, column });
    }
    cases.iter().try_for_each(|case| ensure_any(&case.column.measured))?;
    println!("{}", lines(&sweep, &cases));
    if let Some(path) = &plan.args.plot {
        plot(path, &sweep, &cases, count, &plan.real.name)?;
        println!("wrote {}", path.display());
    }
    if let Some(path) = &plan.args.json {
        let each: Vec<_> = cases
            .into_iter()
            .zip(&about)
            .map(|(case, about)| json(PROGRAM, &[case.column], about, &plan.about_reference()))
            .collect();
        fm_train::files::output(path, format!("{:#}\n", serde_json::Value::from(each)).as_bytes())?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses `nfe=1,2,4`, `cfg=0,1,1.5` and `ema-sigma=0.03,0.1`.
fn parse(sweep: &str) -> anyhow::Result<Sweep> {
    if let Some(list) = sweep.strip_prefix("cfg=") {
        let each: Result<Vec<f64>, _> = list.split(',').map(str::parse).collect();
        let each = each.ok().filter(|each| each.iter().all(|scale| scale.is_finite()));
        return Ok(Sweep::Cfg(
            each.with_context(|| format!("--sweep is '{sweep}'; give finite guidance scales as cfg=0,1,1.5,2"))?,
        ));
    }
    let wrong = || {
        format!(
            "--sweep is '{sweep}'; give whole numbers of evaluations above 0 as nfe=1,2,4,8, scales as cfg=0,1,2, or widths of averages from 0.001 to 0.28 as ema-sigma=0.05,0.1"
        )
    };
    if let Some(list) = sweep.strip_prefix("ema-sigma=") {
        let each: Result<Vec<f64>, _> = list.split(',').map(str::parse).collect();
        let each = each.ok().filter(|each| each.iter().all(|width| exponent(*width).is_ok()));
        return Ok(Sweep::Sigma(each.with_context(wrong)?));
    }
    let list = sweep.strip_prefix("nfe=").with_context(wrong)?;
    let each: Result<Vec<usize>, _> = list.split(',').map(str::parse).collect();
    let each = each.ok().filter(|each| each.iter().all(|n| (1..=1_000_000).contains(n)));
    Ok(Sweep::Nfe(each.with_context(wrong)?))
}

impl Point {
    /// Gives the network the average of this point.
    fn take_average(&self, loaded: &Loaded) -> anyhow::Result<()> {
        let Some(width) = self.sigma else { return Ok(()) };
        let weights = weights::of_checkpoint(&loaded.path, Weights::SigmaRel(width))?;
        interchange::load(&loaded.store, loaded.config.model.kind(), &weights)?;
        Ok(())
    }
}

/// The points of a sweep.
fn points(sweep: &Sweep, solvers: &[SolverName], asked: Request) -> anyhow::Result<Vec<Point>> {
    let mut points = Vec::new();
    match sweep {
        Sweep::Nfe(budgets) => {
            let free =
                matches!(asked.sampler.steps, Steps::Adaptive(..)) || asked.sampler.steps == Sampler::euler(50).steps;
            ensure!(free, "a sweep over evaluations sets the steps itself; drop --num-steps, --times and --grid");
            for solver in solvers {
                for steps in budgets.iter().filter_map(|nfe| steps_of(*solver, *nfe)) {
                    let sampler = Sampler { schedule: asked.sampler.schedule, ..Sampler::fixed(*solver, steps) };
                    let request = Request { sampler, ..asked.clone() };
                    points.push(Point { line: solver.to_string(), request, sigma: None });
                }
            }
            ensure!(
                !points.is_empty(),
                "no solver of --sweep-solvers makes whole steps of {budgets:?} evaluations; give numbers that their evaluations per step divide"
            );
        }
        Sweep::Cfg(scales) => {
            ensure!(
                asked.null_class.is_some() || asked.guide.weak.is_some(),
                "this model has no null class to guide away from, so its samples have one scale; drop --sweep cfg=..."
            );
            let named = |scale: &f64| {
                let guide = Guide { scale: *scale, ..asked.guide.clone() };
                let request = Request { guide, ..asked.clone() };
                Point { line: format!("guidance {scale}"), request, sigma: None }
            };
            points.extend(scales.iter().map(named));
        }
        Sweep::Sigma(widths) => {
            let named =
                |width: &f64| Point { line: format!("sigma {width}"), request: asked.clone(), sigma: Some(*width) };
            points.extend(widths.iter().map(named));
        }
    }
    Ok(points)
}

/// The number of fixed steps with which a solver takes `nfe` evaluations, if there is one.
fn steps_of(solver: SolverName, nfe: usize) -> Option<usize> {
    let per_step = solver.evaluations_per_step();
    nfe.is_multiple_of(per_step).then_some(nfe / per_step).filter(|steps| *steps > 0)
}

/// The first samples of each point, one row each.
fn picture(path: &Path, loaded: &Loaded, points: &[Point]) -> anyhow::Result<()> {
    let (scale, mut pixels) = (image_scale(loaded), Vec::new());
    for point in points {
        point.take_average(loaded)?;
        let request = Request { count: COLUMNS.min(point.request.count), ..point.request.clone() };
        let drawn = generate(loaded.model.as_ref(), loaded.device, &request, false, &Group::alone())?;
        pixels.extend(scale.denormalise(&loaded.to_pixels(drawn.values)?));
    }
    let columns = points.first().map_or(1, |point| COLUMNS.min(point.request.count));
    let row_names = points.iter().map(|point| point.line.clone());
    let grid = Grid { shape: scale.shape, levels: scale.levels, columns, row_names: row_names.collect() };
    save_picture(path, &grid.draw(&pixels)?)
}

/// Samples per row of the picture.
const COLUMNS: usize = 20;

/// A table with one row per case.
fn lines(sweep: &Sweep, cases: &[Case]) -> String {
    let Some(first) = cases.first() else { return String::new() };
    let width = |m: &Measured| m.label.len().max(18) + 2;
    let head: String = first.column.measured.iter().map(|m| format!("{:>1$}", m.label, width(m))).collect();
    let name = match sweep {
        Sweep::Nfe(_) => "solver",
        Sweep::Cfg(_) => "scale",
        Sweep::Sigma(_) => "average",
    };
    let mut lines = vec![format!("{name:18}{:>6}{head}", "NFE")];
    for case in cases {
        let cells: String = case.column.measured.iter().map(|m| format!("{:>1$}", number(m), width(m))).collect();
        lines.push(format!("{:18}{:>6}{cells}", case.line, case.nfe));
    }
    lines.extend(reasons(&first.column.measured));
    lines.join("\n")
}

/// Plots the first metric over the number of evaluations, the scale, or the width.
fn plot(path: &Path, sweep: &Sweep, cases: &[Case], count: usize, data: &str) -> anyhow::Result<()> {
    let first = cases.iter().flat_map(|case| &case.column.measured).find(|m| m.value.is_ok());
    let first = first.context("--plot draws the first metric; ask for one of samples (not nll alone)")?;
    let (label, by_nfe) = (first.label.clone(), matches!(sweep, Sweep::Nfe(_)));
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for case in cases {
        let Some(measured) = case.column.measured.iter().find(|m| m.key == first.key) else { continue };
        let Ok(found) = &measured.value else { continue };
        let (point, name) = ((case.at, found.value), if by_nfe { &case.line } else { &label });
        match lines.iter_mut().find(|(known, _)| known == name) {
            Some((_, line)) => line.push(point),
            None => lines.push((name.clone(), vec![point])),
        }
    }
    let title = format!("{label} of {count} samples, against {data}");
    let axis = match sweep {
        Sweep::Nfe(_) => "evaluations of the network",
        Sweep::Cfg(_) => "guidance scale",
        Sweep::Sigma(_) => "relative width of the average (sigma_rel)",
    };
    Curves { title, labels: (axis.into(), label), lines, doubling: by_nfe, log_y: false }.save(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_are_over_evaluations_scales_or_averages() {
        assert_eq!(parse("nfe=1,2").unwrap(), Sweep::Nfe(vec![1, 2]));
        assert_eq!(parse("cfg=0,1.5,-1").unwrap(), Sweep::Cfg(vec![0.0, 1.5, -1.0]));
        assert_eq!(parse("ema-sigma=0.05,0.1").unwrap(), Sweep::Sigma(vec![0.05, 0.1]));
        assert!(parse("ema-sigma=0.05,0.3").unwrap_err().to_string().contains("0.001 to 0.28"));
        for (wrong, says) in
            [("cfg=", "finite guidance scales"), ("cfg=1,inf", "finite"), ("1,2", "nfe=1,2,4,8"), ("nfe=0", "above 0")]
        {
            assert!(parse(wrong).unwrap_err().to_string().contains(says), "{wrong}");
        }
    }
}
