//! The same algebra over libtorch tensors (feature `tch`).
//!
//! A tensor is a state like any other: [`interpolate`](crate::interpolate::interpolate) and the solvers see its linear combinations. The
//! coefficients of a batch go to the device as one small block a combination, and nothing is read back.

use crate::loss::{Loss, Reduction};
use crate::state::{OdeState, RowState, Tolerance};
use std::fmt::Debug;
use tch::{Device, Kind, Tensor, no_grad};

/// A network that predicts a velocity, or another [`Prediction`](crate::prediction::Prediction).
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

impl RowState for Tensor {
    fn rows(&self) -> usize {
        self.size().first().map_or(0, |rows| *rows as usize)
    }

    fn row_combination(terms: &[(&[f64], &Self)]) -> Self {
        let Some((_, first)) = terms.first() else { return Tensor::new() };
        let rows = first.rows() as i64;
        let values: Vec<f64> = terms.iter().flat_map(|(c, _)| c.iter().copied()).collect();
        // Narrowed on the host, so that the block crosses at its final size.
        let block = Tensor::from_slice(&values).to_kind(first.kind()).to_device(first.device());
        let shape: Vec<i64> =
            std::iter::once(rows).chain(std::iter::repeat_n(1, first.dim().saturating_sub(1))).collect();
        let column = |k: usize| block.narrow(0, k as i64 * rows, rows).view(shape.as_slice());
        let (_, rest) = terms.split_at(1);
        rest.iter().enumerate().fold(*first * column(0), |sum, (k, (_, s))| sum.addcmul(s, &column(k + 1)))
    }
}

/// The loss of each row, (B) in f32: [`Loss::value`] of [`Reduction`] over all dimensions but the first.
pub fn row_losses(prediction: &Tensor, target: &Tensor, loss: Loss, reduction: Reduction) -> Tensor {
    let squares = (prediction.to_kind(Kind::Float) - target).square().flatten(1, -1);
    let squared = squares.sum_dim_intlist(1, false, Kind::Float) * reduction.scale(squares.size()[1] as usize);
    match loss {
        Loss::Mse => squared,
        Loss::PseudoHuber { c } => &squared / ((&squared + c * c).sqrt() + c),
    }
}

/// Uploads one value a row as an f32 tensor (B).
pub fn upload_rows(values: &[f64], device: Device) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Float).to_device(device)
}

/// Uploads host rows as a tensor of `shape`.
pub fn upload(values: &[f32], shape: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(values).view(shape).to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpolate::{coefficients, convert, interpolate};
    use crate::path::PathKind;
    use crate::prediction::Prediction;
    use ndarray::Array2;

    fn tensor(x: &Array2<f32>) -> Tensor {
        Tensor::from_slice(x.as_slice().unwrap()).view([x.nrows() as i64, x.ncols() as i64])
    }

    fn flat(x: &Tensor) -> Vec<f32> {
        Vec::try_from(x.reshape([-1])).unwrap()
    }

    #[test]
    fn tensors_and_arrays_agree_on_every_path() {
        let rows =
            |seed| Array2::from_shape_vec((5, 3), crate::rng::normal_rows(seed, 0, crate::rng::Stream::Data, 0, 5, 3));
        let (x0, x1, eps) = (rows(1).unwrap(), rows(2).unwrap(), rows(3).unwrap());
        for path in ["linear", "constant-noise", "trigonometric", "vp", "polynomial:3", "bridge"] {
            let c = coefficients(&path.parse::<PathKind>().unwrap(), &[0.1, 0.3, 0.5, 0.8, 0.9]).unwrap();
            let host = interpolate(&c, Prediction::Velocity, &x0, &x1, Some(&eps)).unwrap();
            let device =
                interpolate(&c, Prediction::Velocity, &tensor(&x0), &tensor(&x1), Some(&tensor(&eps))).unwrap();
            let close = |t: &Tensor, a: &Array2<f32>| {
                flat(t).iter().zip(a).all(|(t, a)| (t - a).abs() <= 1e-6 * (1.0 + a.abs()))
            };
            assert!(close(&device.x_t, &host.x_t) && close(&device.target, &host.target), "{path}");
            if c[0].gamma == 0.0 {
                let host = convert(&c, Prediction::Velocity, Prediction::Data, &host.x_t, &host.target).unwrap();
                let device = convert(&c, Prediction::Velocity, Prediction::Data, &device.x_t, &device.target).unwrap();
                assert!(
                    flat(&device).iter().zip(&host).all(|(t, a)| (t - a).abs() <= 2e-5 * (1.0 + a.abs())),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn losses_on_tensors_are_the_scalar_formulas() {
        let (p, q) = (
            Tensor::from_slice(&[1f32, 2., 3., -4.]).view([2, 2]),
            Tensor::from_slice(&[0f32, 2.5, 3., 1.]).view([2, 2]),
        );
        for loss in ["mse", "pseudo-huber:c=0.3"].map(|l| l.parse::<Loss>().unwrap()) {
            for reduction in [Reduction::Mean, Reduction::Sum] {
                let got = flat(&row_losses(&p, &q, loss, reduction));
                let want = [[1.0, -0.5], [0.0, -5.0]].map(|e| loss.value(reduction.reduce(&e)) as f32);
                assert!(
                    got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6 * (1.0 + w)),
                    "{loss} {reduction}: {got:?}"
                );
            }
        }
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
