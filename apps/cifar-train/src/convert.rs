//! `cifar-train convert`: conversion of weights between file formats, also for networks for points.

use crate::args::{ConvertArgs, TimeDirection};
use crate::model::open;
use anyhow::{Context, bail, ensure};
use fm_core::objective::Objective;
use fm_images::loader;
use fm_models::ModelConfig;
use fm_models::interchange::{self, About};
use fm_models::reverse::reverse_time;
use fm_run::weights::{self, Opened};
use fm_terminal::{print, println};
use fm_train::checkpoint::TIME_DIRECTION;
use std::collections::BTreeMap;
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
    ensure!(
        args.output_time_direction == TimeDirection::NoiseToData || extension != "safetensors",
        "a .safetensors file describes weights whose time runs from noise to data; write a .pt with --output-time-direction"
    );
    let Found { mut tensors, model, about, name } =
        if weights::is_weights(&args.input)? { from_file(args)? } else { from_run(args)? };
    // Reversed twice is as it was.
    if args.time_direction.unwrap_or(TimeDirection::NoiseToData) != args.output_time_direction {
        let objective = about.prediction.parse().context("cannot read the prediction; please report this")?;
        tensors = reverse_time(&model, &tensors, objective)?;
    }
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
    if extension != "safetensors"
        && args.output_time_direction == TimeDirection::NoiseToData
        && let Some((path, text)) = loader::script(&args.output, &model, &about)?
    {
        fm_train::files::output(&path, text.as_bytes())?;
        println!(
            "wrote {}: builds the network in PyTorch; its forward takes t from 0 (noise) to 1 (data)",
            path.display()
        );
        println!("      without it, {}", bare(&model));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the weights take without the wrapper of the script.
fn bare(model: &ModelConfig) -> String {
    let (scale, labels) = match model {
        ModelConfig::Unet(unet) => (unet.time.scale, unet.classes),
        ModelConfig::Dit(dit) => (dit.time.scale, dit.classes),
        _ => (1.0, 0),
    };
    let labels = match (labels, model.null_class()) {
        (0, _) => String::new(),
        (classes, None) => format!(", and labels 0 to {}", classes - 1),
        (classes, Some(null)) => format!(", and labels 0 to {} with {null} for none", classes - 1),
    };
    format!("the weights take t times {scale}{labels}")
}

fn from_file(args: &ConvertArgs) -> anyhow::Result<Found> {
    let which = args.which.given("time_direction", args.time_direction.is_some());
    which.weights.refuse()?;
    let device = fm_run::device::select(&which.device)?;
    let Opened { about, config, name, store, .. } = weights::open(&args.input, &which.file, device)?;
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
