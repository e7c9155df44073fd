//! Muon: momentum with orthogonalised matrices.
//!
//! m <- mu m + (1 - mu) g; u = mu m + (1 - mu) g (Nesterov); p <- p (1 - lr decay) - 0.2
//! sqrt(max(rows, columns)) lr O. O approximates the orthogonal factor of u: a few iterations of X
//! <- a X + (b A + c A A) X, A = X X', bring the singular values of u / |u| near 1. The kernel of a
//! convolution counts as a matrix with one row per output channel. The factor 0.2 sqrt(max) gives
//! updates the size of AdamW's (Liu et al. 2025), so both can share a learning rate. Computed in
//! f32. Source: Jordan et al. (2024); compared with `torch.optim.Muon`.

use super::update::{Scaling, Update};
use crate::flat::Slot;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

const A: f64 = 3.4445;
const B: f64 = -4.7750;
const C: f64 = 2.0315;

pub(super) fn step(s: Update, scaling: &Scaling, momentum: f64, iterations: usize, slots: &[Slot]) {
    let Update { mut parameters, gradient, mut mean, lr, decay, .. } = s;
    let update_mask = &scaling.update;
    // Replace non-finite values by 0, so that a factor of 0 cancels the update.
    let gradient = (gradient / &scaling.divisor).nan_to_num(0.0, 0.0, 0.0);
    if decay > 0.0 {
        let _ = parameters.g_mul_(&(update_mask * (-lr * decay) + 1.0));
    }
    let _ = mean.lerp_tensor_(&gradient, &(update_mask * (1.0 - momentum)).to_kind(gradient.kind()));
    let update = gradient.lerp(&mean, momentum);
    let start = slots.first().map_or(0, |slot| slot.offset);
    let place = |flat: &Tensor, slot: &Slot| flat.narrow(0, slot.offset - start, slot.len());
    // Matrices of the same shape are stacked and iterated together.
    let mut by_shape: BTreeMap<[i64; 2], Vec<&Slot>> = BTreeMap::new();
    for slot in slots {
        by_shape.entry([slot.shape[0], slot.len() / slot.shape[0].max(1)]).or_default().push(slot);
    }
    for (shape, alike) in by_shape {
        let stacked = Tensor::stack(&alike.iter().map(|slot| place(&update, slot).view(shape)).collect::<Vec<_>>(), 0);
        let size = 0.2 * (shape[0].max(shape[1]) as f64).sqrt();
        let steps = orthogonal(&stacked, iterations) * (update_mask * (lr * size)).to_kind(Kind::Float);
        for (slot, step) in alike.iter().zip(steps.unbind(0)) {
            let _ = place(&parameters, slot).g_sub_(&step.reshape([-1]));
        }
    }
}

/// Approximately orthogonal factors of a stack of matrices.
fn orthogonal(stack: &Tensor, iterations: usize) -> Tensor {
    let size = stack.size();
    let tall = size[1] > size[2];
    let mut x = if tall { stack.transpose(1, 2) } else { stack.shallow_clone() };
    let norm = x.square().sum_dim_intlist([1, 2].as_slice(), true, Kind::Float).sqrt();
    x /= norm.clamp_min(1e-7);
    for _ in 0..iterations {
        let gram = x.bmm(&x.transpose(1, 2));
        let polynomial = &gram * B + gram.bmm(&gram) * C;
        x = &x * A + polynomial.bmm(&x);
    }
    if tall { x.transpose(1, 2) } else { x }
}
