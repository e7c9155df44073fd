//! GroupNorm and SiLU in one operator, for contiguous tensors on the CPU in f32 and bf16.
//!
//! The channels of x (B, C, ...) form G groups of M values: z = (x - mean) / sqrt(variance + eps)
//! w + b, y = z sigmoid(z), with mean and variance over a group, in f32. The backward pass stores
//! only x and two numbers per group. For second derivatives (`create_graph`), libtorch's two
//! operators compute the gradient. Source: Wu and He, "Group Normalization" (2018).
//!
//! ```
//! use fm_torch::group_norm::group_norm_silu;
//! use tch::{Device, Kind, Tensor};
//! let x = Tensor::from_slice(&[1f32, 3.0]).view([1, 2, 1]).expand([1, 2, 256], false).contiguous();
//! let (one, zero) = (Tensor::ones([2], (Kind::Float, Device::Cpu)), Tensor::zeros([2], (Kind::Float, Device::Cpu)));
//! // The group has mean 2 and deviation 1: silu(-1) and silu(1).
//! let y = group_norm_silu(&x, 1, &one, &zero, 0.0)?.unwrap_or_default();
//! assert!((y.double_value(&[0, 0, 0]) + 0.268_941).abs() < 1e-6);
//! assert!((y.double_value(&[0, 1, 0]) - 0.731_059).abs() < 1e-6);
//! // f64 and small groups use libtorch's operators.
//! assert!(group_norm_silu(&x.narrow(2, 0, 1).contiguous(), 1, &one, &zero, 0.0)?.is_none());
//! assert!(group_norm_silu(&x.to_kind(Kind::Double), 1, &one, &zero, 0.0)?.is_none());
//! # Ok::<(), fm_torch::TorchError>(())
//! ```

#![allow(unsafe_code, reason = "calls the shim")]

use crate::TorchError;
use crate::ffi;
use std::ptr::null_mut;
use tch::Tensor;

