//! Step sizes chosen by an embedded error estimate, a size for each row of a batch.
//!
//! Rows are systems of their own: each has its time, its step size and its controller, so that what comes out for a row does not
//! depend on which other rows are in the batch. All rows that are still on their way are evaluated in one call; a row that has arrived,
//! or failed, leaves the batch, so that nothing is evaluated in vain. For a field that treats rows alone the results are those of
//! [`adaptive`](crate::adaptive) on each row, bit for bit the same in any batch and any order.
//!
//! ```
//! use fm_core::state::RowState;
//! use fm_solvers::{Options, Output, per_sample, tableau::DOPRI5};
//! use ndarray::{Array2, array};
//! // Row i turns with angular velocity 1 + 9 i: the second needs more steps.
//! let turn = |x: &Array2<f64>, _t: &[f64], rows: &[usize]| {
//!     Array2::from_shape_fn(x.dim(), |(i, j)| (1.0 + 9.0 * rows[i] as f64) * if j == 0 { -x[[i, 1]] } else { x[[i, 0]] })
//! };
//! let x = array![[1.0, 0.0], [1.0, 0.0]];
//! let solution = per_sample::solve(&turn, x, (0.0, 1.0), &DOPRI5, &Options::with_tolerance(1e-8), Output::Final)?;
//! assert!((solution.x[[0, 0]] - 1.0f64.cos()).abs() < 1e-7 && (solution.x[[1, 0]] - 10.0f64.cos()).abs() < 1e-6);
//! let [slow, fast] = [0, 1].map(|i| solution.rows[i].evaluations);
//! assert!(2 * slow < fast && solution.calls == fast); // the calls are those of the slowest row
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::control::Options;
use crate::lane::{self, Lane, Trial};
use crate::step::Weights;
use crate::{Output, Reason, SolveError, Stats, tableau::Tableau};
use fm_core::field::RowField;
use fm_core::state::{OdeState, RowState};

/// What came out for each row, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSolution<S> {
    /// The final states.
    pub x: S,
    /// Calls of the field.
    pub calls: usize,
    /// The cost of each row and why it stopped: rows over calls is how full the calls were.
    pub rows: Vec<Stats>,
    /// The times that were asked for ([`Output::At`]).
    pub times: Vec<f64>,
    /// The states at these times; NaN for a row that did not come so far.
    pub states: Vec<S>,
    /// Times and states of each row ([`Output::Steps`]).
    pub trajectories: Vec<Vec<(f64, S)>>,
}

impl<S> BatchSolution<S> {
    /// Evaluations of all rows: over the number of rows, the mean NFE of a sample.
    pub fn row_evaluations(&self) -> usize {
        self.rows.iter().map(|r| r.evaluations).sum()
    }

    /// The first row that did not reach the end, and why.
    pub fn failure(&self) -> Option<(usize, Reason)> {
        self.rows.iter().map(|r| r.reason).enumerate().find(|(_, reason)| *reason != Reason::ReachedEnd)
    }
}

/// Carries every row of `x` from `span.0` to `span.1`, in either direction.
///
/// # Errors
/// [`SolveError`] when the span, the options, the tableau or the times of output cannot be used.
pub fn solve<S: OdeState + RowState>(
    field: &impl RowField<S>,
    x: S,
    span: (f64, f64),
    tableau: &Tableau,
    options: &Options,
    output: Output<'_>,
) -> Result<BatchSolution<S>, SolveError> {
    let error_weights = options.check(span, tableau, x.dimension())?;
    output.check(span)?;
    Ok(S::untracked(|| {
        let mut batch = Batch::start(field, x, span, tableau, options, output);
        while batch.step(error_weights) {}
        batch.out
    }))
}

/// A row on its way.
struct Row {
    /// Its place in the batch at the start.
    place: usize,
    lane: Lane,
    /// Whether the velocity at its state is yet to be evaluated.
    stale: bool,
    /// The next time of output.
    due: usize,
}

/// The rows that are on their way.
struct Batch<'a, S, F> {
    field: &'a F,
    tableau: &'a Tableau,
    options: &'a Options,
    output: Output<'a>,
    rows: Vec<Row>,
    x: S,
    /// The velocity at x; at the start of a batch without rows there is none.
    k0: S,
    /// Each stage of a step times the row's step size, so that sums of stages have the same weights in all rows.
    moves: Vec<S>,
    next: S,
    error: S,
    out: BatchSolution<S>,
}

