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

pub use averages::{Average, average_of, save_averages};
pub use check::verify;
pub(crate) use check::{remove, step_of, verify_changed};
pub use meta::{DataMeta, FileMeta, Meta, read_meta};

use crate::ema::EmaConfig;
use crate::loss_aware::LossAwareTimes;
use crate::state::TrainState;
use crate::{TrainError, files};
use check::read_file;
use fm_core::NamedFlow;
use fm_core::budget::{Budget, OverBudget, limits};
use meta::{FORMAT, META, broken};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Facts about a run that are not in its state.
#[derive(Debug, Clone, PartialEq)]
pub struct RunInfo {
    /// The program's name and version.
    pub program: String,
    /// The probability path's name.
    pub path: String,
    /// What the network predicts.
    pub prediction: String,
    /// The data.
    pub data: DataMeta,
    /// The network's configuration, which is stored with the weights.
    pub model: serde_json::Value,
    /// The run's resolved configuration.
    pub config: serde_json::Value,
    /// The SHA-256 of the log up to the checkpoint; empty for none.
    pub log: String,
    /// The flow, for [`Run::load`](crate::Run::load); `None` if it has parts of your own, or if the
    /// configuration describes it.
    pub flow: Option<NamedFlow>,
}

/// Which weights to read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weights {
    /// The first moving average.
    Ema,
    /// The moving average with this decay.
    EmaOf(f64),
    /// The average of this relative width, computed from those that the run tracked
    /// ([`average_of`]).
    SigmaRel(f64),
    /// The trained weights without averaging.
    Raw,
}

impl Weights {
    fn file(self, averages: &EmaConfig) -> String {
        match self {
            Weights::EmaOf(decay) if averages.decays.first() != Some(&decay) => format!("ema-{decay}.safetensors"),
            Weights::Ema | Weights::EmaOf(_) => "ema.safetensors".into(),
            Weights::SigmaRel(width) => format!("ema-sigma-{width}.safetensors"),
            Weights::Raw => "model.safetensors".into(),
        }
    }
}

/// Flat vectors, each with the prefix of its parameters' names.
type Prefixed<'a> = Vec<(&'static str, &'a Tensor)>;

/// A file of a checkpoint: its name, the decay of its average, and its vectors.
type Content<'a> = (String, f64, Prefixed<'a>);

/// Direction of time, as written in checkpoints.
pub const TIME_DIRECTION: &str = "source at t = 0, data at t = 1";
const OPTIMIZER: &str = "optimizer.safetensors";

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
    if fs::symlink_metadata(&path).is_ok() && check::remove(&path)?.is_some() {
        files::set_aside(&path)?;
    }
    let (m, o, averages) = (&state.params, &state.optimizer, &state.ema.config);
    let mut contents: Vec<Content<'_>> = vec![
        (Weights::Raw.file(averages), 0.0, vec![("", &m.master)]),
        (OPTIMIZER.into(), 0.0, vec![("exp_avg.", &o.mean), ("exp_avg_sq.", &o.square)]),
    ];
    for (decay, average) in averages.decays.iter().zip(&state.ema.averages) {
        contents.push((Weights::EmaOf(*decay).file(averages), *decay, vec![("", average)]));
    }
    contents.extend(averages::contents(state));
    write(&path, state, info, contents)?;
    Ok(path)
}

/// Writes a directory of these files and their metadata.
fn write(path: &Path, state: &TrainState, info: &RunInfo, contents: Vec<Content<'_>>) -> Result<(), TrainError> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(TrainError::io("create", directory))?;
    }
    let mut written = None;
    files::publish(path, |partial| {
        fs::create_dir(partial).map_err(TrainError::io("create", partial))?;
        let mut listing = BTreeMap::new();
        for (name, decay, parts) in contents {
            let buffers = name != OPTIMIZER;
            let bytes = serialize(state, &parts, buffers, (info, decay)).map_err(|problem| broken(path, problem))?;
            files::write_plain(&partial.join(&name), &bytes)?;
            listing.insert(name, FileMeta { bytes: bytes.len() as u64, sha256: files::sha256(&bytes) });
        }
        let meta = written.insert(describe(state, info, listing));
        let text = serde_json::to_string_pretty(meta).map_err(|e| broken(path, e))?;
        files::write_plain(&partial.join(META), files::with_checksum(&text).as_bytes())?;
        files::sync(partial)
    })?;
    written.iter().for_each(|meta| check::remember(path, meta));
    Ok(())
}

