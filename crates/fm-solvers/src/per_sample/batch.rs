//! The unfinished rows of a batch, and one step of all of them.

use super::solution::BatchSolution;
use crate::controller::AdaptiveOptions;
use crate::step::{Weights, finite, velocities};
use crate::step_state::{self, StepState, Trial};
use crate::{SaveAt, SolveError, Stats, StopReason, tableau::Tableau};
use fm_core::field::RowField;
use fm_core::state::{OdeState, RowState, Tolerance};

/// The row norms of a state under a tolerance; NaN if the device returned none.
fn norms<S: RowState>(error: &S, before: &S, after: &S, tolerance: &Tolerance) -> Vec<f64> {
    let mut norms = S::row_error_norms(error, before, after, tolerance);
    norms.resize(error.rows(), f64::NAN);
    norms
}

/// Whether each row's values are finite.
fn finite_rows<S: RowState>(x: &S) -> Vec<bool> {
    norms(x, x, x, &finite()).iter().map(|norm| norm.is_finite()).collect()
}

/// An unfinished row.
struct Row {
    /// Its index in the initial batch.
    place: usize,
    state: StepState,
    /// Whether the velocity at its state still has to be evaluated.
    stale: bool,
    /// The index of the next output time.
    due: usize,
}

/// The unfinished rows of a batch.
pub(super) struct Batch<'a, S, F: ?Sized> {
    field: &'a F,
    tableau: &'a Tableau,
    options: &'a AdaptiveOptions,
    output: SaveAt<'a>,
    rows: Vec<Row>,
    x: S,
    /// The velocity at x; missing for a batch that starts without rows.
    k0: S,
    /// Each stage of a step times the row's step size, so that sums of stages have the same weights
    /// in all rows.
    moves: Vec<S>,
    next: S,
    error: S,
    pub(super) out: BatchSolution<S>,
}

impl<'a, S: OdeState + RowState, F: RowField<S> + ?Sized> Batch<'a, S, F> {
    pub(super) fn start(
        field: &'a F,
        x: S,
        span: (f64, f64),
        tableau: &'a Tableau,
        options: &'a AdaptiveOptions,
        output: SaveAt<'a>,
    ) -> Result<Self, SolveError> {
        let copy = || S::linear_combination(&[(1.0, &x)]);
        let count = x.rows();
        let times = if let SaveAt::At(times) = output { times.to_vec() } else { Vec::new() };
        let reached = usize::from(times.first() == Some(&span.0));
        let nowhere = |_| S::row_combination(&[(&vec![f64::NAN; count], &x)]);
        let mut states: Vec<S> = (0..times.len()).map(nowhere).collect();
        if reached == 1 {
            states[0] = copy();
        }
        let trajectory = |i| vec![(span.0, x.select_rows(&[i]))];
        let trajectories = if output == SaveAt::Steps { (0..count).map(trajectory).collect() } else { Vec::new() };
        let out =
            BatchSolution { x: copy(), calls: 0, rows: vec![Stats::default(); count], times, states, trajectories };
        // Copy x too: a tensor passed by the caller may share its memory.
        let (x, k0, next, error) = (copy(), copy(), copy(), copy());
        let mut batch =
            Self { field, tableau, options, output, rows: Vec::new(), x, k0, moves: Vec::new(), next, error, out };
        if count > 0 {
            batch.rows = batch.first_rows(count, span, reached)?;
        }
        Ok(batch)
    }

    /// All rows with their initial velocity and step size.
    fn first_rows(&mut self, count: usize, span: (f64, f64), due: usize) -> Result<Vec<Row>, SolveError> {
        let places: Vec<usize> = (0..count).collect();
        self.k0 = velocities(self.field, &self.x, &vec![span.0; count], &places)?;
        let tolerance = &self.options.tolerance;
        let (d0, d1) = (norms(&self.x, &self.x, &self.x, tolerance), norms(&self.k0, &self.x, &self.x, tolerance));
        let sizes = match self.options.first_step {
            Some(h) => vec![h; count],
            None => self.first_steps(span, (&d0, &d1), &places)?,
        };
        self.out.calls = 1 + usize::from(self.options.first_step.is_none());
        let good = |i: usize| d0[i].is_finite() && d1[i].is_finite();
        // The norm may be infinite for finite values far above the tolerance.
        let finite = if (0..count).all(good) {
            vec![true; count]
        } else {
            finite_rows(&self.x).iter().zip(finite_rows(&self.k0)).map(|(x, k)| *x && k).collect()
        };
        let row = |place: usize| {
            let mut state = StepState::new(span, sizes[place], self.options);
            state.stats.evaluations = self.out.calls;
            if !finite[place] {
                state.stats.reason = StopReason::NonFinite { t: span.0 };
            }
            Row { place, state, stale: false, due }
        };
        Ok(places.into_iter().map(row).collect())
    }

