//! Which states of a solve are saved, and checks of the output times.

use crate::SolveError;

/// Rejects a span without a finite length.
pub(crate) fn check_span((start, end): (f64, f64)) -> Result<(), SolveError> {
    if (end - start).is_finite() && start != end { Ok(()) } else { Err(SolveError::Span { start, end }) }
}

/// Which states to save during a solve.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[doc(alias = "t_eval")]
pub enum SaveAt<'a> {
    /// Only the final state.
    #[default]
    End,
    /// The states at these times, given in the direction of the solve, from the method's
    /// interpolant.
    At(&'a [f64]),
    /// The states at the start and after every step.
    Steps,
}

impl SaveAt<'_> {
    pub(crate) fn check(&self, (start, end): (f64, f64)) -> Result<(), SolveError> {
        let SaveAt::At(times) = self else { return Ok(()) };
        let direction = (end - start).signum();
        let inside = |t: &f64| (t - start) * direction >= 0.0 && (end - t) * direction >= 0.0;
        let good = times.iter().all(inside) && times.windows(2).all(|p| (p[1] - p[0]) * direction > 0.0);
        if good { Ok(()) } else { Err(SolveError::Times { start, end }) }
    }
}