impl<'a, S: OdeState + RowState, F: RowField<S>> Batch<'a, S, F> {
    fn start(
        field: &'a F,
        x: S,
        span: (f64, f64),
        tableau: &'a Tableau,
        options: &'a Options,
        output: Output<'a>,
    ) -> Self {
        let copy = || S::linear_combination(&[(1.0, &x)]);
        let count = x.rows();
        let times = if let Output::At(times) = output { times.to_vec() } else { Vec::new() };
        let reached = usize::from(times.first() == Some(&span.0));
        let nowhere = |_| S::row_combination(&[(&vec![f64::NAN; count], &x)]);
        let mut states: Vec<S> = (0..times.len()).map(nowhere).collect();
        if reached == 1 {
            states[0] = copy();
        }
        let trajectory = |i| vec![(span.0, x.select_rows(&[i]))];
        let trajectories = if output == Output::Steps { (0..count).map(trajectory).collect() } else { Vec::new() };
        let out =
            BatchSolution { x: copy(), calls: 0, rows: vec![Stats::default(); count], times, states, trajectories };
        // A tensor that was handed over may share its memory, so that even x is a copy.
        let (x, k0, next, error) = (copy(), copy(), copy(), copy());
        let mut batch =
            Self { field, tableau, options, output, rows: Vec::new(), x, k0, moves: Vec::new(), next, error, out };
        if count > 0 {
            batch.rows = batch.first_rows(count, span, reached);
        }
        batch
    }

    /// Every row with its first velocity and step size.
    fn first_rows(&mut self, count: usize, span: (f64, f64), due: usize) -> Vec<Row> {
        let places: Vec<usize> = (0..count).collect();
        let length = span.1 - span.0;
        let norms = |s: &S| S::row_error_norms(s, &self.x, &self.x, &self.options.tolerance);
        let k0 = self.field.velocities(&self.x, &vec![span.0; count], &places);
        let (d0, d1) = (norms(&self.x), norms(&k0));
        let (sizes, cost) = if let Some(h) = self.options.first_step {
            (vec![h; count], 1)
        } else {
            let guesses: Vec<f64> =
                d0.iter().zip(&d1).map(|(d0, d1)| lane::first_guess(*d0, *d1, length.abs())).collect();
            let h: Vec<f64> = guesses.iter().map(|g| g.copysign(length)).collect();
            let ones = vec![1.0; count];
            let euler = S::row_combination(&[(&ones, &self.x), (&h, &k0)]);
            let t: Vec<f64> = h.iter().map(|h| span.0 + h).collect();
            let k1 = self.field.velocities(&euler, &t, &places);
            let d2 = norms(&S::linear_combination(&[(1.0, &k1), (-1.0, &k0)]));
            let size =
                |i: usize| lane::first_step(guesses[i], d1[i], d2[i] / guesses[i], self.tableau.order, length.abs());
            ((0..count).map(size).collect(), 2)
        };
        self.out.calls = cost;
        self.k0 = k0;
        let row = |place: usize| {
            let mut lane = Lane::new(span, sizes[place], self.options);
            lane.stats.evaluations = cost;
            if !d1[place].is_finite() {
                lane.stats.reason = Reason::NonFinite { t: span.0 };
            }
            Row { place, lane, stale: false, due }
        };
        places.iter().map(|place| row(*place)).collect()
    }

