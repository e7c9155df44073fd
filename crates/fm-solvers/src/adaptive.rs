//! Step sizes chosen by an embedded error estimate, one size for the whole state.
//!
//! A step is accepted if the scaled error norm is at most 1 (see [`OdeState::error_norm`]). Over a
//! batch the norm includes all rows, as in torchdiffeq, so rows influence each other; in
//! [`per_sample`](crate::per_sample) they do not. A [`controller`](crate::controller) chooses the
//! next step size.
//!
//! ```
//! use fm_solvers::{AdaptiveOptions, SaveAt, adaptive, tableau::DOPRI5};
//! let decay = |x: &f64, _t: f64| -x;
//! let options = AdaptiveOptions::with_tolerance(1e-8);
//! let solution = adaptive::solve(&decay, 1.0, (0.0, 1.0), &DOPRI5, &options, SaveAt::At(&[0.25, 0.5]))?;
//! assert!((solution.x - (-1.0f64).exp()).abs() < 1e-8);
//! assert!((solution.states[1] - (-0.5f64).exp()).abs() < 1e-7);
//! // One evaluation to start, one for Hairer's first step, six for every step tried.
//! let stats = solution.stats;
//! assert_eq!(stats.evaluations, 2 + 6 * (stats.accepted + stats.rejected));
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::controller::AdaptiveOptions;
use crate::record::{Observer, Record, Step};
use crate::step::{Weights, is_finite, stages, velocity};
use crate::step_state::{self, StepState};
use crate::{SaveAt, Solution, SolveError, Stats, StopReason, tableau::Tableau};
use fm_core::field::VelocityField;
use fm_core::state::OdeState;

/// Integrates `x` from `span.0` to `span.1`, in either direction.
///
/// # Errors
/// If the span, the options, the tableau or the output times are invalid; a velocity of another
/// shape than x; [`SolveError::Stopped`] for a solve that does not reach the end.
pub fn solve<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: S,
    span: (f64, f64),
    tableau: &Tableau,
    options: &AdaptiveOptions,
    output: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    solve_partial(field, x, span, tableau, options, output)?.into_result()
}

/// As [`solve`], but a solve that stops early returns the state reached so far, with the reason.
///
/// # Errors
/// As [`solve`], without [`SolveError::Stopped`].
pub fn solve_partial<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: S,
    span: (f64, f64),
    tableau: &Tableau,
    options: &AdaptiveOptions,
    output: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    let error_weights = options.check(span, tableau, x.dimension())?;
    output.check(span)?;
    field.check(&x)?;
    S::untracked(|| {
        let mut record = Record::new(output, span.0, &x);
        let (x, stats) = integrate(field, x, span, (tableau, error_weights), options, &mut record)?;
        Ok(record.finish(x, stats))
    })
}

/// Integrates `x` to the end of the span, unless an error occurs or the observer returns a state.
pub(crate) fn integrate<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: S,
    span: (f64, f64),
    (tableau, error_weights): (&Tableau, &[f64]),
    options: &AdaptiveOptions,
    observer: &mut impl Observer<S>,
) -> Result<(S, Stats), SolveError> {
    // Copy the state: a tensor passed by the caller may share its memory.
    let mut x = S::linear_combination(&[(1.0, &x)]);
    let mut k = Vec::with_capacity(tableau.stages());
    k.push(velocity(field, &x, span.0)?);
    let mut state = start(field, &x, &k[0], span, tableau.order, options)?;
    let mut next = S::linear_combination(&[(1.0, &x)]);
    let mut error = S::linear_combination(&[(1.0, &x)]);
    let for_interpolant = if observer.interpolates() { tableau.interpolant_stages() } else { 0 };
    let (count, at_end) = (tableau.stages(), tableau.fsal());
    while let Some(trial) = state.propose(count - k.len() + for_interpolant, options) {
        let (t, h) = (trial.t, trial.h);
        state.stats.evaluations += stages(field, &x, (t, h), tableau, (count, at_end), &mut k, &mut next)?;
        error.assign_combination(Weights::new(trial.h, error_weights, &k).terms());
        let mut norm = S::error_norm(&error, &x, &next, &options.tolerance);
        if !norm.is_finite() && is_finite(&error) && is_finite(&next) {
            // An error norm that overflows relative to the tolerance means a large error, not an
            // invalid one.
            norm = f64::MAX;
        }
        if let Some(low) = tableau.e_low {
            error.assign_combination(Weights::new(trial.h, low, &k).terms());
            norm = step_state::damped(norm, S::error_norm(&error, &x, &next, &options.tolerance));
        }
        if state.judge(trial, norm, tableau.order as f64, options) {
            let mut step = Step { field, tableau, t, h, end: state.t(), x: &x, next: &next, k: &mut k, evaluations: 0 };
            let stopped = observer.step(&mut step)?;
            state.stats.evaluations += step.evaluations;
            if let Some((t, stopped)) = stopped {
                x = stopped;
                state.stats.reason = StopReason::Event { t };
                break;
            }
            std::mem::swap(&mut x, &mut next);
            k.swap(0, count - 1);
            k.truncate(usize::from(at_end));
        } else {
            k.truncate(1);
        }
    }
    if state.stats.reason == StopReason::ReachedEnd && !is_finite(&x) {
        state.stats.reason = StopReason::NonFinite { t: span.1 };
    }
    Ok((x, state.stats))
}

/// A state with its first step size, from Hairer's rule unless it is given.
fn start<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: &S,
    k0: &S,
    span: (f64, f64),
    order: usize,
    options: &AdaptiveOptions,
) -> Result<StepState, SolveError> {
    let norm = |s: &S| S::error_norm(s, x, x, &options.tolerance);
    let (d0, d1) = (norm(x), norm(k0));
    let (first, cost) = match options.first_step {
        Some(h) => (h, 1),
        None => (first_step(field, x, k0, span, order, options, (d0, d1))?, 2),
    };
    let mut state = StepState::new(span, first, options);
    state.stats.evaluations = cost;
    // The norm may be infinite for finite values far above the tolerance.
    let finite = d0.is_finite() && d1.is_finite() || is_finite(x) && is_finite(k0);
    if !finite {
        state.stats.reason = StopReason::NonFinite { t: span.0 };
    }
    Ok(state)
}

/// Hairer's first step size. Costs one evaluation.
fn first_step<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: &S,
    k0: &S,
    span: (f64, f64),
    order: usize,
    options: &AdaptiveOptions,
    (d0, d1): (f64, f64),
) -> Result<f64, SolveError> {
    let length = span.1 - span.0;
    let guess = step_state::first_guess(d0, d1, length.abs());
    let h = guess.copysign(length);
    let k1 = velocity(field, &S::linear_combination(&[(1.0, x), (h, k0)]), span.0 + h)?;
    let change = S::linear_combination(&[(1.0, &k1), (-1.0, k0)]);
    let d2 = S::error_norm(&change, x, x, &options.tolerance) / guess;
    Ok(step_state::first_step(guess, d1, d2, order, length.abs()))
}
