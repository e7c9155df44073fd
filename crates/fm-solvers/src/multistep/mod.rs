//! Multistep methods: one evaluation per step, and values of earlier steps.
//!
//! | name | a step of size h from (x, t), r = h / h_before | order |
//! |---|---|---|
//! | `ab2` | x + h (v + r/2 (v - v_before)) | 2 |
//! | `ab3` | the integral of the quadratic through three velocities | 3 |
//! | `pec` | predicts by `ab2`, evaluates, and corrects by the quadratic through the new and the two last velocities | 3 |
//! | `dpmpp-2m` | (s'/s) x - a' (e^-h - 1) (D + (D - D_before) / (2 r)) | 2 |
//! | `unipc` | predicts as `dpmpp-2m` in its published form, evaluates, and corrects; orders 2 and 3 | 2, 3 |
//!
//! For the last two, h is the increase of the log-SNR log(a / s) on the path x_t = a x1 + s x0.
//! They use predictions of the data D = E\[x1 | x_t\], and are exact where D is constant.
//!
//! - Steps may be uneven.
//! - The stored values are dropped where the field is discontinuous in time
//!   ([`VelocityField::segment`]), as at the ends of a guidance interval.
//! - The first step has order 1. Where the noise ends (s below a / 100), the last step of
//!   `dpmpp-2m` has order 1 too, and step k from the end of `unipc` has at most order k.
//! - From t = 0, the first step of `dpmpp-2m` and `unipc` is unbounded in log-SNR; their measured
//!   order is then about 2, also that of `unipc` of order 3.
//! - `pec` and `unipc` correct a state when the next step evaluates its velocity, so the final
//!   state is a predicted one. States within a step are predictions too.
//!
//! Errors: [`SolveError::Grid`], [`SolveError::Times`], and for `dpmpp-2m` and `unipc`
//! [`SolveError::Forwards`] for falling times, [`SolveError::NoPath`] where neither the solver nor
//! the field states a path, [`SolveError::OtherPath`] where they state different ones, and
//! [`SolveError::Path`] for a path with extra noise or singular at the start of the span.
//!
//! Sources: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", III.1 and III.5;
//! Lu et al., "DPM-Solver++" (2022), algorithm 2; Zhao et al., "UniPC" (2023), algorithms 1 to 4.
//!
//! ```
//! use fm_core::path::PathKind;
//! use fm_solvers::{Multistep, solve};
//! let decay = |x: &f64, _t: f64| -x;
//! let solution = solve(&decay, 1.0, 0.0..1.0, &Multistep::ab2(100))?;
//! assert!((solution.x - (-1.0f64).exp()).abs() < 5e-5);
//! assert_eq!(solution.stats.evaluations, 100);
//! // All data are at 3: one step of a method that is exact for a constant prediction of the data.
//! let to_three = |x: &f64, t: f64| (3.0 - x) / (1.0 - t);
//! let solver = Multistep::dpmpp_2m(1).path(PathKind::Linear);
//! assert_eq!(solve(&to_three, -5.0, 0.0..1.0, &solver)?.x, 3.0);
//! // A closure states no path, and on another one the weights would be wrong.
//! assert!(solve(&to_three, -5.0, 0.0..1.0, &Multistep::dpmpp_2m(1)).is_err());
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

pub(crate) mod method;
mod plan;
mod schedule;
mod weights;

pub use method::MultistepMethod;

use crate::record::Record;
use crate::solver::Solver;
use crate::step::{is_finite, velocity};
use crate::{Grid, SaveAt, Solution, SolveError, Stats, StopReason};
use fm_core::field::VelocityField;
use fm_core::path::{PathKind, ProbPath};
use fm_core::state::OdeState;
use plan::Plan;
use schedule::Schedule;
use std::ops::Range;
use weights::StepWeights;

/// A multistep method with its steps, as a [`Solver`].
#[derive(Debug, Clone, PartialEq)]
pub struct Multistep {
    /// The method.
    pub method: MultistepMethod,
    /// The number of steps.
    pub steps: usize,
    /// How the steps divide the span.
    pub grid: Grid,
    /// The path that the velocity belongs to. Only `dpmpp-2m` and `unipc` use it; with `None`, they
    /// use the path that the field [states](VelocityField::path_at).
    pub path: Option<PathKind>,
}

impl Multistep {
    /// Equal steps of the given method, along the path of the field.
    pub fn new(method: MultistepMethod, steps: usize) -> Self {
        Self { method, steps, grid: Grid::Uniform, path: None }
    }

    /// Adams-Bashforth of order 2.
    pub fn ab2(steps: usize) -> Self {
        Self::new(MultistepMethod::AdamsBashforth2, steps)
    }

    /// Adams-Bashforth of order 3.
    #[doc(alias = "explicit_adams")]
    #[doc(alias = "fixed_adams")]
    pub fn ab3(steps: usize) -> Self {
        Self::new(MultistepMethod::AdamsBashforth3, steps)
    }

    /// Adams-Bashforth, corrected by Adams-Moulton.
    pub fn pec(steps: usize) -> Self {
        Self::new(MultistepMethod::Pec, steps)
    }

