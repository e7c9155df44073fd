//! `cifar-train convert`: conversion of weights between file formats, also for networks for points.

use crate::args::{ConvertArgs, Which};
use crate::model::open;
use anyhow::{Context, bail, ensure};
use fm_app::weights::{self, Opened};
use fm_models::ModelConfig;
use fm_models::interchange::{self, About};
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
        bail!("{} names no format: end it in .safetensors or .pt", args.output.display());
    }
    let Found { tensors, model, mut about, name } =
        if args.input.is_file() { from_file(&args.input, &args.which)? } else { from_run(args)? };
    for (slot, given, what) in [
        (&mut about.path, args.path.map(|p| p.to_string()), "--path"),
        (&mut about.prediction, args.prediction.map(|p| p.to_string()), "--prediction"),
    ] {
        if let Some(given) = given {
            ensure!(slot.is_empty() || *slot == given, "the weights' own description says {slot}; drop {what} {given}");
            *slot = given;
        }
    }
    let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
    let about = About {
        program: or(about.program, concat!("cifar-train ", env!("CARGO_PKG_VERSION"))),
        path: or(about.path, "linear"),
        prediction: or(about.prediction, "velocity"),
        time_direction: TIME_DIRECTION.into(),
        model: Some(model.clone()),
        ..about
    };
    let bytes = match extension {
        "safetensors" => interchange::safetensors(&tensors, &about)?,
        _ => interchange::torch(&tensors)?,
    };
    fm_train::files::write(&args.output, &bytes)?;
    println!("{name}: {} tensors, {} parameters", tensors.len(), model.parameters()?);
    print!("{}", toml::to_string(&model).context("cannot write the configuration as TOML")?);
    println!("path = \"{}\", prediction = \"{}\"", about.path, about.prediction);
    println!("wrote {}", args.output.display());
    Ok(ExitCode::SUCCESS)
}

fn from_file(path: &Path, which: &Which) -> anyhow::Result<Found> {
    ensure!(!which.raw_weights, "--raw-weights is for runs; choose a file's weights with --part NAME");
    let device = fm_app::device::select(&which.device)?;
    let Opened { about, config, name, store, .. } = weights::open(path, &which.file, device)?;
    Ok(Found { tensors: interchange::named(&store), model: config, about: about.unwrap_or_default(), name })
}

fn from_run(args: &ConvertArgs) -> anyhow::Result<Found> {
    let loaded = open(&args.input, &args.which, true)?;
    let objective = &loaded.config.flow.objective;
    let about = About {
        path: objective.path.to_string(),
        prediction: objective.prediction.to_string(),
        step: loaded.step,
        ema_decay: loaded.ema_decay,
        data: serde_json::to_value(&loaded.data)?,
        config: serde_json::to_value(&loaded.config)?,
        ..About::default()
    };
    Ok(Found { tensors: interchange::named(&loaded.store), model: loaded.config.model, about, name: loaded.weights })
}
