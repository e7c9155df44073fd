//! `tabular-train reflow --rounds N`: students of students, and the quality of each in few steps.

use crate::args::{ModelFileArgs, ReflowArgs, TrainArgs};
use crate::draw::{Classes, Drawer};
use crate::model::load;
use crate::resolve::MAY_CHANGE;
use crate::training_data::Material;
use anyhow::ensure;
use fm_cli::options;
use fm_cli::settings;
use fm_metrics::energy::energy_distance;
use fm_metrics::sliced::sliced_wasserstein;
use fm_run::process_group::Group;
use fm_run::rounds::{Round, Rounds};
use fm_run::solvers::of_few_steps;
use fm_solvers::sampler::{Sampler, SolverName};
use fm_terminal::println;
use ndarray::{Array2, s};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Numbers of steps at which the rounds are compared.
const STEPS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Samples and real rows of the sliced Wasserstein distance, and of the energy distance.
const SAMPLES: usize = 10_000;
const FEWER: usize = 2000;
/// Directions of the sliced Wasserstein distance.
const DIRECTIONS: usize = 200;

/// The quality of one model at a number of steps.
#[derive(Debug, Clone, Serialize)]
struct Quality {
    steps: usize,
    sliced_wasserstein_2: f64,
    energy_distance: f64,
}

/// The quality of one model.
struct Measured {
    solver: SolverName,
    quality: Vec<Quality>,
}

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
    let found = models.iter().map(|model| measure(model, device)).collect::<anyhow::Result<Vec<_>>>()?;
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

/// Samples in few steps, of Euler's method or of a flow map, against real rows that were not
/// trained on, in the units of the network.
fn measure(model: &Path, device: &str) -> anyhow::Result<Measured> {
    let loaded = load(model, &ModelFileArgs::default(), device)?;
    let (real, _) = Material::open(&loaded.config)?.fresh(&loaded.config, SAMPLES)?;
    let seen = |values: &Array2<f64>| loaded.columns.apply(values.view());
    let real = seen(&real.values)?;
    let (drawer, solver) = (Drawer::of(&loaded), of_few_steps(loaded.model.as_ref()));
    let at = |steps: usize| {
        let classes = loaded.columns.asked(None, SAMPLES)?;
        let drawn = drawer.draw(&Sampler::fixed(solver, steps), SAMPLES, 0, classes, false)?;
        let samples = seen(&Array2::from_shape_vec((SAMPLES, loaded.dim()), drawn.values)?)?;
        let few = |rows: &Array2<f32>| rows.slice(s![..rows.nrows().min(FEWER), ..]).to_owned();
        Ok(Quality {
            steps,
            sliced_wasserstein_2: sliced_wasserstein(samples.view(), real.view(), 2, DIRECTIONS, 0)?,
            energy_distance: energy_distance(few(&samples).view(), few(&real).view())?,
        })
    };
    let quality = STEPS.into_iter().map(at).collect::<anyhow::Result<_>>()?;
    Ok(Measured { solver, quality })
}

fn table(found: &[Measured]) -> String {
    let mut text = String::from("round ");
    for steps in STEPS {
        let _ = write!(text, "{:>16}", format!("NFE {steps}"));
    }
    for (round, Measured { quality, .. }) in found.iter().enumerate() {
        let _ = write!(text, "\n{round:<6}");
        for quality in quality {
            let both = format!("{:.4} {:.4}", quality.sliced_wasserstein_2, quality.energy_distance);
            let _ = write!(text, "{both:>16}");
        }
    }
    let mut solvers: Vec<String> = found.iter().map(|found| found.solver.to_string()).collect();
    solvers.dedup();
    text + &format!(
        "\nsliced Wasserstein-2 distance of {SAMPLES} samples by {}, and energy distance of {FEWER}; round 0 is the teacher",
        solvers.join(", ")
    )
}
