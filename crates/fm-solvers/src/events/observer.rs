//! The observer of a solve's steps: events, saved states, and pieces of the dense output.

use super::event::{Event, EventTimes};
use super::root::{self, Point};
use crate::piece::Piece;
use crate::record::{Interpolant, Observer, Record, Step};
use crate::solver::{Adaptive, RungeKutta};
use crate::tableau::Tableau;
use crate::{SaveAt, SolveError, Stats, adaptive, fixed};
use fm_core::field::VelocityField;
use fm_core::state::OdeState;
use std::ops::Range;

/// The observer of one solve.
pub(crate) struct EventObserver<'a, S> {
    pub(crate) record: Record<'a, S>,
    /// The pieces of the dense output, if requested.
    pub(crate) pieces: Option<Vec<Piece<S>>>,
    pub(crate) found: Vec<EventTimes<S>>,
    /// The first and the last time of the solve.
    pub(crate) ends: (f64, f64),
    events: &'a [Event<'a, S>],
    /// The value of each event function at the end of the last step.
    before: Vec<f64>,
}

impl<'a, S: OdeState> EventObserver<'a, S> {
    /// Solves with this observer; a solve that stops early is not an error here.
    ///
    /// # Errors
    /// As [`adaptive::solve_partial`] and [`fixed::solve_partial`], and [`SolveError::Event`].
    pub(crate) fn run(
        field: &(impl VelocityField<S> + ?Sized),
        x: S,
        span: Range<f64>,
        solver: RungeKutta<'_>,
        events: &'a [Event<'a, S>],
        (output, dense): (SaveAt<'a>, bool),
    ) -> Result<(S, Stats, Self), SolveError> {
        let start = |x: &S, ends: (f64, f64), tableau: &Tableau| {
            if !tableau.interpolant_ends_the_step() {
                let why = "for events and dense output its interpolant must be b at theta = 1";
                return Err(SolveError::Tableau { method: tableau.name, why });
            }
            output.check(ends)?;
            field.check(x)?;
            Ok(Self {
                record: Record::new(output, ends.0, x),
                pieces: dense.then(Vec::new),
                found: events.iter().map(|_| EventTimes { times: Vec::new(), states: Vec::new() }).collect(),
                ends,
                events,
                before: values(events, x, ends.0)?,
            })
        };
        S::untracked(|| match solver {
            RungeKutta::Adaptive(Adaptive { tableau, options }) => {
                let ends = (span.start, span.end);
                let error_weights = options.check(ends, tableau, x.dimension())?;
                let mut observer = start(&x, ends, tableau)?;
                let (x, stats) = adaptive::integrate(field, x, ends, (tableau, error_weights), options, &mut observer)?;
                Ok((x, stats, observer))
            }
            RungeKutta::Fixed(solver) => {
                let (grid, tableau) = (solver.times(&span)?, &solver.tableau);
                fixed::check_grid(&grid)?;
                tableau.check()?;
                // The grid may start or end within the span.
                let mut observer = start(&x, (grid[0], grid[grid.len() - 1]), tableau)?;
                // Careful: a state that is not finite must not reach an event function.
                let (x, stats) = fixed::integrate(field, &x, &grid, tableau, true, &mut observer)?;
                Ok((x, stats, observer))
            }
        })
    }

    /// The events within a step, each with its index and its time, in the order of the solve.
    fn happened<F>(&self, step: &mut Step<'_, S, F>, after: &[f64]) -> Result<Vec<(usize, f64)>, SolveError>
    where
        F: VelocityField<S> + ?Sized,
    {
        let mut happened = Vec::new();
        for (i, event) in self.events.iter().enumerate() {
            let (start, end) = (Point { t: step.t, g: self.before[i] }, Point { t: step.end, g: after[i] });
            if event.happens(start.g, end.g) {
                let time = if end.g == 0.0 { end.t } else { zero(i, event, &step.interpolant()?, (start, end))? };
                happened.push((i, time));
            }
        }
        happened.sort_by(|a, b| ((a.1 - b.1) * step.h).total_cmp(&0.0));
        Ok(happened)
    }
}

impl<S: OdeState> Observer<S> for EventObserver<'_, S> {
    fn interpolates(&self) -> bool {
        true
    }

    fn step<F>(&mut self, step: &mut Step<'_, S, F>) -> Result<Option<(f64, S)>, SolveError>
    where
        F: VelocityField<S> + ?Sized,
    {
        let after = values(self.events, step.next, step.end)?;
        let happened = self.happened(step, &after)?;
        self.before = after;
        let end = happened.iter().find(|(i, _)| self.events[*i].terminal).map(|(_, time)| *time);
        let in_time = |time: f64| end.is_none_or(|end| (end - time) * step.h >= 0.0);
        for (i, time) in happened.into_iter().filter(|(_, time)| in_time(*time)).collect::<Vec<_>>() {
            self.found[i].times.push(time);
            self.found[i].states.push(step.at(time)?);
        }
        let stopped = end.map(|time| Ok::<_, SolveError>((time, step.at(time)?))).transpose()?;
        let (reached, state) = stopped.as_ref().map_or((step.end, step.next), |(time, x)| (*time, x));
        self.record.pass(step, reached, state)?;
        if let Some(pieces) = &mut self.pieces {
            pieces.push(Piece::new(&step.interpolant()?));
        }
        Ok(stopped)
    }
}

/// The values of the event functions at a state.
fn values<S>(events: &[Event<'_, S>], x: &S, t: f64) -> Result<Vec<f64>, SolveError> {
    events.iter().enumerate().map(|(index, event)| value(index, event, x, t)).collect()
}

fn value<S>(index: usize, event: &Event<'_, S>, x: &S, t: f64) -> Result<f64, SolveError> {
    let value = (event.function)(x, t);
    if value.is_nan() { Err(SolveError::Event { index, t }) } else { Ok(value) }
}

fn zero<S: OdeState>(
    index: usize,
    event: &Event<'_, S>,
    within: &Interpolant<'_, S>,
    (start, end): (Point, Point),
) -> Result<f64, SolveError> {
    root::bracketed(start, end, |t| value(index, event, &within.at(t), t))
}
