//! Weights read from a file.

use super::About;
use std::collections::BTreeMap;
use tch::Tensor;

/// One set of weights from a file.
#[derive(Debug)]
pub struct Weights {
    /// Tensors by name, without prefixes, in the file's precision. All values are finite.
    pub tensors: BTreeMap<String, Tensor>,
    /// Name of the part of the file, such as `ema_model`; empty for the whole file. Programs show
    /// it, because it distinguishes averaged from raw weights.
    pub part: String,
    /// Name of averages that the state of an optimizer holds: they are not read, and the weights
    /// are not averages. Programs show it.
    pub unread: Option<String>,
    /// Metadata of the file, if this library wrote it.
    pub about: Option<About>,
    /// Classes of the modules in the file, if it holds whole modules.
    pub modules: Vec<String>,
}
