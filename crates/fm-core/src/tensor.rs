//! The same algebra over libtorch tensors (feature `tch`).
//!
//! A tensor is a state like any other: [`interpolate`](crate::interpolate::interpolate) and the solvers see its linear combinations. The
//! coefficients of a batch go to the device as one small block a combination, and nothing is read back.

use crate::loss::{Loss, Reduction};
use crate::state::{Bound, OdeState, RowState, Tolerance};
use crate::tape::Tape;
use std::fmt::Debug;
use tch::{Device, Kind, Tensor, no_grad};

/// A network that predicts a velocity, or another [`Prediction`](crate::prediction::Prediction).
pub trait VelocityModel: Debug + Send {
    /// v(x, t | condition): x is (B, ...), t is (B) in [0, 1], or (1) where all rows are at one time; the condition is one class index
    /// (int64) per row, if any. `train` switches dropout on.
    fn forward_t(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>, train: bool) -> Tensor;

    /// [`forward_t`](Self::forward_t) in training, with the network's blocks run through a tape. A network that has none keeps all its
    /// activations.
    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let _ = tape;
        self.forward_t(x, t, condition, true)
    }
}

/// What a parameter does in its network, as far as optimizers care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A weight matrix or a kernel between hidden layers.
    Hidden,
    /// The matrix or kernel of a first or a last layer.
    Edge,
    /// A row for each class.
    Table,
    /// Biases, and scales of normalisations.
    Vector,
}

impl OdeState for Tensor {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        let Some(((c, first), rest)) = terms.split_first() else { return Tensor::new() };
        rest.iter().filter(|(c, _)| *c != 0.0).fold(*first * *c, |sum, (c, s)| sum + *s * *c)
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64 {
        // One device-to-host read per step: the accept/reject decision needs it.
        scaled_squares(error, before, after, tol).mean(Kind::Double).sqrt().double_value(&[])
    }

    fn assign_combination(&mut self, terms: &[(f64, &Self)]) {
        let Some(((c, first), rest)) = terms.split_first() else { return };
        self.copy_(first);
        if *c != 1.0 {
            let _ = self.g_mul_scalar_(*c);
        }
        for (c, s) in rest.iter().filter(|(c, _)| *c != 0.0) {
            *self += *s * *c;
        }
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.size().iter().skip(1).product::<i64>() as usize)
    }

    fn untracked<R>(work: impl FnOnce() -> R) -> R {
        no_grad(work)
    }
}

/// (e / scale)^2, in f64.
fn scaled_squares(error: &Tensor, before: &Tensor, after: &Tensor, tol: &Tolerance) -> Tensor {
    let larger = before.abs().maximum(&after.abs());
    let scale = match (&tol.rtol, &tol.atol) {
        (Bound::All(rtol), Bound::All(atol)) => larger * *rtol + *atol,
        (rtol, atol) => larger * spread(rtol, error) + spread(atol, error),
    };
    (error / scale).to_kind(Kind::Double).square()
}

/// A bound as a tensor that broadcasts against a batch.
fn spread(bound: &Bound, like: &Tensor) -> Tensor {
    let dim: i64 = like.size().iter().skip(1).product();
    let values: Vec<f64> = (0..dim as usize).map(|i| bound.at(i)).collect();
    let shape: Vec<i64> = std::iter::once(1).chain(like.size().into_iter().skip(1)).collect();
    Tensor::from_slice(&values).to_kind(like.kind()).to_device(like.device()).view(shape.as_slice())
}

impl RowState for Tensor {
    fn rows(&self) -> usize {
        self.size().first().map_or(0, |rows| *rows as usize)
    }

    fn row_combination(terms: &[(&[f64], &Self)]) -> Self {
        let Some(((plus, first), rest)) = terms.split_first() else { return Tensor::new() };
        let all = |c: &[f64], value: f64| c.iter().all(|c| *c == value);
        if let [(minus, second)] = rest
            && all(plus, 1.0)
            && all(minus, -1.0)
        {
            // The target of straight paths, x1 - x0: the same bits without anything to upload.
            return *first - *second;
        }
        let columns = Columns::of(terms, first);
        let start = columns.scale(first, 0);
        rest.iter().enumerate().fold(start, |sum, (k, (_, s))| sum.addcmul(s, &columns.get(k + 1)))
    }

