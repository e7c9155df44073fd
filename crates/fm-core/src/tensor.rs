//! The same algebra over libtorch tensors (feature `tch`).
//!
//! A path's coefficients are evaluated on the host for the B times of a batch and uploaded as one (3, B) block; the
//! tensors then see three broadcast multiplications and no device-to-host read.

use crate::path::ProbPath;
use crate::state::{OdeState, Tolerance};
use std::fmt::Debug;
use tch::{Device, Kind, Tensor, no_grad};

/// A network that predicts a velocity.
pub trait VelocityModel: Debug + Send {
    /// v(x, t | condition): x is (B, ...), t is (B) in [0, 1], the condition one class index (int64) per row, if any.
    /// `train` switches dropout on.
    fn forward_t(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>, train: bool) -> Tensor;
}

impl OdeState for Tensor {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        no_grad(|| {
            let Some(((c, first), rest)) = terms.split_first() else { return Tensor::new() };
            let mut out = if *c == 1.0 { first.copy() } else { *first * *c };
            for (c, s) in rest.iter().filter(|(c, _)| *c != 0.0) {
                // g_add has no scaled in-place form in tch; addcmul with a scalar tensor would upload one per term.
                out += *s * *c;
            }
            out
        })
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: Tolerance) -> f64 {
        no_grad(|| {
            let scale = before.abs().maximum(&after.abs()) * tol.rtol + tol.atol;
            // One device-to-host read per step: the accept/reject decision needs it.
            (error / scale).to_kind(Kind::Double).square().mean(Kind::Double).sqrt().double_value(&[])
        })
    }
}

/// A batch on its path: what the model sees and what it should say.
#[derive(Debug)]
pub struct PathSample {
    /// x_t, shaped as the data.
    pub x_t: Tensor,
    /// The velocity at x_t, shaped as the data.
    pub velocity: Tensor,
    /// The times, (B), f32.
    pub t: Tensor,
}

/// Puts a batch on its path at `times`: x_t = alpha x1 + sigma x0 and u = alpha' x1 + sigma' x0, with x0 and x1 (B, ...).
pub fn interpolate(path: &dyn ProbPath, x0: &Tensor, x1: &Tensor, times: &[f64]) -> PathSample {
    let b = times.len();
    let mut block = vec![0f32; 5 * b];
    for (i, &t) in times.iter().enumerate() {
        let c = path.coefficients(t);
        for (row, value) in [c.alpha, c.sigma, c.d_alpha, c.d_sigma, t].into_iter().enumerate() {
            block[row * b + i] = value as f32;
        }
    }
    let block = Tensor::from_slice(&block).view([5, b as i64]).to_device(x1.device());
    let mut per_row = vec![b as i64];
    per_row.resize(x1.dim(), 1);
    let row = |i: i64| block.get(i).view(per_row.as_slice());
    PathSample { x_t: x1 * row(0) + x0 * row(1), velocity: x1 * row(2) + x0 * row(3), t: block.get(4) }
}

/// The flow-matching loss mean((v - u)^2) over all elements: a 0-d tensor, in the squared unit of the velocity.
pub fn velocity_loss(prediction: &Tensor, velocity: &Tensor) -> Tensor {
    prediction.to_kind(Kind::Float).mse_loss(velocity, tch::Reduction::Mean)
}

/// Uploads host rows as a tensor of `shape`.
pub fn upload(values: &[f32], shape: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(values).view(shape).to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Linear;

    #[test]
    fn interpolation_is_the_paths_formula() {
        let x0 = Tensor::from_slice(&[1f32, 2., 3., 4.]).view([2, 2]);
        let x1 = Tensor::from_slice(&[5f32, 6., 7., 8.]).view([2, 2]);
        let s = interpolate(&Linear, &x0, &x1, &[0.0, 0.75]);
        assert_eq!(Vec::<f32>::try_from(s.x_t.view(-1)).unwrap(), [1., 2., 6., 7.]);
        assert_eq!(Vec::<f32>::try_from(s.velocity.view(-1)).unwrap(), [4.0; 4]);
        assert_eq!(f64::try_from(velocity_loss(&s.velocity, &(&s.velocity + 2.0))).unwrap(), 4.0);
    }

    #[test]
    fn tensors_and_vectors_agree_as_states() {
        let (a, b, e) = (vec![1.0, -2.0, 3.0], vec![0.5, 0.25, -4.0], vec![1e-3, 2e-3, -5e-3]);
        let tensor = |v: &Vec<f64>| Tensor::from_slice(v);
        let want = Vec::linear_combination(&[(1.0, &a), (-0.5, &b), (3.0, &e)]);
        let got = Tensor::linear_combination(&[(1.0, &tensor(&a)), (-0.5, &tensor(&b)), (3.0, &tensor(&e))]);
        assert!(Vec::<f64>::try_from(&got).unwrap().iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-12));
        let tol = Tolerance { rtol: 1e-2, atol: 1e-3 };
        let norm = Tensor::error_norm(&tensor(&e), &tensor(&a), &tensor(&b), tol);
        assert!((norm - Vec::error_norm(&e, &a, &b, tol)).abs() < 1e-12);
    }
}