    /// One step of every row that is still on its way; false when none is.
    fn step(&mut self, error_weights: &[f64]) -> bool {
        let trials = self.leave();
        if trials.is_empty() {
            return false;
        }
        self.refresh();
        let places: Vec<usize> = self.rows.iter().map(|r| r.place).collect();
        let h: Vec<f64> = trials.iter().map(|trial| trial.h).collect();
        put_move(&mut self.moves, 0, &h, &self.k0);
        let mut last = None;
        for i in 1..self.tableau.stages() {
            self.next.assign_combination(Weights::from(&self.x, 1.0, self.tableau.a[i], &self.moves).terms());
            let t: Vec<f64> = trials.iter().map(|trial| trial.t + self.tableau.c[i] * trial.h).collect();
            let k = self.field.velocities(&self.next, &t, &places);
            put_move(&mut self.moves, i, &h, &k);
            last = Some(k);
        }
        if !self.tableau.fsal() {
            self.next.assign_combination(Weights::from(&self.x, 1.0, self.tableau.b, &self.moves).terms());
        }
        self.out.calls += self.tableau.stages() - 1;
        self.error.assign_combination(Weights::new(1.0, error_weights, &self.moves).terms());
        let norms = S::row_error_norms(&self.error, &self.x, &self.next, &self.options.tolerance);
        let mut accepted = Vec::with_capacity(trials.len());
        for (i, (row, trial)) in self.rows.iter_mut().zip(&trials).enumerate() {
            row.lane.stats.evaluations += self.tableau.stages() - 1;
            let norm = norms.get(i).copied().unwrap_or(f64::NAN);
            if row.lane.judge(*trial, norm, self.tableau.order, self.options) {
                accepted.push(i);
            }
        }
        self.record(&accepted, &trials);
        self.advance(&accepted, last.filter(|_| self.tableau.fsal()));
        true
    }

    /// The next steps; rows that have none leave with their state and stats.
    fn leave(&mut self) -> Vec<Trial> {
        let cost = self.tableau.stages() - usize::from(self.tableau.fsal());
        let trials: Vec<Option<Trial>> = self.rows.iter_mut().map(|row| row.lane.propose(cost, self.options)).collect();
        let (staying, leaving): (Vec<usize>, Vec<usize>) = (0..trials.len()).partition(|i| trials[*i].is_some());
        if !leaving.is_empty() {
            let places: Vec<usize> = leaving.iter().map(|i| self.rows[*i].place).collect();
            self.out.x.put_rows(&places, &self.x.select_rows(&leaving));
            leaving.iter().for_each(|i| self.out.rows[self.rows[*i].place] = self.rows[*i].lane.stats);
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

    /// Velocities at the states of rows that have moved, for methods whose last stage is not the next step's first.
    fn refresh(&mut self) {
        let stale: Vec<usize> = (0..self.rows.len()).filter(|i| self.rows[*i].stale).collect();
        if stale.is_empty() {
            return;
        }
        let (t, places): (Vec<f64>, Vec<usize>) =
            stale.iter().map(|i| (self.rows[*i].lane.t(), self.rows[*i].place)).unzip();
        let fresh = self.field.velocities(&self.x.select_rows(&stale), &t, &places);
        self.k0.put_rows(&stale, &fresh);
        self.out.calls += 1;
        for i in stale {
            self.rows[i].stale = false;
            self.rows[i].lane.stats.evaluations += 1;
        }
    }

    /// Moves the accepted rows, to where the velocity is `last` if a stage was there; the others keep state and velocity.
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

    /// Keeps what was asked for of the accepted steps.
    fn record(&mut self, accepted: &[usize], trials: &[Trial]) {
        match self.output {
            Output::Final => {}
            Output::Steps => {
                for i in accepted {
                    let Row { place, lane, .. } = &self.rows[*i];
                    self.out.trajectories[*place].push((lane.t(), self.next.select_rows(&[*i])));
                }
            }
            Output::At(times) => (0..times.len()).for_each(|m| self.record_at(m, times[m], accepted, trials)),
        }
    }

    /// The states at one time of the rows that have just passed it.
    fn record_at(&mut self, m: usize, time: f64, accepted: &[usize], trials: &[Trial]) {
        let passed = |i: &&usize| {
            let row = &self.rows[**i];
            row.due == m && (row.lane.t() - time) * trials[**i].h >= 0.0
        };
        let passed: Vec<usize> = accepted.iter().filter(passed).copied().collect();
        if passed.is_empty() {
            return;
        }
        passed.iter().for_each(|i| self.rows[*i].due += 1);
        let (there, between): (Vec<usize>, Vec<usize>) =
            passed.into_iter().partition(|i| self.rows[*i].lane.t() == time);
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

/// Stage i of a step times the rows' step sizes, in the memory of the last step where that has as many rows.
fn put_move<S: RowState>(moves: &mut Vec<S>, i: usize, h: &[f64], k: &S) {
    match moves.get_mut(i) {
        Some(moved) => moved.assign_row_combination(&[(h, k)]),
        None => moves.push(S::row_combination(&[(h, k)])),
    }
}