    fn assign_row_combination(&mut self, terms: &[(&[f64], &Self)]) {
        let Some(((plus, first), rest)) = terms.split_first() else { return };
        let columns = Columns::of(terms, first);
        self.copy_(first);
        let _ = match shared(plus) {
            Some(c) => self.g_mul_scalar_(c),
            None => self.g_mul_(&columns.get(0)),
        };
        for (k, (_, s)) in rest.iter().enumerate() {
            // Not addcmul_: fused or not, by vector or by scalar, its rounding depends on how many rows there are.
            *self += columns.scale(s, k + 1);
        }
    }

    fn row_error_norms(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> Vec<f64> {
        let squares = scaled_squares(error, before, after, tol).flatten(1, -1);
        let norms = squares.mean_dim(1, false, Kind::Double).sqrt();
        // The one read of a step. A device that cannot be read has no norms, and the solve ends for want of them.
        Vec::try_from(norms.to_device(Device::Cpu)).unwrap_or_default()
    }

    fn select_rows(&self, rows: &[usize]) -> Self {
        self.index_select(0, &indices(rows, self.device()))
    }

    fn put_rows(&mut self, rows: &[usize], from: &Self) {
        let _ = self.index_copy_(0, &indices(rows, self.device()), from);
    }
}

/// Row numbers as int64 on a device.
pub fn indices(rows: &[usize], device: Device) -> Tensor {
    Tensor::from_slice(&rows.iter().map(|r| *r as i64).collect::<Vec<_>>()).to_device(device)
}

/// The value that all entries have, if they have one.
fn shared(values: &[f64]) -> Option<f64> {
    let (first, rest) = values.split_first()?;
    rest.iter().all(|value| value == first).then_some(*first)
}

/// One time per row, (B), in the type and on the device of `x`, or (1) where all rows share it. A shared time is filled in on the
/// device: an upload from pageable memory would wait for the device's queue.
///
/// ```
/// use fm_core::tensor::times_like;
/// use tch::{Device, Kind, Tensor};
/// let x = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu));
/// assert_eq!(Vec::<f32>::try_from(times_like(&x, &[0.5, 0.5, 0.5])).unwrap(), [0.5]);
/// assert_eq!(Vec::<f32>::try_from(times_like(&x, &[0.5, 0.5, 1.0])).unwrap(), [0.5, 0.5, 1.0]);
/// ```
pub fn times_like(x: &Tensor, t: &[f64]) -> Tensor {
    match shared(t) {
        Some(t) => Tensor::full([1], t, (x.kind(), x.device())),
        None => Tensor::from_slice(t).to_kind(x.kind()).to_device(x.device()),
    }
}

/// The coefficients of a combination: scalars for terms whose rows share one, and one uploaded block for the others.
struct Columns {
    terms: Vec<Coefficient>,
    block: Option<Tensor>,
    shape: Vec<i64>,
    options: (Kind, Device),
}

/// The coefficients of one term.
enum Coefficient {
    Shared(f64),
    /// Column of the block.
    Column(i64),
}

impl Columns {
    fn of(terms: &[(&[f64], &Tensor)], like: &Tensor) -> Self {
        let (mut values, mut count) = (Vec::new(), 0);
        let mut coefficient = |c: &[f64]| {
            shared(c).map_or_else(
                || {
                    values.extend_from_slice(c);
                    count += 1;
                    Coefficient::Column(count - 1)
                },
                Coefficient::Shared,
            )
        };
        let terms = terms.iter().map(|(c, _)| coefficient(c)).collect();
        let options = (like.kind(), like.device());
        // Narrowed on the host, so that the block crosses at its final size.
        let block = (count > 0).then(|| Tensor::from_slice(&values).to_kind(options.0).to_device(options.1));
        let ones = std::iter::repeat_n(1, like.dim().saturating_sub(1));
        Self { terms, block, shape: std::iter::once(like.rows() as i64).chain(ones).collect(), options }
    }

