//! `cifar-train evaluate`: measures the quality of samples, and states the protocol of every
//! number.
//!
//! [`request`] parses the request and [`plan`] determines its inputs. [`images`] and [`features`]
//! pass images in batches through [`extract`] into a [`feature_cache`] on disk. [`metrics`] compute
//! numbers from the cache and a [`mod@reference`], and [`table`] prints them.

pub(crate) mod extract;
mod feature_cache;
mod features;
mod images;
mod measured;
pub(crate) mod metrics;
mod neighbours;
mod nll;
mod plan;
mod reference;
mod request;
mod rows;
mod sweep;
mod table;

use crate::args::EvaluateArgs;
use fm_app::process_group::Group;
use fm_terminal::println;
use measured::ensure_any;
use plan::Plan;
use std::process::ExitCode;
use table::{Column, show};

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
