//! Observers of accepted steps, and the record of saved states.

use crate::save::check_span;
use crate::step::{Weights, is_finite, velocity};
use crate::tableau::Tableau;
use crate::{SaveAt, Solution, SolveError, Stats, StopReason};
use fm_core::field::VelocityField;
use fm_core::state::OdeState;
use std::ops::Range;

/// An accepted step from (t, x) of size h, which ends at (end, next).
pub(crate) struct Step<'a, S, F: ?Sized> {
    pub(crate) field: &'a F,
    pub(crate) tableau: &'a Tableau,
    pub(crate) t: f64,
    pub(crate) h: f64,
    pub(crate) end: f64,
    pub(crate) x: &'a S,
    pub(crate) next: &'a S,
    pub(crate) k: &'a mut Vec<S>,
    /// Evaluations made for the interpolant.
    pub(crate) evaluations: usize,
}

/// The interpolant: states within a step.
pub(crate) struct Interpolant<'a, S> {
    pub(crate) tableau: &'a Tableau,
    pub(crate) t: f64,
    pub(crate) h: f64,
    pub(crate) x: &'a S,
    pub(crate) k: &'a [S],
}

impl<S: OdeState, F: VelocityField<S> + ?Sized> Step<'_, S, F> {
    /// Returns the interpolant, after evaluating the stages that only it needs.
    ///
    /// # Errors
    /// A velocity of another shape than x.
    pub(crate) fn interpolant(&mut self) -> Result<Interpolant<'_, S>, SolveError> {
        let Self { tableau, t, h, x, .. } = *self;
        for i in self.k.len()..tableau.c.len() {
            let at = S::linear_combination(Weights::from(x, h, tableau.a[i], self.k).terms());
            self.k.push(velocity(self.field, &at, t + tableau.c[i] * h)?);
            self.evaluations += 1;
        }
        Ok(Interpolant { tableau, t, h, x, k: self.k })
    }

    /// The state at a time within the step.
    ///
    /// # Errors
    /// As [`interpolant`](Self::interpolant).
    pub(crate) fn at(&mut self, time: f64) -> Result<S, SolveError> {
        if time == self.end { Ok(S::linear_combination(&[(1.0, self.next)])) } else { Ok(self.interpolant()?.at(time)) }
    }
}

impl<S: OdeState> Interpolant<'_, S> {
    pub(crate) fn at(&self, time: f64) -> S {
        let weights = self.tableau.interpolate((time - self.t) / self.h);
        S::linear_combination(Weights::from(self.x, self.h, &weights, self.k).terms())
    }
}

/// Receives the accepted steps of a solve.
pub(crate) trait Observer<S> {
    /// Whether it may use the interpolant.
    fn interpolates(&self) -> bool;

    /// Receives a step. To end the solve, it returns a time within the step and the state there.
    ///
    /// # Errors
    /// An error that ends the solve without a solution.
    fn step<F>(&mut self, step: &mut Step<'_, S, F>) -> Result<Option<(f64, S)>, SolveError>
    where
        F: VelocityField<S> + ?Sized;
}

/// The saved states.
pub(crate) struct Record<'a, S> {
    output: SaveAt<'a>,
    times: Vec<f64>,
    states: Vec<S>,
}

impl<S: OdeState> Observer<S> for Record<'_, S> {
    fn interpolates(&self) -> bool {
        matches!(self.output, SaveAt::At(_))
    }

    #[inline]
    fn step<F>(&mut self, step: &mut Step<'_, S, F>) -> Result<Option<(f64, S)>, SolveError>
    where
        F: VelocityField<S> + ?Sized,
    {
        self.pass(step, step.end, step.next)?;
        Ok(None)
    }
}

impl<'a, S: OdeState> Record<'a, S> {
    pub(crate) fn new(output: SaveAt<'a>, start: f64, x: &S) -> Self {
        let mut record = Self { output, times: Vec::new(), states: Vec::new() };
        let wanted = match output {
            SaveAt::End => false,
            SaveAt::At(times) => times.first() == Some(&start),
            SaveAt::Steps => true,
        };
        if wanted {
            record.push(start, x);
        }
        record
    }

    /// Saves the requested output of a step up to the state `next` at `end`, where the solve may
    /// stop.
    ///
    /// # Errors
    /// A velocity of another shape than x.
    pub(crate) fn pass<F>(&mut self, step: &mut Step<'_, S, F>, end: f64, next: &S) -> Result<(), SolveError>
    where
        F: VelocityField<S> + ?Sized,
    {
        match self.output {
            SaveAt::End => {}
            SaveAt::Steps => self.push(end, next),
            SaveAt::At(times) => {
                while let Some(&time) = times.get(self.times.len()).filter(|time| (end - **time) * step.h >= 0.0) {
                    if time == end {
                        self.push(time, next);
                        continue;
                    }
                    self.times.push(time);
                    self.states.push(step.interpolant()?.at(time));
                }
            }
        }
        Ok(())
    }

    /// Saves the state at the end of a step, if it was requested.
    pub(crate) fn push_step(&mut self, end: f64, next: &S) {
        let wanted = match self.output {
            SaveAt::End => false,
            SaveAt::At(times) => times.get(self.times.len()) == Some(&end),
            SaveAt::Steps => true,
        };
        if wanted {
            self.push(end, next);
        }
    }

    /// Saves the requested states before the end of a step in the direction of `h`; `at` computes
    /// them.
    pub(crate) fn push_within(&mut self, end: f64, h: f64, at: impl Fn(f64) -> S) {
        let SaveAt::At(times) = self.output else { return };
        while let Some(&time) = times.get(self.times.len()).filter(|time| (end - **time) * h > 0.0) {
            self.times.push(time);
            self.states.push(at(time));
        }
    }

    fn push(&mut self, t: f64, x: &S) {
        self.times.push(t);
        self.states.push(S::linear_combination(&[(1.0, x)]));
    }

    pub(crate) fn finish(self, x: S, stats: Stats) -> Solution<S> {
        Solution { x, times: self.times, states: self.states, stats }
    }
}

impl<'a> SaveAt<'a> {
    /// A record for a [`Solver`](crate::Solver) outside this crate that provides only the states at
    /// the ends of its steps.
    ///
    /// # Errors
    /// [`SolveError::Span`] for a span without a finite length; [`SolveError::NoInterpolant`] for
    /// output at given times.
    pub fn record<S: OdeState>(self, span: &Range<f64>, x: &S) -> Result<StepRecord<'a, S>, SolveError> {
        check_span((span.start, span.end))?;
        if matches!(self, SaveAt::At(_)) {
            return Err(SolveError::NoInterpolant);
        }
        Ok(StepRecord { record: Record::new(self, span.start, x), end: span.end })
    }
}

/// The states at the ends of steps, if requested.
pub struct StepRecord<'a, S> {
    record: Record<'a, S>,
    end: f64,
}

impl<S: OdeState> StepRecord<'_, S> {
    /// Records the state `x` after a step that ends at `t`.
    pub fn step(&mut self, t: f64, x: &S) {
        self.record.push_step(t, x);
    }

    /// The solution with its final state; if the state is not finite, this is the stop reason.
    pub fn finish(self, x: S, mut stats: Stats) -> Solution<S> {
        if stats.reason == StopReason::ReachedEnd && !is_finite(&x) {
            stats.reason = StopReason::NonFinite { t: self.end };
        }
        self.record.finish(x, stats)
    }
}
