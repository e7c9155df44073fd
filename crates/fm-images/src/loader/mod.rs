//! The script beside an exported `.pt`: it builds the network in PyTorch, so that its forward takes
//! t in [0, 1] and the labels of the run.
//!
//! ```
//! use fm_images::loader::script;
//! use fm_models::{ModelConfig, interchange::About, unet::UNetConfig};
//! let unet = ModelConfig::Unet(UNetConfig::default());
//! let (path, text) = script("net.pt".as_ref(), &unet, &About::default())?.unwrap_or_default();
//! assert!(path.ends_with("net.py") && text.contains("net.pt"));
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::Context;
use fm_models::ModelConfig;
use fm_models::interchange::About;
use fm_train::checkpoint::DataMeta;
use std::path::{Path, PathBuf};

const UNET: &str = include_str!("unet.py");
const DIT: &str = include_str!("dit.py");

/// The script and its path, for a network of images.
///
/// # Errors
/// A name that does not fit into a script.
pub fn script(weights: &Path, model: &ModelConfig, about: &About) -> anyhow::Result<Option<(PathBuf, String)>> {
    let template = match model {
        ModelConfig::Unet(_) => UNET,
        ModelConfig::Dit(_) => DIT,
        _ => return Ok(None),
    };
    let path = weights.with_extension("py");
    let name = |path: &Path, part: Option<&std::ffi::OsStr>| {
        let name = part.and_then(|name| name.to_str()).filter(|name| !name.contains(['"', '\\', '\n']));
        name.map(str::to_owned)
            .with_context(|| format!("the name of {} does not fit into a script; give another name", path.display()))
    };
    let (file, module) = (name(weights, weights.file_name())?, name(weights, weights.file_stem())?);
    let config = serde_json::to_string(model).context("cannot write the configuration as JSON; please report this")?;
    let text = template
        .replace("WEIGHTS", &file)
        .replace("MODULE", &module)
        .replace("SUMMARY", &summary(model, about))
        .replace("CONFIG_JSON", &config);
    Ok(Some((path, text)))
}

/// What the network predicts, its labels and its data.
fn summary(model: &ModelConfig, about: &About) -> String {
    let data: Option<DataMeta> = serde_json::from_value(about.data.clone()).ok();
    let labels = match (model.classes(), model.null_class()) {
        (0, _) => "It has no labels.".to_owned(),
        (classes, None) => format!("Labels are 0 to {}; there is no null label.", classes - 1),
        (classes, Some(null)) => format!("Labels are 0 to {}, and {null} is the null label.", classes - 1),
    };
    let plain = |text: String| text.replace(['"', '\\', '\n'], "'");
    let names = data.as_ref().map_or(&[][..], |data| &data.classes);
    let names = if names.is_empty() { String::new() } else { plain(format!(" Their names: {}.", names.join(", "))) };
    let values = data.map_or(String::new(), |data| plain(format!(" Values: {}.", data.normalisation)));
    let scored =
        if model.has_score() { " The second half of its channels is the score times sigma^2 / 2." } else { "" };
    format!("It predicts the {} of the {} path.{scored} {labels}{names}{values}", about.prediction, about.path)
}
