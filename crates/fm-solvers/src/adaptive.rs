//! Step sizes chosen by an embedded error estimate.
//!
//! A step is accepted when the scaled error norm is at most 1 (see [`OdeState::error_norm`]; the norm runs over the whole
//! batch, as it does in torchdiffeq). The next step is h min(5, max(0.2, 0.9 err^-0.17 err_prev^0.04)) for order 5: Gustafsson's PI
//! controller in Hairer's form; a step after a rejection does not grow.
//!
//! Source: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", II.4 (first step, p. 169) and IV.2 of volume II.
//!
//! ```
//! use fm_core::state::Tolerance;
//! use fm_solvers::adaptive::{self, Options};
//! use fm_solvers::tableau::DOPRI5;
//! let options = Options { tolerance: Tolerance { rtol: 1e-8, atol: 1e-8 }, ..Options::default() };
//! let decay = |x: &Vec<f64>, _t: f64| x.iter().map(|v| -v).collect::<Vec<_>>();
//! let solution = adaptive::solve(&decay, vec![1.0], (0.0, 1.0), &DOPRI5, &options, |_, _| ())?;
//! assert!((solution.x[0] - (-1.0f64).exp()).abs() < 1e-8);
//! // One evaluation to start, one for Hairer's first step, six for every step tried.
//! let stats = solution.stats;
//! assert_eq!(stats.evaluations, 2 + 6 * (stats.accepted + stats.rejected));
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::fixed::runge_kutta;
use crate::{Reason, Solution, SolveError, Stats, tableau::Tableau};
use fm_core::field::VelocityField;
use fm_core::state::{OdeState, Tolerance};

/// How carefully to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Error allowed per step.
    pub tolerance: Tolerance,
    /// Evaluations after which the state reached is returned.
    pub max_evaluations: usize,
}

impl Default for Options {
    /// 1e-5 both ways, as the field samples CIFAR-10, and 10,000 evaluations.
    fn default() -> Self {
        Self { tolerance: Tolerance { rtol: 1e-5, atol: 1e-5 }, max_evaluations: 10_000 }
    }
}

/// Carries `x` from `span.0` to `span.1`, in either direction. `observe` sees the accepted times and states.
///
/// # Errors
/// [`SolveError`] when the span, the tolerance or the tableau cannot be used.
pub fn solve<S: OdeState>(
    field: &impl VelocityField<S>,
    mut x: S,
    span: (f64, f64),
    tableau: &Tableau,
    options: &Options,
    mut observe: impl FnMut(f64, &S),
) -> Result<Solution<S>, SolveError> {
    let weights = check(span, tableau, options)?;
    let (mut t, end) = span;
    let direction = (end - t).signum();
    let mut stats = Stats { evaluations: 2, ..Stats::default() };
    observe(t, &x);
    let mut k0 = field.velocity(&x, t);
    let mut h = first_step(field, &x, &k0, span, tableau.order, options.tolerance);
    let mut controller = Controller::new(tableau.order);
    while (end - t) * direction > 0.0 {
        // A remainder of a rounding error must not become a step of its own.
        let last = (t + 1.000_000_1 * h - end) * direction >= 0.0;
        let step_size = if last { end - t } else { h };
        if t + step_size == t {
            stats.reason = Reason::StepUnderflow { t };
            break;
        }
        if stats.evaluations + tableau.stages() - 1 > options.max_evaluations {
            stats.reason = Reason::MaxEvaluations { t };
            break;
        }
        let first = S::linear_combination(&[(1.0, &k0)]);
        let step = runge_kutta(field, &x, t, step_size, first, tableau);
        stats.evaluations += tableau.stages() - 1;
        let terms: Vec<_> =
            weights.iter().zip(&step.k).filter(|(w, _)| **w != 0.0).map(|(w, k)| (step_size * w, k)).collect();
        let error = S::error_norm(&S::linear_combination(&terms), &x, &step.x, options.tolerance);
        if error <= 1.0 {
            stats.accepted += 1;
            t = if last { end } else { t + step_size };
            x = step.x;
            k0 = next_first_stage(field, step.k, &x, t, tableau, &mut stats);
            observe(t, &x);
        } else {
            stats.rejected += 1;
        }
        h = step_size * controller.factor(error);
        if error.is_nan() && step_size.abs() < 1e-6 * (end - span.0).abs() {
            stats.reason = Reason::NonFinite { t };
            break;
        }
    }
    Ok(Solution { x, stats })
}

