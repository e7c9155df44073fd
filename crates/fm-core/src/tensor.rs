//! States, paths and losses over libtorch tensors (feature `tch`).
//!
//! A tensor is a state like an array: [`interpolate`](crate::interpolate::interpolate) and the
//! solvers use its linear combinations. The coefficients of a combination are uploaded as one small
//! block, and nothing is read back from the device.

mod model;
mod trained;

pub use model::{ConditionKind, Role, VelocityModel};
pub use trained::{BuildError, BuildModel, TrainedModel};

use crate::Error;
use crate::loss::{Reduction, RowLoss};
use crate::state::{
    Bound, OdeState, RowCombination, RowProducts, RowState, Shaped, Tolerance, demand_shape, demand_shapes,
    demand_terms,
};
use tch::{Device, Kind, Tensor, no_grad};

impl Shaped for Tensor {
    fn shape(&self) -> Vec<usize> {
        self.size().iter().map(|size| *size as usize).collect()
    }

    fn same_shape(&self, other: &Self) -> bool {
        self.size() == other.size()
    }
}

impl OdeState for Tensor {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        let Some(((c, first), rest)) = terms.split_first() else { return Tensor::new() };
        demand_one_shape(first, rest);
        let scaled = |s: &Self, c: f64| s * factor(c, s);
        let start = scaled(first, *c);
        rest.iter().filter(|(c, _)| *c != 0.0).fold(start, |sum, (c, s)| sum + scaled(s, *c))
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64 {
        demand_shapes(error, before, after);
        if error.numel() == 0 {
            return 0.0;
        }
        // One device-to-host read per step: the accept/reject decision needs it.
        let squares = scaled_squares(error, before, after, tol);
        let norm = squares.mean(Kind::Double).sqrt().double_value(&[]);
        if norm.is_finite() {
            return norm;
        }
        without_zeros(squares, error).mean(Kind::Double).sqrt().double_value(&[])
    }

    fn assign_combination(&mut self, terms: &[(f64, &Self)]) {
        let Some(((c, first), rest)) = terms.split_first() else { return };
        demand_one_shape(first, rest);
        self.copy_(first);
        if *c != 1.0 {
            let _ = self.g_mul_scalar_(factor(*c, self));
        }
        for (c, s) in rest.iter().filter(|(c, _)| *c != 0.0) {
            *self += *s * factor(*c, s);
        }
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.size().iter().skip(1).product::<i64>() as usize)
    }

    fn untracked<R>(work: impl FnOnce() -> R) -> R {
        no_grad(work)
    }
}

/// `c` as a factor of `x`. A value beyond the range of the tensor's kind becomes infinite, because
/// libtorch panics for it.
fn factor(c: f64, x: &Tensor) -> f64 {
    let most = match x.kind() {
        Kind::Double => f64::MAX,
        Kind::Half => 65504.0,
        _ => f64::from(f32::MAX),
    };
    if c.abs() > most { f64::INFINITY.copysign(c) } else { c }
}

/// Panics unless all terms have the first one's shape: libtorch would broadcast.
fn demand_one_shape(first: &Tensor, rest: &[(f64, &Tensor)]) {
    let size = first.size();
    for (k, (_, term)) in rest.iter().enumerate().filter(|(_, (_, term))| term.size() != size) {
        demand_shape(k + 1, first, *term);
    }
}

/// The squares, with 0 where both the error and its scale are 0.
fn without_zeros(squares: Tensor, error: &Tensor) -> Tensor {
    let nothing = error.eq(0.0).logical_and(&squares.isnan());
    squares.masked_fill(&nothing, 0.0)
}

