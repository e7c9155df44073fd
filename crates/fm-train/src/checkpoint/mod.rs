//! Checkpoints: a directory per step, complete or absent.
//!
//! | file | content |
//! |---|---|
//! | `model.safetensors` | the weights, f32, by parameter name, and the buffers saved with them (fixed positions, a codebook) |
//! | `ema.safetensors` | the first moving average of the weights, which sampling uses, and the buffers |
//! | `ema-D.safetensors` | the average of decay D, if there are several |
//! | `ema-sigma-S.safetensors` | the average of relative width S, if it is tracked |
//! | `optimizer.safetensors` | `exp_avg.NAME` and `exp_avg_sq.NAME` |
//! | `meta.json` | step, configuration, conventions, and size and SHA-256 of the other files |
//!
//! Snapshots of the averages of relative widths are directories of the same form, with these files
//! and the metadata only; see [`save_averages`].
//!
//! There is no generator state: random numbers are a function of the seed and the step (see
//! `fm_core::rng`).

mod averages;
mod check;
mod meta;
mod store;

pub(crate) use averages::forget_after;
pub use averages::{Average, average_of, save_averages};
pub use check::verify;
pub(crate) use check::{remove, step_of, verify_changed};
pub use meta::{DataMeta, FileMeta, Meta, read_meta};
pub use store::{RunInfo, TIME_DIRECTION, Weights, describe};

use crate::TrainError;
use crate::state::TrainState;
use meta::broken;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use store::{Content, OPTIMIZER, read_tensors, write};
use tch::Tensor;

/// Saves the state durably as `step-N` below `directory`, and returns its path. If a checkpoint of
/// that step exists, it is kept, because it has the same content. A damaged one is replaced; if it
/// has files that are not ours, it is kept as `step-N.damaged-K`.
///
/// # Errors
/// [`TrainError::Io`]; existing checkpoints stay untouched.
#[doc(alias = "save_state")]
#[doc(alias = "state_dict")]
#[doc(alias = "torch.save")]
pub fn save(directory: &Path, state: &TrainState, info: &RunInfo) -> Result<PathBuf, TrainError> {
    let path = directory.join(format!("step-{}", state.step));
    if check::verify_changed(&path).is_ok() {
        return Ok(path);
    }
    check::clear(&path)?;
    write(&path, state, info, contents(state))?;
    Ok(path)
}

/// As [`save`], but an undamaged checkpoint of that step is kept only if its files are the same:
/// one of a run that went on otherwise after an earlier checkpoint is replaced.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn save_over(directory: &Path, state: &TrainState, info: &RunInfo) -> Result<PathBuf, TrainError> {
    let path = directory.join(format!("step-{}", state.step));
    store::write_over(&path, state, info, contents(state))?;
    Ok(path)
}

/// The files of a checkpoint.
fn contents(state: &TrainState) -> Vec<Content<'_>> {
    let (m, o, averages) = (&state.params, &state.optimizer, &state.ema.config);
    let mut contents: Vec<Content<'_>> = vec![
        (Weights::Raw.file(averages), 0.0, vec![("", &m.master)]),
        (OPTIMIZER.into(), 0.0, vec![("exp_avg.", &o.mean), ("exp_avg_sq.", &o.square)]),
    ];
    for (decay, average) in averages.decays.iter().zip(&state.ema.averages) {
        contents.push((Weights::EmaOf(*decay).file(averages), *decay, vec![("", average)]));
    }
    contents.extend(averages::contents(state));
    contents
}

/// Reads the averaged or raw weights, checked against their hash.
///
/// # Errors
/// [`TrainError::Checkpoint`] with the name of the file; the errors of [`average_of`].
pub fn read_weights(path: &Path, which: Weights) -> Result<BTreeMap<String, Tensor>, TrainError> {
    if let Weights::SigmaRel(width) = which {
        return Ok(average_of(path, width)?.weights);
    }
    let meta = read_meta(path)?;
    if let Weights::EmaOf(decay) = which
        && !meta.ema.decays.contains(&decay)
    {
        return Err(broken(path, format!("it has no average of decay {decay}, but of {:?}", meta.ema.decays)));
    }
    read_tensors(path, &meta, &which.file(&meta.ema))
}

/// Loads a checkpoint into a new state of the same network.
///
/// # Errors
/// [`TrainError::Checkpoint`] and [`TrainError::Weights`].
#[doc(alias = "load_state")]
#[doc(alias = "torch.load")]
pub fn restore(path: &Path, state: &mut TrainState) -> Result<Meta, TrainError> {
    let meta = read_meta(path)?;
    let weights = read_tensors(path, &meta, &Weights::Raw.file(&meta.ema))?;
    if meta.ema != state.ema.config {
        return Err(broken(path, format!("its averages are {:?}, the run's {:?}", meta.ema, state.ema.config)));
    }
    let average = |decay: &f64| state.params.join(read_tensors(path, &meta, &Weights::EmaOf(*decay).file(&meta.ema))?);
    let averages = meta.ema.decays.iter().map(average).collect::<Result<Vec<_>, _>>()?;
    let power = averages::restore(path, &meta, state)?;
    let moments = read_tensors(path, &meta, OPTIMIZER)?;
    let moment = |prefix: &str| {
        let named =
            moments.iter().filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.shallow_clone())));
        state.params.join(named.collect())
    };
    let (mean, square) = (moment("exp_avg.")?, moment("exp_avg_sq.")?);
    state.params.adopt(weights)?;
    (state.optimizer.mean, state.optimizer.square) = (mean, square);
    // In place, because a network may read them.
    let all = state.ema.averages.iter_mut().chain(&mut state.ema.power).zip(averages.iter().chain(&power));
    tch::no_grad(|| all.for_each(|(average, saved)| average.copy_(saved)));
    adopt(&meta, state).map_err(|problem| broken(path, problem))?;
    Ok(meta)
}

/// Copies the metadata of a checkpoint into the state, all but its tensors.
///
/// # Errors
/// Loss-aware times in only one of the two, or a different number of sums.
pub fn adopt(meta: &Meta, state: &mut TrainState) -> Result<(), String> {
    state.optimizer.updates = Tensor::from(meta.optimizer_updates as f64).to_device(state.params.device());
    (state.ema.updates, state.step) = (meta.ema_updates, meta.step);
    state.tally.restore(&meta.tally)?;
    match (&mut state.adaptive, &meta.adaptive) {
        (Some(adaptive), Some(saved)) => adaptive.restore(saved),
        (None, None) => Ok(()),
        (Some(_), None) => Err("it has no loss-aware times, which the run has".into()),
        (None, Some(_)) => Err("it has loss-aware times, which the run has not".into()),
    }
}
