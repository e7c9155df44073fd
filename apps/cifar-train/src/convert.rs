//! `cifar-train convert`: weights from anywhere, for everyone.

use crate::args::ConvertArgs;
use crate::model::open;
use anyhow::{Context, bail};
use fm_models::interchange::{self, About};
use std::process::ExitCode;

pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let extension = args.output.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if !["safetensors", "pt", "pth"].contains(&extension) {
        bail!("{} names no format: end it in .safetensors or .pt", args.output.display());
    }
    let mut loaded = open(&args.input, &args.which, true)?;
    let objective = &mut loaded.config.flow.objective;
    fm_app::flow::set(&mut objective.path, &args.path);
    fm_app::flow::set(&mut objective.prediction, &args.prediction);
    let tensors = interchange::named(&loaded.store);
    let about = About {
        program: format!("cifar-train {}", env!("CARGO_PKG_VERSION")),
        model: Some(loaded.config.model.clone()),
        path: objective.path.to_string(),
        prediction: objective.prediction.to_string(),
        time_direction: fm_train::checkpoint::TIME_DIRECTION.into(),
        step: loaded.step,
        ema_decay: loaded.ema_decay,
        data: serde_json::to_value(&loaded.data)?,
        config: serde_json::to_value(&loaded.config)?,
    };
    let bytes = match extension {
        "safetensors" => interchange::safetensors(&tensors, &about)?,
        _ => interchange::torch(&tensors)?,
    };
    fm_train::files::write(&args.output, &bytes)?;
    let model = toml::to_string(&loaded.config.model).context("cannot write the configuration as TOML")?;
    println!("{}: {} tensors, {} parameters", loaded.weights, tensors.len(), loaded.config.model.parameters()?);
    print!("{model}");
    println!("path = \"{}\", prediction = \"{}\"", about.path, about.prediction);
    println!("wrote {}", args.output.display());
    Ok(ExitCode::SUCCESS)
}
