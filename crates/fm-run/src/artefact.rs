//! The final artefact of a run: its sampled weights and their description, at the root of its
//! directory.
//!
//! | file | content |
//! |---|---|
//! | `model.safetensors` | the first moving average of the weights, and in its metadata what `config.json` has |
//! | `config.json` | the network, the objective, the data and the run's configuration |
//!
//! Both programs load `model.safetensors` as a `--checkpoint`.

use anyhow::Context;
use fm_models::ModelConfig;
use fm_models::interchange::{self, About};
use fm_train::checkpoint::{Meta, RunInfo, Weights, read_weights};
use fm_train::files;
use fm_train::run_dir::{RunDir, latest_checkpoint};
use std::path::Path;
use tch::Tensor;

/// The file of weights.
pub const WEIGHTS: &str = "model.safetensors";
/// The description.
pub const CONFIG: &str = "config.json";

/// Writes the artefact of a run from its newest checkpoint, with further tensors by name. Returns
/// whether it did: a run of something else than a velocity network has none.
///
/// # Errors
/// A checkpoint that cannot be read, and files that cannot be written.
pub fn write(run: &RunDir, root: &Path, info: &RunInfo, further: &[(String, Tensor)]) -> anyhow::Result<bool> {
    let Ok(model) = serde_json::from_value::<ModelConfig>(info.model.clone()) else { return Ok(false) };
    let (path, meta, _) = latest_checkpoint(root)?;
    let mut tensors = read_weights(&path, Weights::Ema)?;
    tensors.extend(further.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())));
    let about = about(meta, model, info)?;
    let description =
        serde_json::to_string_pretty(&about).context("cannot describe the network; please report this")?;
    files::write(&run.join(WEIGHTS), &interchange::safetensors(&tensors, &about)?)?;
    files::write(&run.join(CONFIG), format!("{description}\n").as_bytes())?;
    Ok(true)
}

fn about(meta: Meta, model: ModelConfig, info: &RunInfo) -> anyhow::Result<About> {
    Ok(About {
        program: meta.program,
        model: Some(model),
        path: meta.path,
        prediction: meta.prediction,
        time_direction: meta.time_direction,
        step: meta.step,
        ema_decay: meta.ema.decays.first().copied(),
        data: serde_json::to_value(&info.data).context("cannot describe the data; please report this")?,
        config: info.config.clone(),
        ..About::default()
    })
}