    /// Hairer's first step size of every row. Costs one evaluation.
    fn first_steps(
        &self,
        span: (f64, f64),
        (d0, d1): (&[f64], &[f64]),
        places: &[usize],
    ) -> Result<Vec<f64>, SolveError> {
        let length = span.1 - span.0;
        let guesses: Vec<f64> =
            d0.iter().zip(d1).map(|(d0, d1)| step_state::first_guess(*d0, *d1, length.abs())).collect();
        let h: Vec<f64> = guesses.iter().map(|g| g.copysign(length)).collect();
        let euler = S::row_combination(&[(&vec![1.0; places.len()], &self.x), (&h, &self.k0)]);
        let t: Vec<f64> = h.iter().map(|h| span.0 + h).collect();
        let k1 = velocities(self.field, &euler, &t, places)?;
        let change = S::linear_combination(&[(1.0, &k1), (-1.0, &self.k0)]);
        let d2 = norms(&change, &self.x, &self.x, &self.options.tolerance);
        let size =
            |i: usize| step_state::first_step(guesses[i], d1[i], d2[i] / guesses[i], self.tableau.order, length.abs());
        Ok((0..places.len()).map(size).collect())
    }

    /// One step of every unfinished row; false if there is none.
    pub(super) fn step(&mut self, error_weights: &[f64]) -> Result<bool, SolveError> {
        let trials = self.leave();
        if trials.is_empty() {
            return Ok(false);
        }
        self.refresh()?;
        let places: Vec<usize> = self.rows.iter().map(|r| r.place).collect();
        let h: Vec<f64> = trials.iter().map(|trial| trial.h).collect();
        put_move(&mut self.moves, 0, &h, &self.k0);
        let mut last = None;
        for i in 1..self.tableau.stages() {
            self.next.assign_combination(Weights::from(&self.x, 1.0, self.tableau.a[i], &self.moves).terms());
            let t: Vec<f64> = trials.iter().map(|trial| trial.t + self.tableau.c[i] * trial.h).collect();
            let k = velocities(self.field, &self.next, &t, &places)?;
            put_move(&mut self.moves, i, &h, &k);
            last = Some(k);
        }
        if !self.tableau.fsal() {
            self.next.assign_combination(Weights::from(&self.x, 1.0, self.tableau.b, &self.moves).terms());
        }
        self.out.calls += self.tableau.stages() - 1;
        self.error.assign_combination(Weights::new(1.0, error_weights, &self.moves).terms());
        let mut norms = self.norms();
        if let Some(low) = self.tableau.e_low {
            self.damp(&mut norms, low);
        }
        let mut accepted = Vec::with_capacity(trials.len());
        for (i, (row, trial)) in self.rows.iter_mut().zip(&trials).enumerate() {
            row.state.stats.evaluations += self.tableau.stages() - 1;
            if row.state.judge(*trial, norms[i], self.tableau.order as f64, self.options) {
                accepted.push(i);
            }
        }
        self.record(&accepted, &trials)?;
        self.advance(&accepted, last.filter(|_| self.tableau.fsal()));
        Ok(true)
    }

    /// The error norms of the rows. A norm that overflows relative to the tolerance means a large
    /// error, not an invalid one.
    fn norms(&self) -> Vec<f64> {
        let mut norms = norms(&self.error, &self.x, &self.next, &self.options.tolerance);
        if norms.iter().any(|norm| !norm.is_finite()) {
            let finite = finite_rows(&self.error).into_iter().zip(finite_rows(&self.next));
            for (norm, (error, next)) in norms.iter_mut().zip(finite) {
                if !norm.is_finite() && error && next {
                    *norm = f64::MAX;
                }
            }
        }
        norms
    }

