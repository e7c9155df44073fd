//! Relative errors |a - b| / |b| in the L2 norm.

use fm_benches::Failure;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// |a - b| / |b|.
pub(crate) fn relative(a: &Tensor, b: &Tensor) -> f64 {
    let double = |t: &Tensor| t.to_device(tch::Device::Cpu).to_kind(Kind::Double);
    let (a, b) = (double(a), double(b));
    ((a - &b).norm() / b.norm()).double_value(&[])
}

/// |a - b| / |b| over all tensors together.
///
/// # Errors
/// Different sets of names.
pub(crate) fn relative_of(a: &BTreeMap<String, Tensor>, b: &BTreeMap<String, Tensor>) -> Result<f64, Failure> {
    if !a.keys().eq(b.keys()) {
        return Err("the two sides have other parameters than each other".into());
    }
    let flat = |all: &BTreeMap<String, Tensor>| {
        Tensor::cat(&all.values().map(|t| t.to_kind(Kind::Double).reshape([-1])).collect::<Vec<_>>(), 0)
    };
    Ok(relative(&flat(a), &flat(b)))
}