/// silu(group_norm(x)) in x's type, or `None` if there is no fused kernel: on a GPU, in f64 or f16,
/// for tensors that are not contiguous (channels last), under forward-mode differentiation, and for
/// groups of less than 512 values, for which libtorch's operators are faster.
///
/// # Errors
/// An exception of libtorch, for example if memory runs out.
pub fn group_norm_silu(
    x: &Tensor,
    groups: i64,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Option<Tensor>, TorchError> {
    let (p, mut out) = (ffi::pointer, null_mut());
    // SAFETY: the tensors and `out` outlive the call; the shim checks types, sizes and layout.
    let thrown = unsafe { ffi::fm_group_norm_silu(p(x), p(weight), p(bias), groups, eps, &raw mut out) };
    ffi::checked("normalize groups", thrown)?;
    // SAFETY: a tensor that the shim has allocated and no longer owns; `tch` frees it.
    Ok((!out.is_null()).then(|| unsafe { Tensor::from_ptr(out.cast()) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const GROUPS: i64 = 4;

    fn values(size: &[i64], seed: f64) -> Tensor {
        let count: i64 = size.iter().product();
        ((Tensor::arange(count, (Kind::Double, Device::Cpu)) * 1.7 + seed).sin() * 3.0 + 0.5).view(size)
    }

    fn leaves(size: &[i64], kind: Kind) -> [Tensor; 3] {
        let of = |size: &[i64], seed| values(size, seed).to_kind(kind).set_requires_grad(true);
        [of(size, 0.1), of(&size[1..2], 0.2), of(&size[1..2], 0.3)]
    }

    /// The value and the gradients of x, weight and bias, computed by libtorch's two operators in
    /// f64 from the same rounded inputs.
    fn plain(inputs: &[Tensor; 3]) -> Vec<Tensor> {
        let wide = inputs.each_ref().map(|t| t.detach().to_kind(Kind::Double).set_requires_grad(true));
        let y = wide[0].group_norm(GROUPS, Some(&wide[1]), Some(&wide[2]), 1e-5, true).silu();
        with_gradients(y, &wide, false)
    }

    fn fused(inputs: &[Tensor; 3]) -> Tensor {
        group_norm_silu(&inputs[0], GROUPS, &inputs[1], &inputs[2], 1e-5).unwrap().unwrap()
    }

    fn with_gradients(y: Tensor, inputs: &[Tensor; 3], create_graph: bool) -> Vec<Tensor> {
        let upstream = values(&y.size(), 0.4).to_kind(Kind::BFloat16).to_kind(y.kind());
        let loss = (&y * upstream).sum(y.kind());
        let mut all = Tensor::run_backward(&[loss], inputs, create_graph, create_graph);
        all.insert(0, y);
        all
    }

    fn distance(got: &Tensor, want: &Tensor) -> f64 {
        let (got, want) = (got.to_kind(Kind::Double), want.to_kind(Kind::Double));
        ((got - &want).norm() / want.norm()).double_value(&[])
    }

    #[test]
    fn value_and_gradients_are_those_of_the_two_operators() {
        // Areas of whole vectors, with a remainder, and of a single value; sums of several blocks.
        for size in [vec![3, 8, 16, 16], vec![2, 12, 15, 13], vec![2, 64, 33], vec![1, 8, 40, 40], vec![2, 2048]] {
            for (kind, bound) in [(Kind::Float, 2e-6), (Kind::BFloat16, 6e-3)] {
                let inputs = leaves(&size, kind);
                let got = with_gradients(fused(&inputs), &inputs, false);
                for (i, (got, want)) in got.iter().zip(plain(&inputs)).enumerate() {
                    assert_eq!(got.kind(), kind);
                    let off = distance(got, &want);
                    assert!(off < bound, "{kind:?} {size:?}, result {i}: off by {off}");
                }
            }
        }
    }

    #[test]
    fn gradients_can_be_differentiated() {
        let inputs = leaves(&[2, 8, 16, 16], Kind::Float);
        let second = |inputs: &[Tensor; 3], y: Tensor| {
            let first = with_gradients(y, inputs, true);
            with_gradients(first[1].square(), inputs, false)
        };
        let wide = inputs.each_ref().map(|t| t.detach().to_kind(Kind::Double).set_requires_grad(true));
        let y = wide[0].group_norm(GROUPS, Some(&wide[1]), Some(&wide[2]), 1e-5, true).silu();
        for (got, want) in second(&inputs, fused(&inputs)).iter().zip(second(&wide, y)) {
            assert!(distance(got, &want) < 1e-4, "off by {}", distance(got, &want));
        }
    }

    #[test]
    fn values_that_are_not_finite_stay_so_and_large_ones_do_not_overflow() {
        let ones = Tensor::ones([4], (Kind::Float, Device::Cpu));
        let x = values(&[1, 4, 512], 0.0).to_kind(Kind::Float);
        let y = group_norm_silu(&x, GROUPS, &(&ones * 1e4), &ones, 1e-5).unwrap().unwrap();
        assert!(bool::try_from(y.isfinite().all()).unwrap());
        for kind in [Kind::Float, Kind::BFloat16] {
            let x = (&x * f64::NAN).to_kind(kind);
            let y = group_norm_silu(&x, GROUPS, &ones, &ones, 1e-5).unwrap().unwrap();
            assert!(bool::try_from(y.isnan().all()).unwrap(), "{kind:?}");
        }
    }

    /// The fused operator has no forward derivative: it must return `None` for a tangent rather
    /// than drop it.
    #[test]
    fn tangents_go_through_the_two_operators() {
        let [x, weight, bias] = leaves(&[2, 8, 16, 16], Kind::Float).map(|t| t.detach());
        let direction = values(&x.size(), 0.7).to_kind(Kind::Float);
        for which in 0..3 {
            let dual_is_refused = crate::forward_ad::with_level(|level| {
                let mut inputs = [&x, &weight, &bias].map(Tensor::shallow_clone);
                let tangent = direction.flatten(0, -1).narrow(0, 0, inputs[which].numel() as i64);
                inputs[which] = level.dual(&inputs[which], &tangent.view_as(&inputs[which])).unwrap();
                group_norm_silu(&inputs[0], GROUPS, &inputs[1], &inputs[2], 1e-5).unwrap().is_none()
            });
            assert_eq!(dual_is_refused, Ok(true), "input {which}");
        }
        assert!(group_norm_silu(&x, GROUPS, &weight, &bias, 1e-5).unwrap().is_some());
    }

    #[test]
    fn what_has_no_kernel_is_left_to_the_two_operators() {
        let [x, weight, bias] = leaves(&[2, 8, 16, 16], Kind::Float);
        let none = |x: &Tensor, groups| group_norm_silu(x, groups, &weight, &bias, 1e-5).unwrap().is_none();
        assert!(none(&x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]), GROUPS));
        assert!(none(&x.to_kind(Kind::Double), GROUPS));
        assert!(none(&x.to_kind(Kind::Half), GROUPS));
        assert!(none(&x, 3) && none(&x, 0) && none(&x.narrow(0, 0, 0), GROUPS));
        assert!(!none(&x, GROUPS) && none(&x.narrow(2, 0, 15).contiguous(), GROUPS));
    }
}
