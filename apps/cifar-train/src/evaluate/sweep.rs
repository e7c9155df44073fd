//! The points of a sweep: samples of several solvers and numbers of evaluations, of scales of
//! guidance, or of averages of the weights.

use super::plan::Plan;
use super::samples::{PROGRAM, describe, of_samples};
use crate::model::Loaded;
use crate::sample::{image_scale, in_turn, with_classes};
use anyhow::{Context, ensure};
use fm_cli::given;
use fm_evaluation::measured::ensure_any;
use fm_evaluation::metrics::MetricName;
use fm_evaluation::sweep::{Case, Sweep, lines, parse, plot};
use fm_evaluation::table::{Column, json};
use fm_images::sampling::{Request, generate};
use fm_models::interchange;
use fm_pictures::{Grid, save_picture};
use fm_run::guidance::Guide;
use fm_run::process_group::Group;
use fm_run::weights::{self, WhichWeights};
use fm_solvers::sampler::{Sampler, SolverName, Steps};
use fm_terminal::println;
use fm_train::checkpoint::Weights;
use std::path::Path;
use std::process::ExitCode;

/// One point of a sweep.
struct Point {
    /// The first column of the table: the solver, the scale or the width.
    line: String,
    request: Request,
    /// The relative width of the average to use, if it is not that of the model.
    sigma: Option<f64>,
}

pub(super) fn run(plan: &Plan<'_>, sweep: &str, group: &Group) -> anyhow::Result<ExitCode> {
    let sweep = parse(sweep)?;
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
    let over_nfe = matches!(sweep, Sweep::Nfe(_));
    given::warn(&[
        ("sweep_solvers", over_nfe, "--sweep nfe=N,..."),
        ("solver", !over_nfe, "another --sweep: --sweep-solvers has those of nfe=N,..."),
        ("cfg_scale", !matches!(sweep, Sweep::Cfg(_)), "another --sweep: cfg=S,... has the scales"),
    ]);
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
