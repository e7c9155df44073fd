//! The command `inspect` of both programs: the content of a checkpoint or of a file of weights.

use crate::weights;
use anyhow::{Context, ensure};
use fm_models::interchange;
use fm_terminal::{eprintln, println};
use fm_train::checkpoint::{Weights, read_weights};
use fm_train::run_dir::latest_checkpoint;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use tch::Device;
use tch::nn::VarStore;

/// Arguments of the command.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct InspectArgs {
    /// Checkpoint, run directory, or file of weights (.safetensors, .pt, .pth).
    pub path: PathBuf,
    /// Show this set of weights of a file with several, for example net_model (default: the EMA, if
    /// there is one).
    #[arg(long, value_name = "NAME")]
    pub part: Option<String>,
    /// List all tensors with their shapes.
    #[arg(long)]
    pub tensors: bool,
}

/// A line of the report: its name, and its text.
pub type Line = (&'static str, String);

/// Prints the report. `details` makes a program's own lines from the shape of a row and the
/// configuration of the run, which is null if the file has none.
///
/// # Errors
/// A checkpoint or file that is damaged or does not fit its network.
pub fn run(args: &InspectArgs, details: impl Fn(&[i64], &Value) -> Vec<Line>) -> anyhow::Result<ExitCode> {
    let details = |shape: &[i64], config: &Value| {
        details(shape, config).iter().for_each(|(name, text)| println!("  {name:<16} {text}"));
    };
    if weights::is_weights(&args.path)? {
        return file(args, details);
    }
    ensure!(args.part.is_none(), "--part is for files of weights, and this is a run; drop --part");
    let (path, meta, damaged) = latest_checkpoint(&args.path)?;
    damaged.iter().for_each(|problem| eprintln!("warning: {problem}; using an older checkpoint"));
    let weights = read_weights(&path, Weights::Ema)?;
    println!("{}", path.display());
    println!("  written by       {} (format {})", meta.program, meta.format);
    println!("  step             {}", meta.step);
    println!("  parameters       {} in {} tensors", meta.parameters, weights.len());
    println!("  predicts         {} on the {} path, {}", meta.prediction, meta.path, meta.time_direction);
    println!("  data             {:?}, {}", meta.data.shape, meta.data.normalisation);
    details(&meta.data.shape, &meta.config);
    match meta.data.classes.as_slice() {
        [] => println!("  classes          none"),
        classes => println!("  classes          {}: {}", classes.len(), classes.join(", ")),
    }
    let decays = meta.ema.decays.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    println!("  EMA              decay {decays} after {} updates", meta.ema_updates);
    println!("  trained with     {} threads", meta.threads);
    for (name, file) in &meta.files {
        println!("  {name:<24} {:>12} bytes, sha256 {} (verified)", file.bytes, file.sha256);
    }
    println!("  configuration    {}", meta.config);
    if args.tensors {
        weights.iter().for_each(|(name, tensor)| println!("  {name:<56} {:?}", tensor.size()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a file of weights: its tensors, its metadata and the assumed settings.
fn file(args: &InspectArgs, details: impl Fn(&[i64], &Value)) -> anyhow::Result<ExitCode> {
    let weights = weights::read(&args.path, args.part.as_deref())?;
    let found = interchange::recognise(&weights)?;
    // Names can look right where a shape is not. Positions follow from the image size, which is
    // assumed.
    let mut tensors: BTreeMap<_, _> = weights.tensors.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
    tensors.remove("pos_embed");
    let shape = found.config.data_shape();
    if shape.len() == 1 {
        // The parameters or rows of a source, beside a network for points.
        tensors.retain(|name, _| !name.starts_with("source."));
    }
    interchange::check_size(&weights, &found.config)?;
    let store = VarStore::new(Device::Cpu);
    found.config.build(&store.root())?;
    interchange::load(&store, found.config.kind(), &tensors).with_context(|| {
        format!("{} does not fit the network that its names and shapes suggest", args.path.display())
    })?;
    println!("{}", args.path.display());
    if !weights.part.is_empty() {
        println!("  part             {}", weights.part);
    }
    println!("  parameters       {} in {} tensors", found.config.parameters()?, weights.tensors.len());
    if let Some(about) = &weights.about {
        println!("  written by       {}, step {}", about.program, about.step);
        println!("  predicts         {} on the {} path, {}", about.prediction, about.path, about.time_direction);
        println!("  data             {}", about.data);
    }
    details(&shape, weights.about.as_ref().map_or(&Value::Null, |about| &about.config));
    println!("  network          {}", serde_json::to_string(&found.config)?);
    if !found.assumed.is_empty() {
        found.assumed.iter().for_each(|assumption| println!("  assumed          {assumption}: {}", assumption.why));
    }
    if args.tensors {
        weights.tensors.iter().for_each(|(name, t)| println!("  {name:<56} {:?} {:?}", t.size(), t.kind()));
    }
    Ok(ExitCode::SUCCESS)
}