    /// Replaces the error norms by those damped with a second error estimate.
    fn damp(&mut self, norms: &mut [f64], low: &[f64]) {
        self.error.assign_combination(Weights::new(1.0, low, &self.moves).terms());
        let coarse = self::norms(&self.error, &self.x, &self.next, &self.options.tolerance);
        norms.iter_mut().zip(coarse).for_each(|(norm, coarse)| *norm = step_state::damped(*norm, coarse));
    }

    /// Marks rows that reached the end with values that are not finite.
    pub(super) fn finish(&mut self, end: f64) {
        for (stats, finite) in self.out.rows.iter_mut().zip(finite_rows(&self.out.x)) {
            if !finite && stats.reason == StopReason::ReachedEnd {
                stats.reason = StopReason::NonFinite { t: end };
            }
        }
    }

    /// The next steps to try; finished rows leave the batch with their state and stats.
    fn leave(&mut self) -> Vec<Trial> {
        let dense = if matches!(self.output, SaveAt::At(_)) { self.tableau.interpolant_stages() } else { 0 };
        let cost = self.tableau.stages() - usize::from(self.tableau.fsal()) + dense;
        let trials: Vec<Option<Trial>> =
            self.rows.iter_mut().map(|row| row.state.propose(cost, self.options)).collect();
        let (staying, leaving): (Vec<usize>, Vec<usize>) = (0..trials.len()).partition(|i| trials[*i].is_some());
        if !leaving.is_empty() {
            let places: Vec<usize> = leaving.iter().map(|i| self.rows[*i].place).collect();
            self.out.x.put_rows(&places, &self.x.select_rows(&leaving));
            leaving.iter().for_each(|i| self.out.rows[self.rows[*i].place] = self.rows[*i].state.stats);
            let mut at = 0..;
            self.rows.retain(|_| at.next().is_some_and(|i: usize| trials[i].is_some()));
            if !staying.is_empty() {
                self.x = self.x.select_rows(&staying);
                self.k0 = self.k0.select_rows(&staying);
                self.moves.clear();
                self.next = S::linear_combination(&[(1.0, &self.x)]);
                self.error = S::linear_combination(&[(1.0, &self.x)]);
            }
        }
        trials.into_iter().flatten().collect()
    }

    /// Evaluates velocities at the states of rows that have moved, for methods without "first same
    /// as last".
    fn refresh(&mut self) -> Result<(), SolveError> {
        let stale: Vec<usize> = (0..self.rows.len()).filter(|i| self.rows[*i].stale).collect();
        if stale.is_empty() {
            return Ok(());
        }
        let (t, places): (Vec<f64>, Vec<usize>) =
            stale.iter().map(|i| (self.rows[*i].state.t(), self.rows[*i].place)).unzip();
        let fresh = velocities(self.field, &self.x.select_rows(&stale), &t, &places)?;
        self.k0.put_rows(&stale, &fresh);
        self.out.calls += 1;
        for i in stale {
            self.rows[i].stale = false;
            self.rows[i].state.stats.evaluations += 1;
        }
        Ok(())
    }

    /// Moves the accepted rows, using the last stage `last` as their new velocity if there is one;
    /// the others keep state and velocity.
    fn advance(&mut self, accepted: &[usize], last: Option<S>) {
        accepted.iter().for_each(|i| self.rows[*i].stale = last.is_none());
        if accepted.len() == self.rows.len() {
            std::mem::swap(&mut self.x, &mut self.next);
            last.into_iter().for_each(|k| self.k0 = k);
        } else if !accepted.is_empty() {
            self.x.put_rows(accepted, &self.next.select_rows(accepted));
            last.iter().for_each(|k| self.k0.put_rows(accepted, &k.select_rows(accepted)));
        }
    }

