//! Quality as a function of the number of function evaluations, for several solvers.

use super::features::of_samples;
use super::measured::Measured;
use super::metrics::MetricName;
use super::plan::Plan;
use super::table::{Column, json, number, samples};
use crate::sample::{in_turn, with_classes};
use anyhow::{Context, ensure};
use fm_app::pictures::Curves;
use fm_app::process_group::Group;
use fm_solvers::sampler::Sampler;
use fm_solvers::sampler::SolverName;
use fm_terminal::println;
use std::process::ExitCode;

/// Result of one solver with one number of evaluations.
struct Case {
    solver: SolverName,
    nfe: f64,
    column: Column,
}

pub(super) fn run(plan: &Plan<'_>, sweep: &str, group: &Group) -> anyhow::Result<ExitCode> {
    let budgets = budgets(sweep)?;
    let loaded = plan.loaded.as_ref().context("there is no model to sample in the sweep; give --checkpoint")?;
    let count = plan.count;
    let classes = in_turn(loaded.data.classes.len(), count)?;
    let asked = with_classes(&plan.args.solver, loaded, count, classes.clone())?.sampler;
    ensure!(asked.stochastic.is_none(), "a sweep is over solvers of the ODE; drop --sde");
    ensure!(
        plan.asked.iter().all(|a| a.metric != MetricName::Nll),
        "nll does not depend on how samples are drawn; ask for it without --sweep"
    );
    let (mut found, mut about) = (Vec::new(), Vec::new());
    for solver in &plan.args.sweep_solvers {
        for steps in budgets.iter().filter_map(|nfe| steps_of(*solver, *nfe)) {
            let mut request = with_classes(&plan.args.solver, loaded, count, classes.clone())?;
            request.sampler = Sampler { schedule: request.sampler.schedule, ..Sampler::fixed(*solver, steps) };
            if let Some(samples_found) = of_samples(loaded, &request, plan.wanted(true), &plan.cache, group)? {
                about.push(samples(loaded, &request, &samples_found));
                found.push((*solver, samples_found));
            }
        }
    }
    if !group.is_first() {
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        !found.is_empty(),
        "no solver of --sweep-solvers makes whole steps of {budgets:?} evaluations; give numbers that their evaluations per step divide"
    );
    let reference = plan.reference()?;
    let mut cases = Vec::new();
    for (solver, found) in &found {
        let nfe = found.nfe.iter().sum::<f64>() / found.count as f64;
        let measured = plan.measured(found, &reference, &classes)?;
        cases.push(Case { solver: *solver, nfe, column: Column { name: format!("{solver} {nfe}"), measured } });
    }
    println!("{}", lines(&cases));
    if let Some(path) = &plan.args.plot {
        plot(path, &cases, count, &plan.real.name)?;
        println!("wrote {}", path.display());
    }
    if let Some(path) = &plan.args.json {
        let each: Vec<_> = cases
            .into_iter()
            .zip(&about)
            .map(|(case, about)| json(&[case.column], about, &plan.about_reference()))
            .collect();
        fm_train::files::output(path, format!("{:#}\n", serde_json::Value::from(each)).as_bytes())?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses `nfe=1,2,4`.
fn budgets(sweep: &str) -> anyhow::Result<Vec<usize>> {
    let wrong = || format!("--sweep is '{sweep}'; give whole numbers of evaluations above 0 as nfe=1,2,4,8");
    let list = sweep.strip_prefix("nfe=").with_context(wrong)?;
    let each: Result<Vec<usize>, _> = list.split(',').map(str::parse).collect();
    let each = each.ok().filter(|each| each.iter().all(|n| (1..=1_000_000).contains(n)));
    each.with_context(wrong)
}

/// The number of fixed steps with which a solver takes `nfe` evaluations, if there is one.
fn steps_of(solver: SolverName, nfe: usize) -> Option<usize> {
    let per_step = solver.tableau().stages_of_a_step();
    nfe.is_multiple_of(per_step).then_some(nfe / per_step).filter(|steps| *steps > 0)
}

/// A table with one row per case.
fn lines(cases: &[Case]) -> String {
    let Some(first) = cases.first() else { return String::new() };
    let width = |m: &Measured| m.label.len().max(18) + 2;
    let head: String = first.column.measured.iter().map(|m| format!("{:>1$}", m.label, width(m))).collect();
    let mut lines = vec![format!("{:18}{:>6}{head}", "solver", "NFE")];
    for case in cases {
        let cells: String = case.column.measured.iter().map(|m| format!("{:>1$}", number(m), width(m))).collect();
        lines.push(format!("{:18}{:>6}{cells}", case.solver.to_string(), case.nfe));
    }
    lines.join("\n")
}

/// Plots the first metric over the number of evaluations.
fn plot(path: &std::path::Path, cases: &[Case], count: usize, data: &str) -> anyhow::Result<()> {
    let label = cases.first().and_then(|c| c.column.measured.first()).map(|m| m.label.clone());
    let label = label.context("--plot draws the first metric; ask for one of samples (not nll alone)")?;
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for case in cases {
        let Some(measured) = case.column.measured.first() else { continue };
        let point = (case.nfe, measured.value.value);
        match lines.iter_mut().find(|(name, _)| *name == case.solver.to_string()) {
            Some((_, line)) => line.push(point),
            None => lines.push((case.solver.to_string(), vec![point])),
        }
    }
    let title = format!("{label} of {count} samples, against {data}");
    Curves { title, labels: ("evaluations of the network".into(), label), lines, doubling: true, log_y: false }
        .save(path)
}