/// (e / scale)^2, in f64.
fn scaled_squares(error: &Tensor, before: &Tensor, after: &Tensor, tol: &Tolerance) -> Tensor {
    let larger = before.abs().maximum(&after.abs());
    // Compute in f64 if a bound exceeds the range of f32; solvers use such bounds to test for
    // finite values.
    let bounds = [&tol.rtol, &tol.atol].map(|bound| bound.values().iter().copied().fold(0.0, f64::max));
    let wide = bounds.iter().any(|bound| *bound > f64::from(f32::MAX));
    let larger = if wide { larger.to_kind(Kind::Double) } else { larger };
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

impl RowCombination for Tensor {
    fn rows(&self) -> usize {
        self.size().first().map_or(0, |rows| *rows as usize)
    }

    fn row_combination(terms: &[(&[f64], &Self)]) -> Self {
        let Some(((plus, first), rest)) = terms.split_first() else { return Tensor::new() };
        demand_terms(terms, *first);
        let all = |c: &[f64], value: f64| c.iter().all(|c| *c == value);
        if let [(minus, second)] = rest
            && all(plus, 1.0)
            && all(minus, -1.0)
        {
            // The target of straight paths, x1 - x0: bit-identical to the general case, without an
            // upload.
            return *first - *second;
        }
        let columns = Columns::of(terms, first);
        let start = columns.scale(first, 0);
        rest.iter().enumerate().fold(start, |sum, (k, (_, s))| sum.addcmul(s, &columns.get(k + 1)))
    }

    fn assign_row_combination(&mut self, terms: &[(&[f64], &Self)]) {
        let Some(((plus, first), rest)) = terms.split_first() else { return };
        demand_terms(terms, *first);
        let columns = Columns::of(terms, first);
        self.copy_(first);
        let _ = match shared(plus) {
            Some(c) => self.g_mul_scalar_(factor(c, self)),
            None => self.g_mul_(&columns.get(0)),
        };
        for (k, (_, s)) in rest.iter().enumerate() {
            // Not addcmul_: its rounding depends on the number of rows, through fusing and
            // vectorization.
            *self += columns.scale(s, k + 1);
        }
    }
}

impl RowState for Tensor {
    fn row_error_norms(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> Vec<f64> {
        demand_shapes(error, before, after);
        if error.numel() == 0 {
            return vec![0.0; error.rows()];
        }
        let squares = scaled_squares(error, before, after, tol);
        let read = |squares: &Tensor| {
            let norms = flat_rows(squares).mean_dim(1, false, Kind::Double).sqrt();
            // The only read from the device per step. If it fails the norms are empty, and the
            // solve ends.
            Vec::<f64>::try_from(norms.to_device(Device::Cpu)).unwrap_or_default()
        };
        let norms = read(&squares);
        if norms.iter().all(|norm| norm.is_finite()) { norms } else { read(&without_zeros(squares, error)) }
    }

    fn select_rows(&self, rows: &[usize]) -> Self {
        self.index_select(0, &indices(rows, self.device()))
    }

    fn put_rows(&mut self, rows: &[usize], from: &Self) {
        let _ = self.index_copy_(0, &indices(rows, self.device()), from);
    }
}

impl RowProducts for Tensor {
    fn row_products(&self, other: &Self) -> Vec<f64> {
        demand_shape(1, self, other);
        if self.numel() == 0 || self.dim() == 0 {
            return vec![0.0; self.rows()];
        }
        let products = flat_rows(&(self.to_kind(Kind::Double) * other.to_kind(Kind::Double)));
        read_rows(&products.sum_dim_intlist(1, false, Kind::Double))
    }

    fn row_variances(&self) -> Vec<f64> {
        // Fewer than two values per row, or no axes.
        if self.numel() < 2 * self.rows().max(1) {
            return vec![f64::NAN; self.rows()];
        }
        read_rows(&flat_rows(&self.to_kind(Kind::Double)).var_dim(1, true, false))
    }
}

/// One f64 per row; NaN if the read fails, which a solver reports.
fn read_rows(values: &Tensor) -> Vec<f64> {
    Vec::try_from(values.to_device(Device::Cpu)).unwrap_or_else(|_| vec![f64::NAN; values.rows()])
}

/// A batch as (rows, values per row). Rows may be single numbers, (B), or be empty.
/// A single number is one row.
pub fn flat_rows(x: &Tensor) -> Tensor {
    if x.dim() == 0 {
        return x.reshape([1, 1]);
    }
    let values: i64 = x.size().iter().skip(1).product();
    x.reshape([x.rows() as i64, values])
}

/// Row numbers as int64 on a device.
pub fn indices(rows: &[usize], device: Device) -> Tensor {
    Tensor::from_slice(&rows.iter().map(|r| *r as i64).collect::<Vec<_>>()).to_device(device)
}

/// The common value of all entries, if they are equal.
fn shared(values: &[f64]) -> Option<f64> {
    let (first, rest) = values.split_first()?;
    rest.iter().all(|value| value == first).then_some(*first)
}

/// One time per row, (B), with the kind and device of `x`, or (1) if all rows share the time. A
/// shared time is filled in on the device, because an upload from pageable memory would wait for
/// the device's queue.
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
        Some(t) => Tensor::full([1], factor(t, x), (x.kind(), x.device())),
        None => Tensor::from_slice(t).to_kind(x.kind()).to_device(x.device()),
    }
}

