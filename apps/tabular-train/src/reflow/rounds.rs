//! `tabular-train reflow --rounds N`: students of students, and the quality of each in few steps.

use crate::args::{ModelFileArgs, ReflowArgs, TrainArgs};
use crate::model::load;
use crate::resolve::MAY_CHANGE;
use anyhow::ensure;
use fm_cli::options;
use fm_cli::settings;
use fm_run::process_group::Group;
use fm_run::rounds::{Round, Rounds};
use fm_tables::few_steps::{Measured, SAMPLES, measure, table};
use fm_tables::training_data::Material;
use fm_terminal::println;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs the rounds, each by `one`.
pub(super) fn run(
    args: &ReflowArgs,
    count: usize,
    one: impl Fn(&ReflowArgs) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    Group::refuse("reflow in rounds")?;
    ensure!(!args.train.resume, "rounds continue by repeating their command; drop --resume");
    let out = &args.train.out;
    let settings = settings(args)?;
    let rounds = Rounds { teacher: &args.teacher, count, out, settings };
    let models = match rounds.run(|round| one(&arguments(args, round)))? {
        Ok(models) => models,
        Err(code) => return Ok(code),
    };
    let device = args.train.options.device.as_deref().unwrap_or("auto");
    let found = models.iter().map(|model| measured(model, device)).collect::<anyhow::Result<Vec<_>>>()?;
    println!("{}", table(&found));
    // The list is named as in earlier versions, which had Euler's method only.
    let each = |(round, (model, found)): (usize, (&PathBuf, &Measured))| json!({ "round": round, "model": model, "solver": found.solver, "euler": found.quality });
    let all: Vec<_> = models.iter().zip(&found).enumerate().map(each).collect();
    let path = out.join("steps.json");
    fm_train::files::write(&path, format!("{:#}\n", json!(all)).as_bytes())?;
    println!("wrote {}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// What the results of the rounds depend on.
fn settings(args: &ReflowArgs) -> anyhow::Result<Value> {
    let TrainArgs { preset, config, epochs, options, aliases, .. } = &args.train;
    let mut flags = options::table(options)?;
    MAY_CHANGE.iter().filter(|key| **key != "steps").for_each(|key| drop(flags.remove(*key)));
    flags.extend(options::table(aliases)?);
    let file = config.as_deref().map(settings::read).transpose()?;
    Ok(json!({
        "teacher_steps": args.teacher_steps, "fresh": args.fresh, "preset": preset, "epochs": epochs,
        "file": file, "flags": flags,
    }))
}

/// The flags of one round.
fn arguments(args: &ReflowArgs, round: &Round) -> ReflowArgs {
    let mut args = ReflowArgs { teacher: round.teacher.clone(), rounds: None, ..args.clone() };
    args.train.out = round.out.clone();
    if round.resume {
        // The run knows all of its settings.
        args.train.resume = true;
        args.train.config = None;
    }
    args
}

/// The quality of a model, against real rows that were not trained on.
fn measured(model: &Path, device: &str) -> anyhow::Result<Measured> {
    let loaded = load(model, &ModelFileArgs::default(), device)?;
    let wanted = loaded.config.data_options();
    let (real, _) = Material::open(&wanted)?.fresh(&wanted, SAMPLES)?;
    measure(&loaded.drawer(), real.values.view())
}