    /// Saves the requested output of the accepted steps.
    fn record(&mut self, accepted: &[usize], trials: &[Trial]) -> Result<(), SolveError> {
        match self.output {
            SaveAt::End => {}
            SaveAt::Steps => {
                for i in accepted {
                    let Row { place, state, .. } = &self.rows[*i];
                    self.out.trajectories[*place].push((state.t(), self.next.select_rows(&[*i])));
                }
            }
            SaveAt::At(times) => {
                if self.tableau.interpolant_stages() > 0 {
                    self.prepare(times, accepted, trials)?;
                }
                (0..times.len()).for_each(|m| self.record_at(m, times[m], accepted, trials));
            }
        }
        Ok(())
    }

    /// Evaluates the stages that only interpolants need, for rows whose step contains an output
    /// time.
    fn prepare(&mut self, times: &[f64], accepted: &[usize], trials: &[Trial]) -> Result<(), SolveError> {
        let passed = |i: &usize| {
            let (row, h) = (&self.rows[*i], trials[*i].h);
            times.get(row.due).is_some_and(|time| *time != row.state.t() && (row.state.t() - time) * h > 0.0)
        };
        let passed: Vec<usize> = accepted.iter().copied().filter(passed).collect();
        if passed.is_empty() {
            return Ok(());
        }
        let x = self.x.select_rows(&passed);
        let places: Vec<usize> = passed.iter().map(|i| self.rows[*i].place).collect();
        let h: Vec<f64> = passed.iter().map(|i| trials[*i].h).collect();
        let mut moves: Vec<S> = self.moves.iter().take(self.tableau.stages()).map(|m| m.select_rows(&passed)).collect();
        for i in moves.len()..self.tableau.c.len() {
            let at = S::linear_combination(Weights::from(&x, 1.0, self.tableau.a[i], &moves).terms());
            let t: Vec<f64> = passed.iter().map(|p| trials[*p].t + self.tableau.c[i] * trials[*p].h).collect();
            moves.push(S::row_combination(&[(&h, &velocities(self.field, &at, &t, &places)?)]));
            if self.moves.len() == i {
                self.moves.push(S::linear_combination(&[(1.0, &self.x)]));
            }
            self.moves[i].put_rows(&passed, &moves[i]);
        }
        let extra = self.tableau.interpolant_stages();
        self.out.calls += extra;
        passed.iter().for_each(|i| self.rows[*i].state.stats.evaluations += extra);
        Ok(())
    }

    /// Saves the states at one output time for the rows whose step contains it.
    fn record_at(&mut self, m: usize, time: f64, accepted: &[usize], trials: &[Trial]) {
        let passed = |i: &&usize| {
            let row = &self.rows[**i];
            row.due == m && (row.state.t() - time) * trials[**i].h >= 0.0
        };
        let passed: Vec<usize> = accepted.iter().filter(passed).copied().collect();
        if passed.is_empty() {
            return;
        }
        passed.iter().for_each(|i| self.rows[*i].due += 1);
        let (there, between): (Vec<usize>, Vec<usize>) =
            passed.into_iter().partition(|i| self.rows[*i].state.t() == time);
        let places = |rows: &[usize]| rows.iter().map(|i| self.rows[*i].place).collect::<Vec<_>>();
        self.out.states[m].put_rows(&places(&there), &self.next.select_rows(&there));
        let weights: Vec<_> =
            between.iter().map(|i| self.tableau.interpolate((time - trials[*i].t) / trials[*i].h)).collect();
        let ones = vec![1.0; between.len()];
        let mut state = self.x.select_rows(&between);
        for (j, moved) in self.moves.iter().enumerate() {
            let column: Vec<f64> = weights.iter().map(|w| w[j]).collect();
            state = S::row_combination(&[(&ones, &state), (&column, &moved.select_rows(&between))]);
        }
        self.out.states[m].put_rows(&places(&between), &state);
    }
}

/// Stores stage i of a step times the rows' step sizes, reusing the memory of the last step if it
/// has as many rows.
fn put_move<S: RowState>(moves: &mut Vec<S>, i: usize, h: &[f64], k: &S) {
    match moves.get_mut(i) {
        Some(moved) => moved.assign_row_combination(&[(h, k)]),
        None => moves.push(S::row_combination(&[(h, k)])),
    }
}
