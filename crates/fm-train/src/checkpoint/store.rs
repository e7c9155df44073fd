//! The files of a checkpoint: their names, their content, and the metadata beside them.

use super::check::{self, read_file};
use super::meta::{DataMeta, FORMAT, FileMeta, META, Meta, broken, read_meta};
use crate::ema::EmaConfig;
use crate::loss_aware::LossAwareTimes;
use crate::state::TrainState;
use crate::{TrainError, files};
use fm_core::NamedFlow;
use fm_core::budget::{Budget, OverBudget, limits};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
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
    /// ([`average_of`](super::average_of)).
    SigmaRel(f64),
    /// The trained weights without averaging.
    Raw,
}

impl Weights {
    pub(super) fn file(self, averages: &EmaConfig) -> String {
        match self {
            Weights::EmaOf(decay) if averages.decays.first() != Some(&decay) => format!("ema-{decay}.safetensors"),
            Weights::Ema | Weights::EmaOf(_) => "ema.safetensors".into(),
            Weights::SigmaRel(width) => format!("ema-sigma-{width}.safetensors"),
            Weights::Raw => "model.safetensors".into(),
        }
    }
}

/// Flat vectors, each with the prefix of its parameters' names.
pub(super) type Prefixed<'a> = Vec<(&'static str, &'a Tensor)>;

/// A file of a checkpoint: its name, the decay of its average, and its vectors.
pub(super) type Content<'a> = (String, f64, Prefixed<'a>);

/// Direction of time, as written in checkpoints.
pub const TIME_DIRECTION: &str = "source at t = 0, data at t = 1";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// As [`write`], unless the directory is there with the same files. Another one is replaced, and
/// moved aside if it has files that are not ours.
pub(super) fn write_over(
    path: &Path,
    state: &TrainState,
    info: &RunInfo,
    contents: Vec<Content<'_>>,
) -> Result<(), TrainError> {
    if check::verify_changed(path).is_ok() {
        let mut listing = BTreeMap::new();
        for (name, decay, parts) in &contents {
            let bytes = serialize(state, parts, name != OPTIMIZER, (info, *decay));
            let bytes = bytes.map_err(|problem| broken(path, problem))?;
            listing.insert(name.clone(), FileMeta { bytes: bytes.len() as u64, sha256: files::sha256(&bytes) });
        }
        if read_meta(path)?.files == listing {
            return Ok(());
        }
    }
    check::clear(path)?;
    write(path, state, info, contents)
}

/// Writes a directory of these files and their metadata.
pub(super) fn write(
    path: &Path,
    state: &TrainState,
    info: &RunInfo,
    contents: Vec<Content<'_>>,
) -> Result<(), TrainError> {
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
pub(super) fn serialize(
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

pub(super) fn read_tensors(path: &Path, meta: &Meta, name: &str) -> Result<BTreeMap<String, Tensor>, TrainError> {
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