/// The coefficients of a combination: scalars for terms with one value for all rows, and one
/// uploaded block for the others.
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
                |c| Coefficient::Shared(factor(c, like)),
            )
        };
        let terms = terms.iter().map(|(c, _)| coefficient(c)).collect();
        let options = (like.kind(), like.device());
        // Convert on the host, so that the block is uploaded in its final size.
        let block = (count > 0).then(|| Tensor::from_slice(&values).to_kind(options.0).to_device(options.1));
        let ones = std::iter::repeat_n(1, like.dim().saturating_sub(1));
        Self { terms, block, shape: std::iter::once(like.rows() as i64).chain(ones).collect(), options }
    }

    /// The coefficients of term k as a column that broadcasts over the rows' values. A shared
    /// coefficient also fills a whole column, because `addcmul` rounds differently when it
    /// broadcasts a single value.
    fn get(&self, k: usize) -> Tensor {
        match (&self.terms[k], &self.block) {
            (Coefficient::Shared(c), _) => Tensor::full(self.shape.as_slice(), *c, self.options),
            (Coefficient::Column(column), Some(block)) => {
                let rows = self.shape[0];
                block.narrow(0, column * rows, rows).view(self.shape.as_slice())
            }
            // A column index is assigned only if there is a block.
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

/// The loss of each row, (B) in f32: [`RowLoss::value`] of the [`Reduction`] over all dimensions
/// except the first.
///
/// # Errors
/// [`Error::Shape`] for a prediction whose shape differs from the target's (it would broadcast),
/// and for tensors without a batch axis; [`Error::Combination`] for tensors on different devices.
pub fn row_losses(
    prediction: &Tensor,
    target: &Tensor,
    loss: &(impl RowLoss + ?Sized),
    reduction: Reduction,
) -> Result<Tensor, Error> {
    if !prediction.same_shape(target) || prediction.dim() == 0 {
        let what = "the prediction of the network";
        return Err(Error::Shape { what, expected: target.shape(), got: prediction.shape() });
    }
    if prediction.device() != target.device() {
        let [what, with] = [prediction, target].map(|x| format!("a tensor on {:?}", x.device()));
        return Err(Error::Combination { what, with, why: "they are on different devices; move both to one" });
    }
    let squares = flat_rows(&(prediction.to_kind(Kind::Float) - target).square());
    let squared = squares.sum_dim_intlist(1, false, Kind::Float) * reduction.scale(squares.size()[1] as usize);
    Ok(loss.on_tensor(&squared))
}

/// Uploads one value per row as an f32 tensor (B).
pub fn upload_rows(values: &[f64], device: Device) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Float).to_device(device)
}

/// Uploads host rows as a tensor of `shape`.
///
/// # Panics
/// When the number of values does not match `shape`.
pub fn upload(values: &[f32], shape: &[i64], device: Device) -> Tensor {
    let wanted = shape.iter().try_fold(1i64, |product, size| product.checked_mul(*size));
    assert!(wanted == i64::try_from(values.len()).ok(), "{} values do not have the shape {shape:?}", values.len());
    Tensor::from_slice(values).view(shape).to_device(device)
}

#[cfg(test)]
mod tests;
