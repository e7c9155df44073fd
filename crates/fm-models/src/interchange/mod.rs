//! Import and export of weights.
//!
//! [`read`] takes `.safetensors` and PyTorch's `.pt`/`.pth` files, selects one set of weights from
//! a file with several, and strips the prefixes that wrappers add. It reads a pickle as data: it
//! executes nothing, and bounds its memory by the size of the file. [`recognise`] infers network
//! and configuration from names and shapes. [`load`] copies the weights into a network, or lists
//! the name of every tensor that does not fit. [`safetensors`] and [`torch`] write files that
//! torchcfm's and DiT's `load_state_dict(strict=True)` accept.
//!
//! ```
//! use fm_models::{ModelConfig, interchange, mlp::MlpConfig};
//! use tch::{Device, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! let config = ModelConfig::Mlp(MlpConfig::default());
//! config.build(&store.root())?;
//! let about = interchange::About { model: Some(config.clone()), ..Default::default() };
//! let bytes = interchange::safetensors(&interchange::named(&store), &about)?;
//! let path = std::env::temp_dir().join(format!("fm-models-{}.safetensors", std::process::id()));
//! std::fs::write(&path, bytes)?;
//! let read = interchange::read(&path, None)?;
//! assert_eq!(interchange::recognise(&read)?.config, config);
//! let again = VarStore::new(Device::Cpu);
//! config.build(&again.root())?;
//! interchange::load(&again, config.kind(), &read.tensors)?;
//! assert!(again.variables()["net.0.weight"].equal(&store.variables()["net.0.weight"]));
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod names;
mod pickle;
mod recognise;
mod safetensors;
mod torch;
mod weights;
mod write;

pub use error::InterchangeError;
pub use recognise::{Recognised, check_size, recognise};
pub use weights::Weights;
pub use write::{About, named, safetensors, torch};

use std::collections::BTreeMap;
use std::path::Path;
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

/// Reads a file's weights. `part` selects one of several sets in it (`ema_model`, `net_model`); by
/// default averaged weights are preferred.
///
/// # Errors
/// [`InterchangeError::Io`]; [`InterchangeError::File`] for a file that is damaged or not a file of
/// weights; [`InterchangeError::Unknown`] for a part that the file does not have.
pub fn read(path: &Path, part: Option<&str>) -> Result<Weights, InterchangeError> {
    let kind = std::fs::metadata(path).map_err(InterchangeError::io(path))?;
    if !kind.is_file() {
        return Err(InterchangeError::file(path, "it is a directory; name a .safetensors, .pt or .pth file in it"));
    }
    parse(&std::fs::read(path).map_err(InterchangeError::io(path))?, path, part)
}

/// Reads weights from the bytes of a file; `path` is its name in errors.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], path: &Path, part: Option<&str>) -> Result<Weights, InterchangeError> {
    let damaged = |problem| InterchangeError::file(path, problem);
    if bytes.starts_with(b"PK\x03\x04") {
        let mut file = torch::TorchFile::open(bytes).map_err(damaged)?;
        let shapes = file.places.iter().map(|(name, place)| (name.clone(), place.shape.clone())).collect();
        let chosen = names::choose(&shapes, part)?;
        let tensors = chosen.tensors(|name| file.tensor(name)).map_err(damaged)?;
        return Ok(Weights { tensors, part: chosen.part, about: None, modules: file.modules });
    }
    if bytes.len() < 8 || bytes.starts_with(b"\x80") {
        let problem = if bytes.is_empty() { "it is empty" } else { "it is neither safetensors nor a zip of PyTorch" };
        let remedy = "save it with safetensors, or with torch.save of PyTorch 1.6 or later";
        return Err(InterchangeError::file(path, format!("{problem}; {remedy}")));
    }
    let file = safetensors::parse(bytes).map_err(damaged)?;
    let chosen = names::choose(&file.shapes(), part)?;
    let tensors = chosen.tensors(|name| file.tensor(name)).map_err(damaged)?;
    let foreign = |e| {
        damaged(format!("its description of itself does not read ({e}); convert it with the program that wrote it"))
    };
    let about = file.about.map(serde_json::from_value).transpose().map_err(foreign)?;
    Ok(Weights { tensors, part: chosen.part, about, modules: Vec::new() })
}

/// Copies weights into a network, in the network's precision. Values that are fixed by the
/// configuration (positions) may be absent.
///
/// # Errors
/// [`InterchangeError::Mismatch`] lists every tensor that is missing, surplus, mis-shaped or not of
/// a float type; the network is then unchanged.
pub fn load(store: &VarStore, model: &'static str, tensors: &BTreeMap<String, Tensor>) -> Result<(), InterchangeError> {
    let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let mut problems = Vec::new();
    for (name, variable) in &variables {
        let float = |t: &Tensor| matches!(t.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
        match tensors.get(name) {
            Some(t) if t.size() != variable.size() => {
                problems.push(format!("{name} is {:?}, not {:?}", t.size(), variable.size()));
            }
            Some(t) if !float(t) => problems.push(format!("{name} is of {:?}, not of floats", t.kind())),
            None if name != "pos_embed" => problems.push(format!("{name} is missing")),
            _ => {}
        }
    }
    problems.extend(tensors.keys().filter(|name| !variables.contains_key(*name)).map(|n| format!("{n} is surplus")));
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(50);
        problems.truncate(50);
        let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
        return Err(InterchangeError::Mismatch { model, problems: problems.join(", ") + &rest });
    }
    no_grad(|| {
        for (name, mut variable) in variables {
            if let Some(t) = tensors.get(&name) {
                variable.copy_(t);
            }
        }
    });
    Ok(())
}
