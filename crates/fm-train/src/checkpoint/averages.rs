//! Snapshots of averages of relative widths, and averages that are computed from them.

use super::check::{self, step_of};
use super::meta::{Meta, broken, read_meta};
use super::store::{Content, RunInfo, Weights, read_tensors, write_over};
use crate::TrainError;
use crate::power_average::{Profile, fit};
use crate::state::TrainState;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// The directory of snapshots beside that of the checkpoints.
pub(crate) const SNAPSHOTS: &str = "averages";

/// An average that was computed from snapshots.
#[derive(Debug)]
pub struct Average {
    /// Its weights.
    pub weights: BTreeMap<String, Tensor>,
    /// Number of snapshots.
    pub snapshots: usize,
    /// The error of the [fit](fit): 0 for an average that was tracked.
    pub error: f64,
}

/// The files of a state's averages of relative widths.
pub(super) fn contents(state: &TrainState) -> Vec<Content<'_>> {
    let ema = &state.ema;
    let file = |width: f64| Weights::SigmaRel(width).file(&ema.config);
    ema.config
        .sigma_rel
        .iter()
        .zip(&ema.power)
        .map(|(width, average)| (file(*width), 0.0, vec![("", average)]))
        .collect()
}

/// Reads these averages for a state of the same network.
pub(super) fn restore(path: &Path, meta: &Meta, state: &TrainState) -> Result<Vec<Tensor>, TrainError> {
    let file = |width: &f64| Weights::SigmaRel(*width).file(&meta.ema);
    meta.ema.sigma_rel.iter().map(|width| state.params.join(read_tensors(path, meta, &file(width))?)).collect()
}

/// Saves a snapshot of the averages of relative widths as `averages/step-N` below `run`, the
/// directory of the run, if the state has any. A snapshot of the step with the same content is
/// kept; another one is replaced, and moved aside if it has files that are not ours. Otherwise only
/// a resumed run removes snapshots, those of later steps.
///
/// # Errors
/// [`TrainError::Io`].
pub fn save_averages(run: &Path, state: &TrainState, info: &RunInfo) -> Result<(), TrainError> {
    let contents = contents(state);
    if contents.is_empty() || state.ema.updates == 0 {
        return Ok(());
    }
    write_over(&run.join(SNAPSHOTS).join(format!("step-{}", state.step)), state, info, contents)
}

/// Removes the snapshots of later steps than `step`, from which a run is resumed: its weights may
/// go on otherwise, and their average must not contain others.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn forget_after(run: &Path, step: u64) -> Result<(), TrainError> {
    snapshots_of(run, |found| found > step).iter().try_for_each(|path| check::clear(path))
}

/// The average of a relative width at the step of a checkpoint, as the
/// [combination](crate::power_average) of the checkpoint's averages and of the run's snapshots up
/// to this step.
///
/// # Errors
/// [`TrainError::Average`]: a width outside its domain, or a run that tracks no widths;
/// [`TrainError::Snapshot`]: a damaged snapshot; [`TrainError::Checkpoint`]: one of another
/// network.
pub fn average_of(path: &Path, sigma_rel: f64) -> Result<Average, TrainError> {
    let meta = read_meta(path)?;
    if meta.ema.sigma_rel.is_empty() {
        let remedy = "train with an option such as ema_sigma = [0.05, 0.1]";
        return Err(TrainError::average("the number of relative widths that the run tracked", 0, remedy));
    }
    let mut sources = vec![(path.to_path_buf(), meta.clone())];
    for snapshot in snapshots(path, meta.step) {
        let found = check::verify(&snapshot).map_err(|error| match error {
            TrainError::Checkpoint { path, problem } => TrainError::Snapshot { path, problem },
            other => other,
        })?;
        if found.parameters != meta.parameters {
            return Err(broken(&snapshot, "it is of another network than its run"));
        }
        sources.push((snapshot, found));
    }
    let profiles: Vec<(usize, Profile)> = sources
        .iter()
        .enumerate()
        .flat_map(|(k, (_, meta))| {
            let of = |width: &f64| (k, Profile { sigma_rel: *width, updates: meta.ema_updates });
            meta.ema.sigma_rel.iter().map(of).collect::<Vec<_>>()
        })
        .collect();
    let known: Vec<Profile> = profiles.iter().map(|(_, profile)| *profile).collect();
    let found = fit(&known, Profile { sigma_rel, updates: meta.ema_updates })?;
    let mut sum: BTreeMap<String, Tensor> = BTreeMap::new();
    for ((k, profile), share) in profiles.iter().zip(&found.coefficients) {
        let (from, meta) = &sources[*k];
        for (name, tensor) in read_tensors(from, meta, &Weights::SigmaRel(profile.sigma_rel).file(&meta.ema))? {
            let part = tensor.to_kind(Kind::Double) * *share;
            match sum.get_mut(&name) {
                Some(sum) if sum.size() == part.size() => *sum += part,
                Some(_) => return Err(broken(from, format!("{name} has another shape than in {}", path.display()))),
                None => drop(sum.insert(name, part)),
            }
        }
    }
    let weights = sum.into_iter().map(|(name, sum)| (name, sum.to_kind(Kind::Float))).collect();
    Ok(Average { weights, snapshots: known.len(), error: found.error })
}

/// The snapshots before a step of the run of a checkpoint, in order.
fn snapshots(checkpoint: &Path, before: u64) -> Vec<PathBuf> {
    let run = checkpoint.canonicalize().ok().and_then(|path| Some(path.parent()?.parent()?.to_path_buf()));
    run.map_or_else(Vec::new, |run| snapshots_of(&run, |step| step < before))
}

/// The snapshots of a run whose steps are wanted, in order.
fn snapshots_of(run: &Path, wanted: impl Fn(u64) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(run.join(SNAPSHOTS)).into_iter().flatten().flatten();
    let step = |entry: fs::DirEntry| Some((step_of(entry.file_name().to_str()?)?, entry.path()));
    let mut found: Vec<(u64, PathBuf)> = entries.filter_map(step).filter(|(step, _)| wanted(*step)).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}
