//! `cifar-train reflow`: rounds of pairs and training, and the quality of each in few steps.

use super::{compare, pairs};
use crate::args::{CheckpointArgs, CompareArgs, PairsArgs, ReflowArgs, SolverArgs, TrainArgs, Which};
use crate::resolve::MAY_CHANGE;
use crate::train;
use anyhow::{Context, ensure};
use fm_cli::options;
use fm_cli::settings::{self, text_of};
use fm_run::guidance::GuidanceArgs;
use fm_run::rounds::{Round, Rounds};
use fm_run::solvers::{SolveArgs, ensure_steps};
use fm_solvers::sampler::SolverName;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Numbers of Euler steps at which the rounds are compared.
const STEPS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// The most trajectories over which straightness is averaged.
const TRAJECTORIES: usize = 256;

/// Options that the pairs, the teacher or the repetition of the command determine.
const FIXED: [&str; 14] = [
    "resume",
    "dry_run",
    "pairs",
    "data",
    "image_size",
    "horizontal_flip",
    "init",
    "latent",
    "conditional",
    "label_drop",
    "path",
    "source",
    "coupling",
    "preset",
];

/// The command without its fixed options in the short help.
pub(crate) fn without_fixed(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| if FIXED.contains(&arg.get_id().as_str()) { arg.hide(true) } else { arg })
}

pub(crate) fn run(args: &ReflowArgs) -> anyhow::Result<ExitCode> {
    fm_run::process_group::Group::refuse("reflow in rounds")?;
    let teacher = args.teacher.as_deref().context("reflow needs a model that makes the pairs; give --teacher RUN")?;
    let out = args.train.out.as_deref().context("reflow needs a directory for its rounds; give --out DIR")?;
    ensure_steps("--teacher-steps", args.teacher_steps)?;
    ensure!(!args.train.resume, "rounds continue by repeating their command; drop --resume");
    ensure!(args.train.options.pairs.is_none(), "each round makes its own pairs; drop --pairs");
    let rounds = Rounds { teacher, count: args.rounds, out, settings: settings(args)? };
    let models = match rounds.run(|round| one(args, round))? {
        Ok(models) => models,
        Err(code) => return Ok(code),
    };
    compare::run(&CompareArgs {
        models,
        which: which(args),
        nfe: STEPS.into(),
        num_samples: args.num_samples,
        trajectories: TRAJECTORIES.min(args.num_samples),
        seed: 0,
        json: Some(out.join("steps.json")),
        picture: Some(out.join("steps.png")),
    })
}

/// What the results of the rounds depend on.
fn settings(args: &ReflowArgs) -> anyhow::Result<Value> {
    let mut flags = options::table(&args.train.options)?;
    MAY_CHANGE.iter().filter(|key| **key != "steps").for_each(|key| drop(flags.remove(*key)));
    flags.extend(options::table(&args.train.aliases)?);
    let TrainArgs { preset, config, epochs, dit, .. } = &args.train;
    let file = config.as_deref().map(settings::read).transpose()?;
    let ReflowArgs { teacher_steps, num_pairs, cfg_scale, fresh, .. } = args;
    Ok(json!({
        "teacher_steps": teacher_steps, "num_pairs": num_pairs, "cfg_scale": cfg_scale, "fresh": fresh,
        "preset": preset, "file": file, "epochs": epochs, "dit": dit, "flags": flags,
    }))
}

fn which(args: &ReflowArgs) -> Which {
    let device = args.train.options.device.clone().unwrap_or_else(|| "auto".into());
    Which { device, ..Which::default() }
}

/// The pairs and the training of one round.
fn one(args: &ReflowArgs, round: &Round) -> anyhow::Result<ExitCode> {
    let mut train = args.train.clone();
    train.out = Some(round.out.clone());
    if round.resume {
        // The run knows all of its settings.
        let device = train.options.device.clone();
        train = TrainArgs { out: train.out, resume: true, group: train.group, ..TrainArgs::default() };
        train.options.device = device;
        return train::trained(&train, None).map(|(code, _)| code);
    }
    // The pairs have the guidance of the teacher already.
    let cfg_scale = if round.number == 1 { args.cfg_scale } else { Some(1.0) };
    let made = pairs::run(&PairsArgs {
        from: CheckpointArgs { checkpoint: round.teacher.clone(), which: which(args) },
        solver: SolverArgs {
            cfg_scale,
            guidance: GuidanceArgs::default(),
            solve: SolveArgs::fixed(SolverName::Rk4, args.teacher_steps),
            seed: round.number as u64,
            batch_size: 250,
            group: args.train.group,
        },
        num_pairs: args.num_pairs,
        shard_size: 2000,
        out: round.pairs.clone(),
    })?;
    if made != ExitCode::SUCCESS {
        return Ok(made);
    }
    train.options.pairs = Some(text_of(&round.pairs)?);
    if args.fresh {
        train.options.init = Some("fresh".into());
    }
    // Its quality in few steps is measured with that of the other rounds.
    train::trained(&train, None).map(|(code, _)| code)
}