    /// The coefficients of term k as a column that broadcasts over the rows' values. A shared one fills a whole column too, because
    /// `addcmul` rounds differently when it broadcasts a single value.
    fn get(&self, k: usize) -> Tensor {
        match (&self.terms[k], &self.block) {
            (Coefficient::Shared(c), _) => Tensor::full(self.shape.as_slice(), *c, self.options),
            (Coefficient::Column(column), Some(block)) => {
                let rows = self.shape[0];
                block.narrow(0, column * rows, rows).view(self.shape.as_slice())
            }
            // A column is only counted where there is a block.
            (Coefficient::Column(_), None) => Tensor::full(self.shape.as_slice(), f64::NAN, self.options),
        }
    }

    /// A state times the coefficients of term k.
    fn scale(&self, state: &Tensor, k: usize) -> Tensor {
        match self.terms[k] {
            Coefficient::Shared(c) => state * c,
            Coefficient::Column(_) => state * self.get(k),
        }
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

    /// Coefficients that rows share are filled in on the device; the bits are those of uploaded columns.
    #[test]
    fn shared_coefficients_give_the_bits_of_columns() {
        let state = |seed| {
            Tensor::from_slice(&crate::rng::normal_rows(seed, 0, crate::rng::Stream::Data, 0, 5, 7)).view([5, 7])
        };
        let (x, y, column) = (state(1), state(2), |c: f64| Tensor::from_slice(&[c as f32; 5]).view([5, 1]));
        let (a, b, rows) = ([0.3; 5], [-1.7; 5], [0.1, 0.2, 0.3, 0.4, 0.5]);
        let rest = Tensor::from_slice(&rows.map(|c| c as f32)).view([5, 1]);
        let want = (&x * column(0.3)).addcmul(&y, &column(-1.7));
        assert_eq!(Tensor::row_combination(&[(&a, &x), (&b, &y)]), want);
        assert_eq!(Tensor::row_combination(&[(&a, &x), (&rows, &y)]), (&x * column(0.3)).addcmul(&y, &rest));
        assert_eq!(Tensor::row_combination(&[(&rows, &x), (&b, &y)]), (&x * &rest).addcmul(&y, &column(-1.7)));
        let mut held = state(3);
        held.assign_row_combination(&[(&a, &x), (&rows, &y), (&b, &y)]);
        assert_eq!(held, &x * column(0.3) + &y * &rest + &y * column(-1.7));
    }

    #[test]
    fn tensors_and_vectors_agree_as_states() {
        let (a, b, e) = (vec![1.0, -2.0, 3.0], vec![0.5, 0.25, -4.0], vec![1e-3, 2e-3, -5e-3]);
        let tensor = |v: &Vec<f64>| Tensor::from_slice(v);
        let want = Vec::linear_combination(&[(1.0, &a), (-0.5, &b), (3.0, &e)]);
        let got = Tensor::linear_combination(&[(1.0, &tensor(&a)), (-0.5, &tensor(&b)), (3.0, &tensor(&e))]);
        assert!(Vec::<f64>::try_from(&got).unwrap().iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-12));
        let (rows, weights) = (|v: &Vec<f64>| Tensor::from_slice(v).view([3, 1]), [[1.0, 2.0, 0.0], [-0.5, 1.0, 4.0]]);
        let terms = [(&weights[0][..], &rows(&a)), (&weights[1][..], &rows(&b)), (&weights[0][..], &rows(&e))];
        let mut held = rows(&e);
        held.assign_row_combination(&terms);
        assert!(held.allclose(&Tensor::row_combination(&terms), 1e-14, 1e-14, false));
        let by_hand = [1.0 - 0.25 + 1e-3, -4.0 + 0.25 + 4e-3, -16.0];
        assert!((held.view(-1) - Tensor::from_slice(&by_hand)).abs().max().double_value(&[]) < 1e-14);
        let mut held = tensor(&a);
        held.assign_combination(&[(1.0, &tensor(&a)), (-0.5, &tensor(&b)), (3.0, &tensor(&e))]);
        assert_eq!(held, got);
        for tol in [Tolerance::new(1e-2, 1e-3), Tolerance::new(vec![1e-2, 1e-3, 0.5], 1e-3)] {
            let batch = |v: &Vec<f64>| Tensor::from_slice(v).view([1, 3]);
            let norm = Tensor::error_norm(&batch(&e), &batch(&a), &batch(&b), &tol);
            assert!((norm - Vec::error_norm(&e, &a, &b, &tol)).abs() < 1e-12);
        }
    }
}