/// Metadata of a checkpoint of this state with these files.
pub fn describe(state: &TrainState, info: &RunInfo, files: BTreeMap<String, FileMeta>) -> Meta {
    Meta {
        format: FORMAT,
        program: info.program.clone(),
        step: state.step,
        epoch: state.epoch.map(|epoch| epoch.passes(state.step)),
        parameters: state.params.count(),
        path: info.path.clone(),
        prediction: info.prediction.clone(),
        time_direction: TIME_DIRECTION.into(),
        data: info.data.clone(),
        ema: state.ema.config.clone(),
        ema_updates: state.ema.updates,
        optimizer_updates: state.optimizer.updates.double_value(&[]) as u64,
        tally: state.tally.save(),
        adaptive: state.adaptive.as_ref().map(LossAwareTimes::save),
        threads: tch::get_num_threads(),
        config: info.config.clone(),
        log: info.log.clone(),
        flow: info.flow.as_ref().and_then(|flow| serde_json::to_value(flow).ok()),
        files,
    }
}

/// One safetensors file of flat vectors, each split by parameter and prefixed, and of the buffers
/// for weight files.
fn serialize(
    state: &TrainState,
    parts: &[(&str, &Tensor)],
    buffers: bool,
    (info, decay): (&RunInfo, f64),
) -> Result<Vec<u8>, String> {
    let bytes: Result<Vec<Vec<u8>>, String> = parts.iter().map(|(_, flat)| little_endian(flat)).collect();
    let bytes = bytes?;
    let kept: Vec<(&String, Vec<usize>, Vec<u8>)> = state
        .params
        .buffers
        .iter()
        .filter(|_| buffers)
        .map(|(name, t)| {
            let shape = t.size().iter().map(|&s| s as usize).collect();
            Ok((name, shape, little_endian(&t.reshape([-1]))?))
        })
        .collect::<Result<_, String>>()?;
    let mut views = Vec::new();
    for ((prefix, _), bytes) in parts.iter().zip(&bytes) {
        for slot in &state.params.slots {
            let shape: Vec<usize> = slot.shape.iter().map(|&s| s as usize).collect();
            let (start, len) = (slot.offset as usize * 4, shape.iter().product::<usize>() * 4);
            let view = TensorView::new(Dtype::F32, shape, &bytes[start..start + len]).map_err(|e| e.to_string())?;
            views.push((format!("{prefix}{}", slot.name), view));
        }
    }
    for (name, shape, bytes) in &kept {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| e.to_string())?;
        views.push(((*name).clone(), view));
    }
    // One entry, because the order of several entries would differ from run to run.
    let about = serde_json::json!({
        "program": info.program, "step": state.step, "path": info.path, "prediction": info.prediction,
        "time_direction": TIME_DIRECTION, "data": info.data, "model": info.model, "ema_decay": decay,
    });
    let metadata = HashMap::from([("flow_matching".to_owned(), about.to_string())]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())
}

fn little_endian(flat: &Tensor) -> Result<Vec<u8>, String> {
    let values = Vec::<f32>::try_from(flat.to_device(Device::Cpu)).map_err(|e| e.to_string())?;
    let mut bytes = vec![0; 4 * values.len()];
    // This loop compiles to one copy; collecting single bytes does not.
    bytes.chunks_exact_mut(4).zip(&values).for_each(|(to, v)| to.copy_from_slice(&v.to_le_bytes()));
    Ok(bytes)
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

fn read_tensors(path: &Path, meta: &Meta, name: &str) -> Result<BTreeMap<String, Tensor>, TrainError> {
    let bytes = read_file(path, meta, name)?;
    let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    // A parsed list takes up to 33 times its text.
    if let Err(OverBudget::Length { most, .. }) = Budget::admit(&limits::CHECKPOINT_HEADER, header) {
        return Err(broken(path, format!("{name} lists its tensors in {header} bytes, more than {most}")));
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(path, format!("{name}: {e}")))?;
    let mut named = BTreeMap::new();
    for (key, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(broken(path, format!("{name}: {key} is {:?}, not F32", view.dtype())));
        }
        let shape: Vec<i64> = view.shape().iter().map(|&s| s as i64).collect();
        named.insert(key.to_owned(), Tensor::from_data_size(view.data(), &shape, Kind::Float));
    }
    Ok(named)
}
