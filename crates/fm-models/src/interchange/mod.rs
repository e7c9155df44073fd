//! Import and export of weights.
//!
//! [`read`] takes `.safetensors`, in one file or in shards, and PyTorch's `.pt`/`.pth` files of
//! every version since 0.2, selects one set of weights from a file with several, and strips the
//! prefixes that wrappers add. It reads a pickle as data: it executes nothing, and bounds its
//! memory and work by the size of the file. Any other file is named for what it is. [`recognise`]
//! infers network and configuration from names and shapes, and lists what they leave open. [`load`]
//! copies the weights into a network, or lists the first names of tensors that do not fit.
//! [`safetensors`] and [`torch`] write files that torchcfm's and DiT's
//! `load_state_dict(strict=True)` accept.
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

mod assume;
mod averages;
mod choose;
mod collect;
mod contents;
mod describe;
mod error;
mod file;
mod format;
mod legacy;
mod names;
mod pickle;
mod recognise;
mod safetensors;
mod sets;
mod shapes;
mod storage;
mod torch;
mod weights;
mod write;

pub use assume::{Assumption, Concerns};
pub use describe::check_size;
pub use error::InterchangeError;
pub use file::holds_weights;
pub use recognise::{Recognised, recognise};
pub use weights::Weights;
pub use write::{About, named, safetensors, torch, torch_described};

use crate::interval;
use contents::{Contents, Entry};
use error::{clip, list};
use fm_core::budget::Budget;
use std::collections::BTreeMap;
use std::path::Path;
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

/// Reads a file's weights. `path` can also be the index or a shard of weights in several files, or
/// a folder with the weights of one network. `part` selects one of several sets in the file
/// (`ema_model`, `net_model`); by default averaged weights are preferred.
///
/// # Errors
/// [`InterchangeError::Io`]; [`InterchangeError::File`] for a file that is damaged, holds values
/// that are not finite, or is not a file of weights; [`InterchangeError::Unknown`] for tensors of
/// no known network and for a part that the file does not have; [`InterchangeError::Part`] where
/// several parts fit equally.
pub fn read(path: &Path, part: Option<&str>) -> Result<Weights, InterchangeError> {
    let shards = file::load(path)?;
    let (contents, budget) = shards.open()?;
    select(contents, budget, path, part).map_err(|error| match (error, &shards.class) {
        (InterchangeError::Unknown { problem }, Some(class)) => {
            InterchangeError::Unknown { problem: format!("config.json names a {class} of diffusers; {problem}") }
        }
        (error, _) => error,
    })
}

/// Reads weights from the bytes of a file; `path` is its name in errors, and is not opened.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], path: &Path, part: Option<&str>) -> Result<Weights, InterchangeError> {
    let mut budget = file::of_weights(bytes.len(), path)?;
    let contents = file::parse(bytes, path, &mut budget).map_err(|problem| InterchangeError::file(path, problem))?;
    select(contents, budget, path, part)
}

/// Makes the tensors of one set of weights.
fn select(
    contents: Contents<'_>,
    mut budget: Budget,
    path: &Path,
    part: Option<&str>,
) -> Result<Weights, InterchangeError> {
    let damaged = |problem| InterchangeError::file(path, problem);
    let chosen = choose::choose(&contents, part)?;
    let Contents { leaves, mut storages, modules, about } = contents;
    let held = || leaves.iter().find_map(|leaf| names::averaged_by_optimizer(&leaf.name));
    let unread = if chosen.averaged || part.is_some() { None } else { held().map(|name| clip(name, 60)) };
    let mut tensors = BTreeMap::new();
    for (name, leaf) in chosen.entries(&leaves).map_err(damaged)? {
        let Entry::Tensor(view) = &leaf.value else { continue };
        let tensor = storages.tensor(name, view, &mut budget).map_err(damaged)?;
        if !is_finite(&tensor) {
            let name = clip(name, 80);
            return Err(damaged(format!(
                "{name} has values that are NaN or infinite: its training diverged; take an earlier checkpoint"
            )));
        }
        tensors.insert(name.to_owned(), tensor);
    }
    let foreign = |e| {
        let problem = clip(e, 80);
        damaged(format!("its metadata cannot be read ({problem}); convert it with the program that wrote it"))
    };
    let about = about.map(serde_json::from_value).transpose().map_err(foreign)?;
    Ok(Weights { tensors, part: chosen.part, unread, about, modules })
}

fn is_float(tensor: &Tensor) -> bool {
    matches!(tensor.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16)
}

fn is_finite(tensor: &Tensor) -> bool {
    let finite = || tensor.f_isfinite()?.f_all()?.f_int64_value(&[]);
    !is_float(tensor) || finite().is_ok_and(|finite| finite != 0)
}

/// Copies weights into a network, in the network's precision. Values that are fixed by the
/// configuration (positions) may be absent. Weights of a flow fit the same network with an
/// [`crate::interval`], whose parameters keep their values, 0 in a new network.
///
/// # Errors
/// [`InterchangeError::Mismatch`] lists every tensor that is missing, surplus, mis-shaped or not of
/// a float type; the network is then unchanged.
pub fn load(store: &VarStore, model: &'static str, tensors: &BTreeMap<String, Tensor>) -> Result<(), InterchangeError> {
    let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let of_a_flow = !tensors.keys().any(|name| interval::owns(name));
    let optional = |name: &str| name == "pos_embed" || of_a_flow && interval::owns(name);
    let mut problems = Vec::new();
    for (name, variable) in &variables {
        match tensors.get(name) {
            Some(t) if t.size() != variable.size() => {
                problems.push(format!("{name} is {:?}, not {:?}", t.size(), variable.size()));
            }
            Some(t) if !is_float(t) => problems.push(format!("{name} is of {:?}, not of floats", t.kind())),
            None if !optional(name) => problems.push(format!("{name} is missing")),
            _ => {}
        }
    }
    problems.extend(tensors.keys().filter(|name| !variables.contains_key(*name)).map(|n| format!("{n} is surplus")));
    if !problems.is_empty() {
        return Err(InterchangeError::Mismatch { model, problems: list(&problems) });
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
