//! `tabular-train convert`: export of networks for points and tables, and import of other
//! programs'.

use crate::args::ConvertArgs;
use crate::model::load;
use crate::saved::Saved;
use anyhow::{Context, ensure};
use fm_models::interchange::{self, About};
use fm_tables::loader;
use fm_tables::source_rows::source_rows;
use fm_terminal::println;
use fm_train::checkpoint::{DataMeta, TIME_DIRECTION};
use std::process::ExitCode;

pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let extension = args.output.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ensure!(
        ["safetensors", "pt", "pth"].contains(&extension),
        "{} names no format; end it in .safetensors or .pt",
        args.output.display()
    );
    let loaded = load(&args.input, &args.file, "cpu")?;
    let mut tensors = interchange::named(&loaded.store);
    tensors.extend(source_rows(&loaded.source));
    let model = loaded.network.clone();
    let objective = &loaded.config.flow.objective;
    let (path, prediction) = (objective.path.to_string(), objective.prediction.to_string());
    let data = DataMeta {
        shape: model.data_shape(),
        normalisation: loaded.columns.describe(),
        classes: loaded.columns.classes.iter().map(|(name, _)| name.clone()).collect(),
        ..DataMeta::default()
    };
    // An assumed source stays open in the new file.
    let known = loaded.described || args.file.source.is_some();
    let program = if known { concat!("tabular-train ", env!("CARGO_PKG_VERSION")) } else { "another program" };
    let saved = Saved { run: loaded.config, columns: loaded.columns };
    let json = "cannot describe the network; please report this";
    let about = About {
        program: program.into(),
        model: Some(model.clone()),
        path,
        prediction,
        time_clip: saved.run.flow.objective.times.clip,
        time_direction: TIME_DIRECTION.into(),
        step: loaded.step,
        ema_decay: loaded.ema_decay,
        data: serde_json::to_value(data).context(json)?,
        config: if known { serde_json::to_value(&saved).context(json)? } else { serde_json::Value::Null },
    };
    let bytes = match extension {
        "safetensors" => interchange::safetensors(&tensors, &about)?,
        _ => interchange::torch_described(&tensors, &about)?,
    };
    let script = if extension == "safetensors" { None } else { loader::script(&args.output, &model, saved.trained())? };
    fm_train::files::output(&args.output, &bytes)?;
    println!("{}: {} tensors, {} parameters", loaded.weights, tensors.len(), model.parameters()?);
    loader::summary(&model, saved.trained()).iter().for_each(|line| println!("{line}"));
    println!("wrote {}, with this description in it", args.output.display());
    if let Some((path, text)) = script {
        fm_train::files::output(&path, text.as_bytes())?;
        println!("wrote {}: builds the network in PyTorch, and converts rows to its units and back", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
