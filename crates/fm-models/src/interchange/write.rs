//! Export of weights for other programs.

use super::InterchangeError;
use super::safetensors as format;
use super::torch::ABOUT_ENTRY;
use crate::ModelConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;
use tch::Tensor;
use tch::nn::VarStore;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Metadata of an exported file: everything that names and shapes do not determine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The program that wrote it.
    pub program: String,
    /// The network.
    pub model: Option<ModelConfig>,
    /// The probability path.
    pub path: String,
    /// What the network predicts.
    pub prediction: String,
    /// Distance in time that training and sampling keep from singular ends; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub time_clip: f64,
    /// Direction of time: which end is source and which is data.
    pub time_direction: String,
    /// Steps of training.
    pub step: u64,
    /// Decay of the moving average, if the weights are an average.
    pub ema_decay: Option<f64>,
    /// The data: shape of a row, normalisation, pixel levels and class names.
    pub data: serde_json::Value,
    /// The whole configuration of the run.
    pub config: serde_json::Value,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl About {
    /// The source distribution that the configuration of the run names, if any. It comes from the
    /// file and can name any path: this library does not open it, and a program must not open it
    /// unless its user names the path too.
    pub fn source(&self) -> Option<&str> {
        let run = self.config.get("run").unwrap_or(&self.config);
        run.get("source")?.as_str()
    }
}

/// A network's weights and buffers by name.
pub fn named(store: &VarStore) -> BTreeMap<String, Tensor> {
    store.variables().into_iter().map(|(name, t)| (name, t.detach())).collect()
}

/// The bytes of a safetensors file of f32 values, with `about` as metadata.
///
/// # Errors
/// [`InterchangeError::File`] for values that cannot be copied to the host.
pub fn safetensors(tensors: &BTreeMap<String, Tensor>, about: &About) -> Result<Vec<u8>, InterchangeError> {
    let unwritable = |problem: String| InterchangeError::file(Path::new("the new file"), problem);
    let about = serde_json::to_value(about).map_err(|e| unwritable(e.to_string()))?;
    format::serialize(tensors, &about).map_err(unwritable)
}

/// The bytes of a `.pt` file: what `torch.save(state_dict)` writes, an `OrderedDict` of f32
/// tensors.
///
/// # Errors
/// [`InterchangeError::File`] for values that cannot be copied to the host.
pub fn torch(tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>, InterchangeError> {
    archive(tensors, None)
}

/// The bytes of a `.pt` file with `about` as an entry of its archive: `torch.load` returns the same
/// state_dict and does not read the entry, and [`read`](super::read) does.
///
/// # Errors
/// [`InterchangeError::File`] for values that cannot be copied to the host.
pub fn torch_described(tensors: &BTreeMap<String, Tensor>, about: &About) -> Result<Vec<u8>, InterchangeError> {
    archive(tensors, Some(about))
}

fn archive(tensors: &BTreeMap<String, Tensor>, about: Option<&About>) -> Result<Vec<u8>, InterchangeError> {
    let unwritable = |problem: String| InterchangeError::file(Path::new("the new file"), problem);
    let zip = || -> Result<Vec<u8>, String> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        let mut entry = |name: &str, bytes: &[u8]| {
            zip.start_file(format!("archive/{name}"), options).map_err(|e| e.to_string())?;
            zip.write_all(bytes).map_err(|e| e.to_string())
        };
        entry("data.pkl", &pickle(tensors))?;
        entry("byteorder", b"little")?;
        for (i, tensor) in tensors.values().enumerate() {
            entry(&format!("data/{i}"), &format::little_endian(tensor)?)?;
        }
        entry("version", b"3\n")?;
        if let Some(about) = about {
            entry(ABOUT_ENTRY, &serde_json::to_vec(about).map_err(|e| e.to_string())?)?;
        }
        zip.finish().map(Cursor::into_inner).map_err(|e| e.to_string())
    };
    zip().map_err(unwritable)
}

/// A pickle, protocol 2, of an `OrderedDict` whose values refer to storages 0, 1, ...
fn pickle(tensors: &BTreeMap<String, Tensor>) -> Vec<u8> {
    let mut out = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(b'X');
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    };
    // A long of eight bytes holds every size.
    let int = |out: &mut Vec<u8>, n: i64| {
        out.extend([0x8a, 8]);
        out.extend(n.to_le_bytes());
    };
    let tuple = |out: &mut Vec<u8>, values: &[i64]| {
        out.push(b'(');
        values.iter().for_each(|n| int(out, *n));
        out.push(b't');
    };
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        let shape = tensor.size();
        let strides: Vec<i64> = (0..shape.len()).map(|d| shape[d + 1..].iter().product()).collect();
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &i.to_string());
        text(&mut out, "cpu");
        int(&mut out, tensor.numel() as i64);
        out.extend(b"tQ");
        int(&mut out, 0);
        tuple(&mut out, &shape);
        tuple(&mut out, &strides);
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}
