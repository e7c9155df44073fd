//! `tabular-train reflow`: a student learns the pairs of noise and sample that its teacher's ODE
//! makes. The straight lines between them hardly cross, so the student's paths are nearly straight,
//! and one or two Euler steps are enough.

mod rounds;

use crate::args::ReflowArgs;
use crate::config::Config;
use crate::teacher_batches::open;
use crate::train::start;
use fm_cli::settings::text_of;
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::time::{TimeKind, Times};
use fm_ot::CouplingKind;
use fm_run::objective_args::FlowConfig;
use fm_run::solvers::ensure_steps;
use std::process::ExitCode;

pub(crate) fn run(args: &ReflowArgs) -> anyhow::Result<ExitCode> {
    ensure_steps("--teacher-steps", args.teacher_steps)?;
    match args.rounds {
        None => one(args),
        Some(count) => rounds::run(args, count, one),
    }
}

/// One round.
fn one(args: &ReflowArgs) -> anyhow::Result<ExitCode> {
    start(&args.train, || student(args).map(Some))
}

/// The teacher's configuration with the settings that pairs determine.
fn student(args: &ReflowArgs) -> anyhow::Result<Config> {
    let device = args.train.options.device.clone().unwrap_or_else(|| "auto".into());
    let teacher = open(&args.teacher, &device)?.config;
    let times = Times { distribution: TimeKind::Warp { s: 0.5 }, ..Times::default() };
    // A score is defined on a bridge only.
    let known = teacher.flow.objective.prediction;
    let prediction = if known.is_velocity() { Prediction::Velocity } else { known };
    let objective =
        Objective { path: PathKind::Linear, prediction, times, loss_aware_bins: 0, ..teacher.flow.objective };
    let flow = FlowConfig { coupling: CouplingKind::Independent, excess_loss: false, objective, ..teacher.flow };
    Ok(Config {
        teacher: text_of(&args.teacher)?,
        teacher_steps: args.teacher_steps,
        fresh: args.fresh,
        // What the teacher started from.
        init: String::new(),
        steps: 1000,
        device,
        flow,
        ..teacher
    })
}
