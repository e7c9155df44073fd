//! Descriptions of files held against their tensors.
//!
//! The metadata of a file can name any network, shape and columns. They are compared with the
//! tensors before anything is built from them.

use super::{About, InterchangeError, Weights};
use crate::{ModelConfig, ModelError};

/// Tensors that no parameter count contains: fixed positions, and the parameters of a source that
/// was trained beside the network.
const UNCOUNTED: [&str; 5] = ["pos_embed", "source.log_scale", "source.mean", "source.rows", "source.variance"];

/// Maximum number of values in a row of data, and in a network's table of positions.
const ROW: i64 = 1 << 28;

/// Rejects a network that is much larger than the file. This bounds the memory for building a
/// network only to list the tensors that are missing in the file.
///
/// # Errors
/// [`InterchangeError::Unknown`] if the network would be more than twice the size of the weights;
/// [`InterchangeError::Description`] if a row of its data has more than 2^28 values.
pub fn check_size(weights: &Weights, config: &ModelConfig) -> Result<(), InterchangeError> {
    let held = held(weights);
    let needed = config.parameters().map_err(|e: ModelError| InterchangeError::Unknown { problem: e.to_string() })?;
    if needed / 2 > held {
        let problem =
            format!("a {} of these sizes has {needed} values, they have {held}; fetch the whole file", config.kind());
        return Err(InterchangeError::Unknown { problem });
    }
    let mut sizes = vec![config.data_shape()];
    if let ModelConfig::Dit(dit) = config {
        sizes.push(vec![dit.image_size[0] / dit.patch, dit.image_size[1] / dit.patch, dit.width]);
    }
    if let ModelConfig::Sequence(sequence) = config {
        sizes.push(vec![sequence.length, sequence.width]);
    }
    for size in sizes {
        if size.iter().try_fold(1i64, |n, side| n.checked_mul(*side)).is_none_or(|n| n > ROW) {
            let problem = format!("rows of {size:?} are larger than any network here can take");
            return Err(InterchangeError::Description { problem });
        }
    }
    Ok(())
}

fn held(weights: &Weights) -> i64 {
    let counted = weights.tensors.iter().filter(|(name, _)| !UNCOUNTED.contains(&name.as_str()));
    counted.map(|(_, tensor)| tensor.numel() as i64).sum()
}

/// Compares a description with the tensors beside it.
pub(super) fn check(weights: &Weights, about: &About, config: &ModelConfig) -> Result<(), InterchangeError> {
    check_size(weights, config)?;
    let wrong = |problem: String| Err(InterchangeError::Description { problem });
    let (needed, held) = (config.parameters()?, held(weights));
    if needed != held {
        return wrong(format!("it names a {} with {needed} values, and the tensors have {held}", config.kind()));
    }
    let shape = config.data_shape();
    if let Some(described) = about.data.get("shape") {
        let described: Option<Vec<i64>> = serde_json::from_value(described.clone()).ok();
        if described.as_ref() != Some(&shape) {
            let described = described.map_or("no shape".into(), |shape| super::error::clip(format!("{shape:?}"), 40));
            return wrong(format!("its data.shape is {described}, and the network takes {shape:?}"));
        }
    }
    if about.time_direction.starts_with("data at t = 0") {
        return wrong("its time runs from the data at t = 0, and here data are at t = 1".into());
    }
    let classes = about.data.get("classes").and_then(|names| names.as_array()).map_or(0, Vec::len) as i64;
    if classes > 0 && config.classes() > 0 && classes != config.classes() {
        return wrong(format!("it names {classes} classes, and the network has {}", config.classes()));
    }
    let columns = about.config.get("columns").filter(|_| shape.len() == 1);
    for key in ["mean", "deviation", "names"] {
        let listed = columns.and_then(|c| c.get(key)).and_then(|list| list.as_array()).map_or(0, Vec::len) as i64;
        let optional = columns.is_none() || key == "names" && listed == 0;
        if listed != shape[0] && !optional {
            return wrong(format!(
                "its columns.{key} has {listed} entries, and the network takes {} columns",
                shape[0]
            ));
        }
    }
    Ok(())
}
