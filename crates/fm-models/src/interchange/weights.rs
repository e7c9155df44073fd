//! Weights as a file holds them.

use super::About;
use std::collections::BTreeMap;
use tch::Tensor;

/// One set of weights out of a file.
#[derive(Debug)]
pub struct Weights {
    /// By name, without prefixes, in the file's own precision.
    pub tensors: BTreeMap<String, Tensor>,
    /// Which part of the file they are: `ema_model`, say; empty for the whole.
    pub part: String,
    /// What the file says of itself, if one of ours.
    pub about: Option<About>,
    /// Classes of the modules in the file, if it holds whole modules.
    pub modules: Vec<String>,
}
