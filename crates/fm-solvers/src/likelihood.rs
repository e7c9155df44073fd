//! Log-densities along a flow, with autograd on tensors.
//!
//! Along dx/dt = v(x, t) the log-density of a point changes by d log p / dt = -div v. The
//! divergence is integrated together with the point, as one more column of the state, by any
//! solver. For a solve from the data back to the source,
//!
//! log p_1(x_1) = log p_0(x_0) - integral from 0 to 1 of div v(x_t, t) dt.
//!
//! The divergence is either exact, with one backward pass per dimension, or an unbiased estimate
//! eps . (dv/dx)^T eps with E\[eps eps^T\] = I (Hutchinson), with one backward pass per probe. Each
//! row keeps its probes for a whole solve, so that the solver integrates a smooth function.
//!
//! Sources: Chen et al., "Neural Ordinary Differential Equations" (2018); Grathwohl et al.,
//! "FFJORD" (2019); Hutchinson (1989).

use crate::per_sample::{self, BatchSolution};
use crate::{AdaptiveOptions, SaveAt, SolveError, tableau::Tableau};
use fm_core::field::RowField;
use fm_core::rng::{Key, Stream, fill_normal};
use fm_core::state::{Bound, RowCombination, Shaped, Tolerance};
use fm_core::tensor::{flat_rows, indices};
use std::cell::RefCell;
use tch::{Kind, Tensor, with_grad};

fm_core::choice! {
    /// The distribution of the probes of Hutchinson's estimate.
    #[derive(Default)]
    pub enum Probe("probe") {
        /// 1 or -1 with equal probability, which has the least variance.
        #[default]
        Rademacher = "rademacher",
        /// Standard normal.
        Gaussian = "gaussian",
    }
}

/// How the divergence is computed.
#[derive(Debug)]
pub enum Divergence {
    /// With one backward pass per dimension.
    Exact,
    /// The average over probes, each shaped as the initial batch, with one backward pass per probe.
    Hutchinson(Vec<Tensor>),
}

impl Divergence {
    /// The maximum number of probes.
    pub const MAX_PROBES: usize = 10_000;

    /// Hutchinson's estimate with `probes` probes per row of a batch shaped as `like`, whose first
    /// row is row `key.first_row` of the data set. A probe is a function of the row and of the
    /// seed and step of the key, independent of how the data are divided into batches; it comes
    /// from [`Stream::Probe`], and probe i from step `key.step + i`.
    ///
    /// # Errors
    /// [`SolveError::Control`] unless there are 1 to [`MAX_PROBES`](Self::MAX_PROBES) probes,
    /// [`SolveError::NoRows`] for a single number.
    pub fn hutchinson(kind: Probe, probes: usize, key: Key, like: &Tensor) -> Result<Self, SolveError> {
        if !(1..=Self::MAX_PROBES).contains(&probes) {
            let remedy = "give from 1 to 10000";
            return Err(SolveError::Control { what: "the number of probes", value: probes as f64, remedy });
        }
        if like.dim() == 0 {
            return Err(SolveError::NoRows);
        }
        let (rows, dim) = (like.rows(), like.size().iter().skip(1).product::<i64>() as usize);
        let draw = |probe: usize| {
            let mut values = vec![0f32; rows * dim];
            let key = Key { step: key.step.wrapping_add(probe as u64), ..key.with_stream(Stream::Probe) };
            for (row, out) in values.chunks_exact_mut(dim.max(1)).enumerate() {
                fill_normal(&mut key.generator(row), out);
            }
            if kind == Probe::Rademacher {
                values.iter_mut().for_each(|v| *v = v.signum());
            }
            Tensor::from_slice(&values).view(like.size().as_slice()).to_kind(like.kind()).to_device(like.device())
        };
        Ok(Self::Hutchinson((0..probes).map(draw).collect()))
    }

    fn check(&self, x: &Tensor) -> Result<(), SolveError> {
        let points = x.size();
        let probes = match self {
            Self::Exact => None,
            Self::Hutchinson(probes) => Some(probes.iter().map(Tensor::size).collect::<Vec<_>>()),
        };
        let fit = probes.as_ref().is_none_or(|p| !p.is_empty() && p.iter().all(|shape| *shape == points));
        if points.len() > 1 && points[1..].iter().product::<i64>() > 0 && fit {
            return Ok(());
        }
        Err(SolveError::Divergence { points, probes: probes.unwrap_or_default() })
    }

