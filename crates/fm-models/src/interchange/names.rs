//! Selection of the weights in a file, and their names without the prefixes of wrappers.

use super::InterchangeError;
use std::collections::BTreeMap;
use tch::Tensor;

/// Keys of sets of weights in checkpoints, averaged ones first.
const PARTS: [&str; 8] =
    ["ema_model", "ema", "model_ema", "ema_state_dict", "net_model", "model", "state_dict", "model_state_dict"];

/// Prefixes that wrappers add to every name.
const WRAPPERS: [&str; 9] =
    ["module.", "_orig_mod.", "model.", "ema_model.", "net_model.", "state_dict.", "unet.", "dit.", "network."];

/// The kind of network with these parameter names.
pub(super) fn family<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    names.filter_map(of_name).next()
}

fn of_name(name: &str) -> Option<&'static str> {
    match name {
        "time_embed.0.weight" => Some("unet"),
        "x_embedder.proj.weight" => Some("dit"),
        "net.0.weight" => Some("mlp"),
        "layers.0.lin1.weight" => Some("concat-squash"),
        "codebook.embed" => Some("vq-vae"),
        _ => None,
    }
}

/// Maps the network's names to the names in the file.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) part: String,
    names: BTreeMap<String, String>,
}

impl Chosen {
    pub(super) fn tensors(
        &self,
        mut read: impl FnMut(&str) -> Result<Tensor, String>,
    ) -> Result<BTreeMap<String, Tensor>, String> {
        self.names.iter().map(|(name, at)| Ok((name.clone(), read(at)?))).collect()
    }
}

/// Removes the prefixes that all names share; maps new names to old ones.
fn unwrap(mut names: BTreeMap<String, String>) -> BTreeMap<String, String> {
    while !names.is_empty() && family(names.keys().map(String::as_str)).is_none() {
        let Some(wrapper) = WRAPPERS.iter().find(|w| names.keys().all(|name| name.starts_with(**w))) else { break };
        names = names.into_iter().map(|(name, at)| (name[wrapper.len()..].to_owned(), at)).collect();
    }
    names
}

pub(super) fn choose(shapes: &BTreeMap<String, Vec<i64>>, part: Option<&str>) -> Result<Chosen, InterchangeError> {
    let unknown = |problem| Err(InterchangeError::Unknown { problem });
    if shapes.is_empty() {
        return unknown("the file holds no tensors; save the state_dict".into());
    }
    let set_of = |part: &str| {
        let prefix = if part.is_empty() { String::new() } else { format!("{part}.") };
        let inside = shapes.keys().filter_map(|name| Some((name.strip_prefix(&prefix)?.to_owned(), name.clone())));
        unwrap(inside.collect())
    };
    let known = |names: &BTreeMap<String, String>| family(names.keys().map(String::as_str)).is_some();
    if let Some(part) = part {
        let names = set_of(part);
        if names.is_empty() {
            let mut parts: Vec<&str> = shapes.keys().filter_map(|name| name.split('.').next()).collect();
            parts.dedup();
            parts.truncate(12);
            return unknown(format!("the file has no part '{part}'; it has {}", parts.join(", ")));
        }
        return Ok(Chosen { part: part.into(), names });
    }
    for part in std::iter::once("").chain(PARTS) {
        let names = set_of(part);
        if known(&names) {
            return Ok(Chosen { part: part.into(), names });
        }
    }
    let mut first: Vec<&str> = shapes.keys().map(String::as_str).collect();
    first.truncate(6);
    unknown(format!(
        "its tensors are {}, ...; known are U-Nets of the guided-diffusion family, DiT/SiT, MLPs (net.0, net.2, ...) and ConcatSquash networks",
        first.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(names: &[&str]) -> BTreeMap<String, Vec<i64>> {
        names.iter().map(|name| ((*name).to_owned(), vec![1])).collect()
    }

    #[test]
    fn averaged_weights_come_first_and_wrappers_fall_away() {
        let file = shapes(&["ema_model.module.net.0.weight", "net_model.module.net.0.weight", "optim.state.0.exp_avg"]);
        let chosen = choose(&file, None).unwrap();
        assert_eq!(chosen.part, "ema_model");
        assert_eq!(
            chosen.names.into_iter().collect::<Vec<_>>(),
            [("net.0.weight".to_owned(), "ema_model.module.net.0.weight".to_owned())]
        );
        assert_eq!(choose(&file, Some("net_model")).unwrap().part, "net_model");
        let error = choose(&file, Some("average")).unwrap_err().to_string();
        assert!(error.contains("no part 'average'; it has ema_model, net_model, optim"), "{error}");
        assert_eq!(choose(&shapes(&["_orig_mod.module.net.0.weight"]), None).unwrap().part, "");
    }

    #[test]
    fn what_is_no_network_is_named() {
        let error = choose(&shapes(&["encoder.weight"]), None).unwrap_err().to_string();
        assert!(error.contains("encoder.weight") && error.contains("known are"), "{error}");
        assert!(choose(&BTreeMap::new(), None).unwrap_err().to_string().contains("no tensors"));
    }
}