fn next_first_stage<S: OdeState>(
    field: &impl VelocityField<S>,
    mut k: Vec<S>,
    x: &S,
    t: f64,
    tableau: &Tableau,
    stats: &mut Stats,
) -> S {
    match k.pop() {
        Some(last) if tableau.fsal() => last,
        _ => {
            stats.evaluations += 1;
            field.velocity(x, t)
        }
    }
}

fn check(span: (f64, f64), tableau: &Tableau, options: &Options) -> Result<&'static [f64], SolveError> {
    let Tolerance { rtol, atol } = options.tolerance;
    if !(rtol >= 0.0 && atol >= 0.0 && rtol + atol > 0.0 && (rtol + atol).is_finite()) {
        return Err(SolveError::Tolerance { rtol, atol });
    }
    if !(span.0.is_finite() && span.1.is_finite() && span.0 != span.1) {
        return Err(SolveError::Grid);
    }
    tableau.e.ok_or(SolveError::NoErrorEstimate { method: tableau.name })
}

/// Hairer's first step: small against the scale of x over its first two derivatives. One evaluation.
fn first_step<S: OdeState>(
    field: &impl VelocityField<S>,
    x: &S,
    k0: &S,
    span: (f64, f64),
    order: usize,
    tolerance: Tolerance,
) -> f64 {
    let length = span.1 - span.0;
    let norm = |s: &S| S::error_norm(s, x, x, tolerance);
    let (d0, d1) = (norm(x), norm(k0));
    let guess = if d0 < 1e-5 || d1 < 1e-5 { 1e-6 } else { 0.01 * d0 / d1 };
    let h0 = guess.min(length.abs()) * length.signum();
    let euler = S::linear_combination(&[(1.0, x), (h0, k0)]);
    let k1 = field.velocity(&euler, span.0 + h0);
    let d2 = norm(&S::linear_combination(&[(1.0, &k1), (-1.0, k0)])) / h0.abs();
    let steepest = d1.max(d2);
    let h1 = if steepest <= 1e-15 { (1e-3 * h0.abs()).max(1e-6) } else { (0.01 / steepest).powf(1.0 / order as f64) };
    let h = h1.min(100.0 * h0.abs()).min(length.abs());
    // A velocity that is not finite says nothing about step sizes; the main loop will meet it and name it.
    if h.is_finite() && h > 0.0 { h * length.signum() } else { h0 }
}

/// Gustafsson's PI controller in Hairer's form.
struct Controller {
    order: f64,
    previous: f64,
    rejected: bool,
}

impl Controller {
    const BETA: f64 = 0.04;

    fn new(order: usize) -> Self {
        Self { order: order as f64, previous: 1e-4, rejected: false }
    }

    /// What to multiply the step size by after a step of this error.
    fn factor(&mut self, error: f64) -> f64 {
        if error.is_nan() {
            self.rejected = true;
            return 0.1;
        }
        let proportional = error.max(1e-16).powf(-(1.0 / self.order - 0.75 * Self::BETA));
        if error > 1.0 {
            self.rejected = true;
            return (0.9 * proportional).clamp(0.2, 1.0);
        }
        let most = if self.rejected { 1.0 } else { 5.0 };
        let factor = (0.9 * proportional * self.previous.powf(Self::BETA)).clamp(0.2, most);
        self.previous = error.max(1e-4);
        self.rejected = false;
        factor
    }
}