    /// div v of each row, (B), and v itself; `None` if v has another shape than x.
    fn evaluate(
        &self,
        field: &impl RowField<Tensor>,
        x: &Tensor,
        t: &[f64],
        rows: &[usize],
    ) -> Option<(Tensor, Tensor)> {
        with_grad(|| {
            let x = x.detach().set_requires_grad(true);
            let v = field.velocities(&x, t, rows);
            if !v.same_shape(&x) {
                return None;
            }
            // The zero term connects every value of v to x, which autograd requires.
            let v = v + &x * 0.0;
            let gradient = |of: Tensor, keep: bool| Tensor::run_backward(&[of], &[&x], keep, false).swap_remove(0);
            let divergence = match self {
                Self::Exact => {
                    let (flat, dim) = (v.flatten(1, -1), v.size().iter().skip(1).product::<i64>());
                    let own =
                        |i: i64| gradient(flat.select(1, i).sum(flat.kind()), i + 1 < dim).flatten(1, -1).select(1, i);
                    (1..dim).fold(own(0), |sum, i| sum + own(i))
                }
                Self::Hutchinson(probes) => {
                    let estimate = |(n, eps): (usize, &Tensor)| {
                        let whole = rows.len() == eps.rows();
                        let eps =
                            if whole { eps.shallow_clone() } else { eps.index_select(0, &indices(rows, x.device())) };
                        let product = gradient((&v * &eps).sum(v.kind()), n + 1 < probes.len());
                        (product * eps).flatten(1, -1).sum_dim_intlist(1, false, v.kind())
                    };
                    // Without probes the result is NaN, which a solver reports.
                    let zeros = x.new_zeros([x.rows() as i64], (x.kind(), x.device()));
                    probes.iter().enumerate().map(estimate).fold(zeros, |sum, e| sum + e) / probes.len() as f64
                }
            };
            Some((v.detach(), divergence.detach()))
        })
    }
}

/// A field over rows of d + 1 values: the flattened point, and the integral of the divergence so
/// far.
#[derive(Debug)]
pub struct WithDivergence<'a, F> {
    /// The field of the points.
    pub field: &'a F,
    /// How the divergence is computed.
    pub divergence: &'a Divergence,
    /// Shape of a point, without the batch axis.
    pub shape: Vec<i64>,
}

impl<F: RowField<Tensor>> RowField<Tensor> for WithDivergence<'_, F> {
    /// Returns an empty tensor, which a solver rejects, if the field's velocity has another shape
    /// than its points.
    ///
    /// # Panics
    /// When a row of `state` does not have one value more than `shape`.
    fn velocities(&self, state: &Tensor, t: &[f64], rows: &[usize]) -> Tensor {
        let (x, _) = split(state, &self.shape);
        match self.divergence.evaluate(self.field, &x, t, rows) {
            Some((v, divergence)) => join(&v, &divergence),
            None => state.new_empty([0], (state.kind(), state.device())),
        }
    }
}

/// Joins a point and one number per row into one state.
///
/// # Panics
/// If the numbers of points and values differ.
pub fn join(x: &Tensor, value: &Tensor) -> Tensor {
    Tensor::cat(&[flat_rows(x), value.view([-1, 1])], 1)
}

/// Splits a state into the point and the number of each row.
///
/// # Panics
/// When a row does not have one value more than `shape`.
pub fn split(state: &Tensor, shape: &[i64]) -> (Tensor, Tensor) {
    let dim: i64 = shape.iter().product();
    let shape: Vec<i64> = std::iter::once(-1).chain(shape.iter().copied()).collect();
    (state.narrow(1, 0, dim).contiguous().view(shape.as_slice()), state.select(1, dim))
}

/// Points at the end of a solve and at requested times, with the integral of the divergence up to
/// there.
#[derive(Debug)]
pub struct Carried {
    /// The points at the end.
    pub x: Tensor,
    /// The integral of div v dt from the start to the end, (B).
    pub divergence: Tensor,
    /// Time, points and integral at each requested time.
    pub along: Vec<(f64, Tensor, Tensor)>,
    /// The cost.
    pub solution: BatchSolution<Tensor>,
}

