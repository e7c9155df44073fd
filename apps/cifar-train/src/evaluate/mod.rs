//! `cifar-train evaluate`: measures the quality of samples, and states the protocol of every
//! number.
//!
//! [`plan`] determines the inputs. [`samples`] draws samples and passes them to the features and
//! metrics of `fm_evaluation`. [`nll`] computes likelihoods, and [`sweep`] repeats an evaluation
//! over steps, guidance scales or averages.

mod nll;
mod plan;
mod samples;
mod sweep;

use crate::args::EvaluateArgs;
use fm_evaluation::measured::ensure_any;
use fm_evaluation::table::{Column, show};
use fm_run::process_group::Group;
use fm_terminal::println;
use plan::Plan;
use std::process::ExitCode;

pub(crate) fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    Group::run(&args.solver.group, |group| evaluate(group, args))
}

fn evaluate(group: &Group, args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::of(args)?;
    if let Some(sweep) = &args.sweep {
        return sweep::run(&plan, sweep, group);
    }
    let Some((found, about, classes)) = plan.subject(group)? else { return Ok(ExitCode::SUCCESS) };
    let reference = plan.reference()?;
    let mut columns = vec![Column { name: "samples".into(), measured: plan.measured(&found, &reference, &classes)? }];
    columns[0].measured.extend(nll::measured(&plan)?);
    ensure_any(&columns[0].measured)?;
    if args.calibrate {
        columns.extend(plan.calibration(&found, &reference)?);
    }
    println!("{}", show(&columns));
    if let Some(path) = &args.save_statistics {
        plan.save_statistics(path, &found)?;
    }
    plan.write_json(&columns, &about)?;
    Ok(ExitCode::SUCCESS)
}
