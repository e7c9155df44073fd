//! `cifar-train convert`: conversion of weights between file formats, also for networks for points.

use crate::args::{ConvertArgs, Which};
use crate::model::open;
use anyhow::{Context, bail, ensure};
use fm_app::weights::{self, Opened};
use fm_core::objective::Objective;
use fm_models::ModelConfig;
use fm_models::interchange::{self, About};
use fm_terminal::{print, println};
use fm_train::checkpoint::TIME_DIRECTION;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use tch::Tensor;

/// Weights and their metadata.
struct Found {
    tensors: BTreeMap<String, Tensor>,
    model: ModelConfig,
    about: About,
    /// A description of the weights.
    name: String,
}

pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let extension = args.output.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if !["safetensors", "pt", "pth"].contains(&extension) {
        bail!("{} names no format; end it in .safetensors or .pt", args.output.display());
    }
    let Found { tensors, model, about, name } =
        if args.input.is_file() { from_file(&args.input, &args.which)? } else { from_run(args)? };
    let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
    let about = About {
        program: or(about.program, concat!("cifar-train ", env!("CARGO_PKG_VERSION"))),
        time_direction: TIME_DIRECTION.into(),
        model: Some(model.clone()),
        ..about
    };
    let bytes = match extension {
        "safetensors" => interchange::safetensors(&tensors, &about)?,
        _ => interchange::torch(&tensors)?,
    };
    fm_train::files::output(&args.output, &bytes)?;
    println!("{name}: {} tensors, {} parameters", tensors.len(), model.parameters()?);
    print!("{}", toml::to_string(&model).context("cannot write the configuration as TOML; please report this")?);
    println!("path = \"{}\", prediction = \"{}\"", about.path, about.prediction);
    println!("wrote {}", args.output.display());
    Ok(ExitCode::SUCCESS)
}

fn from_file(path: &Path, which: &Which) -> anyhow::Result<Found> {
    ensure!(!which.raw_weights, "--raw-weights is for runs; choose a file's weights with --part NAME");
    let device = fm_app::device::select(&which.device)?;
    let Opened { about, config, name, store, .. } = weights::open(path, &which.file, device)?;
    let objective = which.file.objective(about.as_ref())?;
    let about = described(about.unwrap_or_default(), &objective);
    Ok(Found { tensors: interchange::named(&store), model: config, about, name })
}

fn from_run(args: &ConvertArgs) -> anyhow::Result<Found> {
    let loaded = open(&args.input, &args.which, true)?;
    let objective = &loaded.config.flow.objective;
    let about = About {
        step: loaded.step,
        ema_decay: loaded.ema_decay,
        data: serde_json::to_value(&loaded.data)?,
        config: serde_json::to_value(&loaded.config)?,
        ..described(About::default(), objective)
    };
    Ok(Found { tensors: interchange::named(&loaded.store), model: loaded.config.model, about, name: loaded.weights })
}

/// A description with this objective.
fn described(about: About, objective: &Objective) -> About {
    About {
        path: objective.path.to_string(),
        prediction: objective.prediction.to_string(),
        time_clip: objective.times.clip,
        ..about
    }
}