/// Integrates points over `span` with steps per row, together with the divergence.
///
/// # Errors
/// As [`per_sample::solve`], and [`SolveError::Divergence`] for points or probes of a wrong shape.
/// Per-dimension tolerances apply to the points; the integral uses the largest of them.
pub fn carry(
    field: &impl RowField<Tensor>,
    x: &Tensor,
    span: (f64, f64),
    tableau: &Tableau,
    options: &AdaptiveOptions,
    divergence: &Divergence,
    output: SaveAt<'_>,
) -> Result<Carried, SolveError> {
    divergence.check(x)?;
    let shape = x.size().split_off(1);
    let widened = |bound: &Bound| match bound {
        Bound::All(bound) => Bound::All(*bound),
        Bound::Each(each) => Bound::Each(each.iter().copied().chain(each.iter().copied().reduce(f64::max)).collect()),
    };
    let Tolerance { rtol, atol } = &options.tolerance;
    let options = AdaptiveOptions { tolerance: Tolerance::new(widened(rtol), widened(atol)), ..options.clone() };
    field.check(x)?;
    // The solver's state has one more column than the points; record the points' own shapes for the
    // error.
    let misfit = RefCell::new(None);
    let watched = |x: &Tensor, t: &[f64], rows: &[usize]| {
        let v = field.velocities(x, t, rows);
        if let (false, Some(t)) = (v.same_shape(x), t.first()) {
            let (expected, got) = (x.shape(), v.shape());
            *misfit.borrow_mut() = Some(SolveError::Shape { what: "the velocity", t: *t, expected, got });
        }
        v
    };
    let field = WithDivergence { field: &watched, divergence, shape };
    let start = join(x, &x.new_zeros([x.rows() as i64], (x.kind(), x.device())));
    let solution = per_sample::solve(&field, start, span, tableau, &options, output);
    if let Some(error) = misfit.take() {
        return Err(error);
    }
    let solution = solution?;
    let (x, integral) = split(&solution.x, &field.shape);
    let pieces = solution.times.iter().zip(&solution.states).map(|(t, state)| {
        let (x, integral) = split(state, &field.shape);
        (*t, x, integral)
    });
    Ok(Carried { x, divergence: integral, along: pieces.collect(), solution })
}

/// log p_1 of data points, (B) in nats, and the source points that they are mapped to: `span` runs
/// from the data to the source, and `source` returns the log-density of the source, (B).
///
/// # Errors
/// As [`carry`], and [`SolveError::Shape`] if the source's log-density does not have shape (B).
#[doc(alias = "compute_likelihood")]
pub fn log_density(
    field: &impl RowField<Tensor>,
    data: &Tensor,
    span: (f64, f64),
    tableau: &Tableau,
    options: &AdaptiveOptions,
    divergence: &Divergence,
    source: impl Fn(&Tensor) -> Tensor,
) -> Result<(Tensor, Carried), SolveError> {
    let carried = carry(field, data, span, tableau, options, divergence, SaveAt::End)?;
    let of_source = source(&carried.x);
    if !of_source.same_shape(&carried.divergence) {
        let (what, expected, got) = ("the source's log-density", carried.divergence.shape(), of_source.shape());
        return Err(SolveError::Shape { what, t: span.1, expected, got });
    }
    // The integral runs from the data to the source, so its sign is already reversed.
    Ok((of_source + &carried.divergence, carried))
}

/// log N(x; 0, deviation^2 I) of each row, (B); not finite unless the deviation is above 0, and
/// -inf for a deviation beyond the range of x's kind.
pub fn gaussian_log_density(x: &Tensor, deviation: f64) -> Tensor {
    let flat = flat_rows(x);
    // libtorch panics for a divisor beyond the range of f32, except on tensors of f64.
    let beyond = x.kind() != Kind::Double && deviation > f64::from(f32::MAX);
    let deviation = if beyond { f64::INFINITY } else { deviation };
    let dim = flat.size()[1] as f64;
    let squares = (flat / deviation).square().sum_dim_intlist(1, false, x.kind());
    squares * -0.5 - dim * (0.5 * (2.0 * std::f64::consts::PI).ln() + deviation.ln())
}

/// Bits per dimension of quantised data: -(log p(x) / d - log(scale)) / log 2, for levels u = 0, 1,
/// ... dequantised and scaled as x = (u + U(-1/2, 1/2)) / scale + constant. By Jensen's inequality,
/// its average over the noise is an upper bound on the bits of the discrete data. Pixels in \[-1,
/// 1\] have scale 127.5. Not finite unless `dim` and `scale` are above 0.
///
/// ```
/// use fm_solvers::likelihood::bits_per_dim;
/// // A uniform density over 256 levels has 8 bits. Its width is 256 / 127.5 per dimension.
/// let log_p = -10.0 * (256.0f64 / 127.5).ln();
/// assert!((bits_per_dim(log_p, 10, 127.5) - 8.0).abs() < 1e-12);
/// ```
pub fn bits_per_dim(log_density: f64, dim: usize, scale: f64) -> f64 {
    (scale.ln() - log_density / dim as f64) / std::f64::consts::LN_2
}
