//! Selection of one set of weights from the contents of a file.
//!
//! Averaged weights are preferred to raw ones. Between sets that fit equally, and where averages
//! are present that cannot be used, the caller must choose.

use super::averages;
use super::contents::Contents;
use super::error::{InterchangeError, clip, list};
use super::names::{clean, computed, is_list, other_family};
use super::sets::{Named, Set};

/// Selects a set. `part` is the caller's choice; the empty text is the whole file.
///
/// # Errors
/// A part that the file does not have, several sets that fit equally, and tensors of no known
/// network.
pub(super) fn choose(contents: &Contents<'_>, part: Option<&str>) -> Result<Set, InterchangeError> {
    let named = Named::new(contents);
    if contents.leaves.is_empty() {
        let problem = "the file holds no tensors; save the network's state_dict".into();
        return Err(InterchangeError::Unknown { problem });
    }
    let mut sets = named.networks()?;
    if part == Some("") {
        return Ok(sets.into_iter().find(|set| set.part.is_empty()).unwrap_or_else(|| named.whole("")));
    }
    let unused = averages::add(&named, &mut sets);
    if let Some(part) = part {
        return asked(&named, sets, part);
    }
    let averaged = sets.iter().any(|set| set.averaged);
    if let Some(group) = unused.filter(|_| !averaged && !sets.is_empty()) {
        let problem = format!("its averages {} fit no network in it by order and shape", clip(group, 60));
        return Err(InterchangeError::Part { problem, parts: sets.iter().map(Set::label).collect() });
    }
    let raw: Vec<Set> = sets.iter().filter(|set| !set.averaged).cloned().collect();
    let chosen = preferred(&named, sets)?.ok_or_else(|| unknown(&named))?;
    refuse_partial(&chosen, raw)?;
    Ok(chosen)
}

/// Refuses averages of a part of a network whose weights are in the file.
fn refuse_partial(chosen: &Set, raw: Vec<Set>) -> Result<(), InterchangeError> {
    let holds = |set: &Set, name: &String| set.picks.iter().any(|(other, _)| other == name);
    // Positions are fixed, and so are not averaged.
    let size = |set: &Set| set.picks.iter().filter(|(name, _)| name != "pos_embed").count();
    let larger = |set: &&Set| size(set) > size(chosen) && chosen.picks.iter().all(|(name, _)| holds(set, name));
    let Some(whole) = raw.iter().find(larger).filter(|_| chosen.averaged) else { return Ok(()) };
    let problem = format!(
        "its averages {} hold {} of the network's {} tensors",
        clip(chosen.label(), 60),
        size(chosen),
        size(whole)
    );
    Err(InterchangeError::Part { problem, parts: vec![whole.label()] })
}

/// The set that a caller names.
fn asked(named: &Named<'_>, sets: Vec<Set>, part: &str) -> Result<Set, InterchangeError> {
    let asked = clean(part).into_owned();
    if let Some(exact) = sets.iter().find(|set| set.part == asked) {
        return Ok(exact.clone());
    }
    let below = format!("{asked}.");
    let (inside, others): (Vec<Set>, Vec<Set>) =
        sets.into_iter().partition(|set| [&set.part, &set.prefix].iter().any(|name| name.starts_with(&below)));
    if let Some(set) = preferred(named, inside)? {
        return Ok(set);
    }
    let whole = named.whole(&asked);
    if !whole.picks.is_empty() {
        return Ok(whole);
    }
    let mut parts: Vec<String> = others.iter().map(|set| set.part.clone()).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        let first = |name: &str| name.split('.').next().map(str::to_owned);
        parts = named.names().into_iter().filter_map(first).collect();
        parts.dedup();
    }
    let problem = format!("the file has no part '{}'; it has {}", clip(part, 40), list(&parts));
    Err(InterchangeError::Unknown { problem })
}

/// The one set that is preferred: velocity networks before autoencoders, and averages. `None` if
/// there are no sets.
fn preferred(named: &Named<'_>, mut sets: Vec<Set>) -> Result<Option<Set>, InterchangeError> {
    for better in [|set: &Set| set.kind != "vq-vae", |set: &Set| set.averaged] {
        if sets.iter().any(better) {
            sets.retain(better);
        }
    }
    // Several names for the same tensors are one set.
    let mut different: Vec<Set> = Vec::new();
    for set in sets {
        if !different.iter().any(|other| named.same(other, &set)) {
            different.push(set);
        }
    }
    if different.len() > 1 {
        let problem = format!("{} sets of weights in the file fit equally", different.len());
        return Err(InterchangeError::Part { problem, parts: different.iter().map(Set::label).collect() });
    }
    Ok(different.pop())
}

fn unknown(named: &Named<'_>) -> InterchangeError {
    let names = named.names();
    let like = other_family(names.iter().copied()).map_or(String::new(), |kind| format!(" (like {kind})"));
    if let Some(merge) = computed(names.iter().copied()) {
        return InterchangeError::Unknown { problem: merge };
    }
    let first = clip(list(&names[..names.len().min(3)]), 100);
    let weights: Vec<&str> = named.weights().map(|(name, _)| name).collect();
    if is_list(&weights) {
        let problem = format!(
            "its tensors ({first}) are a list without names; save the state_dict of the network or of its average"
        );
        return InterchangeError::Unknown { problem };
    }
    let problem = format!(
        "its tensors are {first}{like}; known are guided diffusion's U-Nets, DiT/SiT, sequence transformers, MLPs (net.0, ...) \
         and ConcatSquash networks"
    );
    InterchangeError::Unknown { problem }
}