    /// DPM-Solver++(2M).
    pub fn dpmpp_2m(steps: usize) -> Self {
        Self::new(MultistepMethod::DpmSolver2M, steps)
    }

    /// UniPC of order 2.
    pub fn unipc(steps: usize) -> Self {
        Self::new(MultistepMethod::UniPc2, steps)
    }

    /// The same method and number of steps on another grid.
    pub fn grid(self, grid: Grid) -> Self {
        Self { grid, ..self }
    }

    /// The same method for a velocity along `path`, for fields that state no path.
    pub fn path(self, path: PathKind) -> Self {
        Self { path: Some(path), ..self }
    }
}

impl<S: OdeState> Solver<S> for Multistep {
    fn solve_partial(
        &self,
        field: &dyn VelocityField<S>,
        x: S,
        span: Range<f64>,
        save: SaveAt<'_>,
    ) -> Result<Solution<S>, SolveError> {
        let given = self.path.as_ref().map(|path| path as &dyn ProbPath);
        solve_along(field, given, x, &self.grid.divide(self.steps, &span)?, self.method, save)
    }
}

/// Integrates `x` along `grid`, with a velocity that belongs to `path`.
///
/// # Errors
/// As this module says; [`SolveError::Shape`] for a velocity of another shape than x;
/// [`SolveError::Stopped`] at a state that is not finite.
pub fn solve<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    path: &impl ProbPath,
    x: S,
    grid: &[f64],
    method: MultistepMethod,
    output: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    solve_partial(field, path, x, grid, method, output)?.into_result()
}

/// As [`solve`], but if a state is not finite the result is the state before it, found by a second
/// pass.
///
/// # Errors
/// As [`solve`], without [`SolveError::Stopped`].
pub fn solve_partial<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    path: &impl ProbPath,
    x: S,
    grid: &[f64],
    method: MultistepMethod,
    output: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    solve_along(field, Some(path), x, grid, method, output)
}

/// As [`solve_partial`]; without a path, along that of the field.
fn solve_along<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    given: Option<&dyn ProbPath>,
    x: S,
    grid: &[f64],
    method: MultistepMethod,
    output: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    let stated = |t: f64| field.path_at(t);
    let plan = Plan::new(Schedule { method: method.name(), given, stated: &stated }, grid, method)?;
    output.check((grid[0], grid[grid.len() - 1]))?;
    field.check(&x)?;
    S::untracked(|| {
        let solution = pass(&plan, field, &x, output, false)?;
        if is_finite(&solution.x) {
            return Ok(solution);
        }
        let mut careful = pass(&plan, field, &x, output, true)?;
        careful.stats.evaluations += solution.stats.evaluations;
        Ok(careful)
    })
}

/// All steps; if `careful`, only those before the first state that is not finite.
fn pass<S: OdeState>(
    plan: &Plan<'_>,
    field: &(impl VelocityField<S> + ?Sized),
    x: &S,
    output: SaveAt<'_>,
    careful: bool,
) -> Result<Solution<S>, SolveError> {
    let mut record = Record::new(output, plan.grid[0], x);
    let mut stats = Stats { smallest_step: f64::INFINITY, ..Stats::default() };
    let mut x = S::linear_combination(&[(1.0, x)]);
    // The state that the last step started from, and values at this and earlier times.
    let (mut before, mut values) = (None, Vec::<S>::new());
    for (i, pair) in plan.grid.windows(2).enumerate() {
        let v = velocity(field, &x, pair[0])?;
        stats.evaluations += 1;
        if i > 0 && field.segment(pair[0]) != field.segment(plan.grid[i - 1]) {
            values.clear();
        }
        values.insert(0, plan.value(i, &x, v));
        values.truncate(plan.method.memory() + 2);
        if let (Some(before), Some(weights)) = (&before, plan.correct(i, values.len())) {
            let corrected = combine(&weights, before, &values);
            if careful && !is_finite(&corrected) {
                stats.reason = StopReason::NonFinite { t: pair[0] };
                break;
            }
            x = corrected;
        }
        if i > 0 {
            record.push_step(pair[0], &x);
        }
        let to = |end: f64| combine(&plan.predict(i, values.len(), end), &x, &values);
        let next = to(pair[1]);
        if careful && !is_finite(&next) {
            stats.reason = StopReason::NonFinite { t: pair[0] };
            return Ok(record.finish(x, stats));
        }
        record.push_within(pair[1], pair[1] - pair[0], to);
        stats.accepted += 1;
        stats.smallest_step = stats.smallest_step.min((pair[1] - pair[0]).abs());
        before = Some(std::mem::replace(&mut x, next));
    }
    if stats.accepted > 0 {
        record.push_step(plan.grid[stats.accepted], &x);
    }
    Ok(record.finish(x, stats))
}

fn combine<S: OdeState>(weights: &StepWeights, x: &S, values: &[S]) -> S {
    let values = weights.values.iter().copied().zip(values);
    S::linear_combination(&std::iter::once((weights.state, x)).chain(values).collect::<Vec<_>>())
}
