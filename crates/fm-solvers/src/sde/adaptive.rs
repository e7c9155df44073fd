//! Adaptive steps of stochastic Heun, per row or per batch, on one Brownian path per row.
//!
//! A step from t of size h with the increment dW of the path gives two states,
//!
//! x_e = x + h f(x, t) + g(t) dW,
//! x_h = x + h / 2 (f(x, t) + f(x_e, t + h)) + (g(t) + g(t + h)) / 2 dW,
//!
//! Euler-Maruyama's and Heun's, with f the drift. Their difference is the error estimate; it grows
//! as h^(3/2), because the noise does not depend on x. An accepted step goes to x_h, of strong
//! order 1. Increments come from a [Brownian tree](super::brownian), which rejected steps do not
//! change. The solve covers the span except for its last part, [`AdaptiveSde::last_step`], in which
//! x is set to the expected data point: the score is singular where the noise ends. Of a field with
//! a score, the last part is a step along the drift, without noise. Cost: one evaluation to start,
//! one per attempted step and one per accepted step.
//!
//! Sources: Gaines and Lyons (1997); Lamba, "An adaptive timestepping algorithm for stochastic
//! differential equations" (2003); Jolicoeur-Martineau et al., "Gotta go fast when generating data
//! with score-based models" (2021).

use super::adaptive_options::AdaptiveSde;
use super::drifted::{Drifted, deviation};
use super::{ITSELF, Noise, brownian, drift};
use crate::controller::AdaptiveOptions;
use crate::pace::Pace;
use crate::step::{fitting, velocities};
use crate::step_state::{StepState, Trial};
use crate::{BatchSolution, SaveAt, SolveError, Stats, StopReason};
use fm_core::field::RowField;
use fm_core::path::ProbPath;
use fm_core::prediction::{Conversion, Prediction};
use fm_core::state::{OdeState, RowState};

/// The power of the step size with which the error estimate grows.
const ORDER: f64 = 1.5;

/// Integrates every row of `x` over `span`, from source to data or, if the field has a score, also
/// back. [`SaveAt::At`] saves, for each row, the state after the step that reaches the time.
///
/// ```
/// use fm_core::path::PathKind;
/// use fm_core::rng::{Key, Stream, normal_rows};
/// use fm_solvers::{SaveAt, sde::{AdaptiveSde, Diffusion, PerStep, solve_adaptive}};
/// use ndarray::Array2;
/// // Data N(0, 1/4) from N(0, 1): v = x (t / 4 - (1 - t)) / (t^2 / 4 + (1 - t)^2).
/// let field = |x: &Array2<f64>, t: &[f64], _: &[usize]| {
///     let slope = |t: f64| (t / 4.0 - (1.0 - t)) / (t * t / 4.0 + (1.0 - t) * (1.0 - t));
///     Array2::from_shape_fn(x.dim(), |(i, j)| slope(t[i]) * x[[i, j]])
/// };
/// let draws = |i| normal_rows(Key::new(0, i, Stream::Increment), 2000, 1).into_iter().map(f64::from).collect();
/// let noise = PerStep(|i| Array2::from_shape_vec((2000, 1), draws(i)).unwrap());
/// let x0 = Array2::from_shape_vec((2000, 1), draws(1 << 60))?;
/// let how = AdaptiveSde::new(Diffusion::Sigma { scale: 1.0 });
/// let found = solve_adaptive(&field, &PathKind::Linear, x0, (0.0, 1.0), &how, &noise, SaveAt::End)?;
/// let variance = found.x.iter().map(|x| x * x).sum::<f64>() / 2000.0;
/// assert!((variance - 0.25).abs() < 0.032, "{variance}"); // 4 standard errors
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SolveError::StochasticAdaptive`] for `churn`; [`SolveError::Backwards`] for a span that falls
/// of a field without a score; invalid options; [`SolveError::NoRows`]; [`SolveError::Path`] for
/// times outside \[0, 1\] and, of a field without a score, for a path with extra noise; a velocity,
/// score or noise of another shape than x;
/// [`SolveError::Stopped`] for a row that does not reach the end.
pub fn solve_adaptive<S: OdeState + RowState>(
    field: &(impl RowField<S> + ?Sized),
    path: &impl ProbPath,
    x: S,
    span: (f64, f64),
    how: &AdaptiveSde,
    noise: &(impl Noise<S> + ?Sized),
    output: SaveAt<'_>,
) -> Result<BatchSolution<S>, SolveError> {
    solve_adaptive_partial(field, path, x, span, how, noise, output)?.into_result()
}

/// As [`solve_adaptive`]; for a row that stops early the result holds the state it reached, and
/// [`BatchSolution::rows`] the reason.
///
/// # Errors
/// As [`solve_adaptive`], without [`SolveError::Stopped`].
pub fn solve_adaptive_partial<S: OdeState + RowState>(
    field: &(impl RowField<S> + ?Sized),
    path: &impl ProbPath,
    x: S,
    span: (f64, f64),
    how: &AdaptiveSde,
    noise: &(impl Noise<S> + ?Sized),
    output: SaveAt<'_>,
) -> Result<BatchSolution<S>, SolveError> {
    let scored = field.has_score();
    let options = how.check(span, x.dimension(), scored)?;
    output.check(span)?;
    if x.shape().is_empty() {
        return Err(SolveError::NoRows);
    }
    path.check()?;
    for t in [span.0, how.stop(span)] {
        if scored {
            deviation(path, how.diffusion, t).map(drop)?
        } else {
            drift(&path.at(t)?, how.diffusion).map(drop)?
        }
    }
    field.check(&x)?;
    if scored {
        let drift = Drifted { field, path, diffusion: how.diffusion, direction: (span.1 - span.0).signum() };
        return S::untracked(|| {
            let mut walk = Walk::start(&drift, path, x, span, how, options, noise, output)?;
            walk.of_drift = true;
            while walk.step()? {}
            Ok(walk.out)
        });
    }
    S::untracked(|| {
        let mut walk = Walk::start(field, path, x, span, how, options, noise, output)?;
        while walk.step()? {}
        Ok(walk.out)
    })
}

/// An unfinished row.
struct Row {
    /// Its index in the initial batch.
    place: usize,
    /// Time from 0 to 1 within the span up to the last step.
    state: StepState,
    /// Whether the velocity at its state still has to be evaluated.
    stale: bool,
    /// The index of the next output time.
    due: usize,
}

/// A solve in progress: the rows that have not ended, with states, velocities and values of W.
struct Walk<'a, S, F: ?Sized, P, N: ?Sized> {
    field: &'a F,
    path: &'a P,
    how: &'a AdaptiveSde,
    options: AdaptiveOptions,
    noise: &'a N,
    output: SaveAt<'a>,
    span: (f64, f64),
    /// Whether the field is the drift itself, instead of the velocity.
    of_drift: bool,
    rows: Vec<Row>,
    x: S,
    v: S,
    w: S,
    out: BatchSolution<S>,
}

impl<'a, S, F, P, N> Walk<'a, S, F, P, N>
where
    S: OdeState + RowState,
    F: RowField<S> + ?Sized,
    P: ProbPath,
    N: Noise<S> + ?Sized,
{
    #[allow(clippy::too_many_arguments, reason = "the arguments of the public function")]
    fn start(
        field: &'a F,
        path: &'a P,
        x: S,
        span: (f64, f64),
        how: &'a AdaptiveSde,
        options: AdaptiveOptions,
        noise: &'a N,
        output: SaveAt<'a>,
    ) -> Result<Self, SolveError> {
        let copy = || S::linear_combination(&[(1.0, &x)]);
        let count = x.rows();
        let times = if let SaveAt::At(times) = output { times.to_vec() } else { Vec::new() };
        let nowhere = |_| S::row_combination(&[(&vec![f64::NAN; count], &x)]);
        let states: Vec<S> = (0..times.len()).map(nowhere).collect();
        let trajectory = |i| vec![(span.0, x.select_rows(&[i]))];
        let trajectories = if output == SaveAt::Steps { (0..count).map(trajectory).collect() } else { Vec::new() };
        let out =
            BatchSolution { x: copy(), calls: 0, rows: vec![Stats::default(); count], times, states, trajectories };
        let state = StepState::new((0.0, 1.0), options.first_step.unwrap_or(0.01), &options);
        let row = |place| Row { place, state: state.clone(), stale: true, due: 0 };
        let rows = (0..count).map(row).collect();
        let w = S::row_combination(&[(&vec![0.0; count], &x)]);
        let (v, x) = (copy(), copy());
        let mut walk = Self { field, path, how, options, noise, output, span, of_drift: false, rows, x, v, w, out };
        walk.save(&(0..count).collect::<Vec<_>>(), &vec![span.0; count]);
        walk.refresh()?;
        Ok(walk)
    }

    /// The time of u in [0, 1].
    fn time(&self, u: f64) -> f64 {
        let stop = self.how.stop(self.span);
        if u == 1.0 { stop } else { self.span.0 + u * (stop - self.span.0) }
    }

    /// One step of every unfinished row; false if there is none.
    fn step(&mut self) -> Result<bool, SolveError> {
        let trials = self.leave()?;
        if trials.is_empty() {
            return Ok(false);
        }
        let places: Vec<usize> = self.rows.iter().map(|row| row.place).collect();
        let ends: Vec<f64> = trials.iter().map(|trial| trial.t + trial.h).collect();
        let length = self.time(1.0) - self.time(0.0);
        let reached = fitting("the noise", &self.x, brownian::evaluate(self.noise, &ends, &places), self.span.0)?;
        let root = length.abs().sqrt();
        let dw = S::linear_combination(&[(root, &reached), (-root, &self.w)]);
        let h: Vec<f64> = trials.iter().map(|trial| length * trial.h).collect();
        let (now, ahead) = (self.drifts(trials.iter().map(|trial| trial.t))?, self.drifts(ends.iter().copied())?);
        let each = |of: &dyn Fn(usize) -> f64| (0..h.len()).map(of).collect::<Vec<f64>>();
        let euler = S::row_combination(&[
            (&each(&|i| 1.0 + h[i] * now[i].0.x), &self.x),
            (&each(&|i| h[i] * now[i].0.prediction), &self.v),
            (&each(&|i| now[i].1), &dw),
        ]);
        let t: Vec<f64> = ends.iter().map(|u| self.time(*u)).collect();
        let v = velocities(self.field, &euler, &t, &places)?;
        self.out.calls += 1;
        // Heun's state minus Euler's.
        let error = S::row_combination(&[
            (&each(&|i| -0.5 * h[i] * now[i].0.x), &self.x),
            (&each(&|i| -0.5 * h[i] * now[i].0.prediction), &self.v),
            (&each(&|i| 0.5 * h[i] * ahead[i].0.x), &euler),
            (&each(&|i| 0.5 * h[i] * ahead[i].0.prediction), &v),
            (&each(&|i| 0.5 * (ahead[i].1 - now[i].1)), &dw),
        ]);
        let next = S::linear_combination(&[(1.0, &euler), (1.0, &error)]);
        let norms = self.norms(&error, &next);
        let mut accepted = Vec::with_capacity(trials.len());
        for (i, (row, trial)) in self.rows.iter_mut().zip(&trials).enumerate() {
            row.state.stats.evaluations += 1;
            if row.state.judge(*trial, norms[i], ORDER, &self.options) {
                row.stale = true;
                accepted.push(i);
            }
        }
        self.x.put_rows(&accepted, &next.select_rows(&accepted));
        self.w.put_rows(&accepted, &reached.select_rows(&accepted));
        let reached: Vec<f64> = accepted.iter().map(|i| self.time(self.rows[*i].state.t())).collect();
        self.save(&accepted, &reached);
        self.refresh()?;
        Ok(true)
    }

    /// Drift and g at these times.
    fn drifts(&self, u: impl Iterator<Item = f64>) -> Result<Vec<(Conversion, f64)>, SolveError> {
        let at = |t: f64| {
            if self.of_drift {
                return deviation(self.path, self.how.diffusion, t).map(|g| (ITSELF, g));
            }
            drift(&self.path.at(t)?, self.how.diffusion)
        };
        u.map(|u| Ok(at(self.time(u))?)).collect()
    }

    /// The error norms of the rows; the root of their mean square for all rows if they share their
    /// steps.
    fn norms(&self, error: &S, next: &S) -> Vec<f64> {
        let mut norms = S::row_error_norms(error, &self.x, next, &self.options.tolerance);
        norms.resize(self.rows.len(), f64::NAN);
        if self.how.pace == Pace::PerBatch {
            let mean = norms.iter().map(|norm| norm * norm).sum::<f64>() / norms.len().max(1) as f64;
            norms.fill(mean.sqrt());
        }
        norms
    }

    /// Evaluates velocities at the states of rows that have moved.
    fn refresh(&mut self) -> Result<(), SolveError> {
        let stale: Vec<usize> = (0..self.rows.len()).filter(|i| self.rows[*i].stale).collect();
        if stale.is_empty() {
            return Ok(());
        }
        let places: Vec<usize> = stale.iter().map(|i| self.rows[*i].place).collect();
        let t: Vec<f64> = stale.iter().map(|i| self.time(self.rows[*i].state.t())).collect();
        let fresh = velocities(self.field, &self.x.select_rows(&stale), &t, &places)?;
        self.v.put_rows(&stale, &fresh);
        self.out.calls += 1;
        for i in stale {
            self.rows[i].stale = false;
            self.rows[i].state.stats.evaluations += 1;
        }
        Ok(())
    }

    /// The next steps to try; rows at the end take the last step, and finished rows leave.
    fn leave(&mut self) -> Result<Vec<Trial>, SolveError> {
        let options = &self.options;
        let propose = |row: &mut Row| {
            let trial = row.state.propose(2, options)?;
            if trial.t + trial.h >= 1.0 {
                return Some(trial);
            }
            let end = brownian::round_step(trial.t, trial.h);
            if end.is_none() {
                row.state.stats.reason = StopReason::StepUnderflow { t: trial.t };
            }
            end.map(|end| trial.up_to(end))
        };
        let trials: Vec<Option<Trial>> = self.rows.iter_mut().map(propose).collect();
        let (staying, leaving): (Vec<usize>, Vec<usize>) = (0..trials.len()).partition(|i| trials[*i].is_some());
        if leaving.is_empty() {
            return Ok(trials.into_iter().flatten().collect());
        }
        let denoise = self.denoise()?;
        let (at_end, early): (Vec<usize>, Vec<usize>) =
            leaving.into_iter().partition(|i| self.rows[*i].state.stats.reason == StopReason::ReachedEnd);
        let (x, v) = (self.x.select_rows(&at_end), self.v.select_rows(&at_end));
        let clean = S::linear_combination(&[(denoise.x, &x), (denoise.prediction, &v)]);
        self.x.put_rows(&at_end, &clean);
        let norms = S::row_error_norms(&clean, &clean, &clean, &crate::step::finite());
        for (k, i) in at_end.iter().enumerate() {
            let stats = &mut self.rows[*i].state.stats;
            stats.accepted += 1;
            if !norms.get(k).is_some_and(|norm| norm.is_finite()) {
                stats.reason = StopReason::NonFinite { t: 1.0 };
            }
        }
        self.save(&at_end, &vec![self.span.1; at_end.len()]);
        for i in at_end.into_iter().chain(early) {
            let Row { place, state, .. } = &self.rows[i];
            self.out.x.put_rows(&[*place], &self.x.select_rows(&[i]));
            self.out.rows[*place] = self.in_time(state.stats);
        }
        let mut at = 0..;
        self.rows.retain(|_| at.next().is_some_and(|i: usize| trials[i].is_some()));
        self.x = self.x.select_rows(&staying);
        self.v = self.v.select_rows(&staying);
        self.w = self.w.select_rows(&staying);
        Ok(trials.into_iter().flatten().collect())
    }

    /// The last step as a combination of x and v, without noise: the expected data point, or a step
    /// of Euler's method along the drift.
    fn denoise(&self) -> Result<Conversion, SolveError> {
        let stop = self.time(1.0);
        if self.of_drift {
            return Ok(Conversion { x: 1.0, prediction: self.span.1 - stop });
        }
        Ok(Prediction::Velocity.to(Prediction::Data, &self.path.at(stop)?)?)
    }

    /// Counts and reasons in units of the span.
    fn in_time(&self, stats: Stats) -> Stats {
        let reason = match stats.reason {
            StopReason::MaxEvaluations { t } => StopReason::MaxEvaluations { t: self.time(t) },
            StopReason::StepUnderflow { t } => StopReason::StepUnderflow { t: self.time(t) },
            StopReason::NonFinite { t } => StopReason::NonFinite { t: self.time(t) },
            other => other,
        };
        Stats { smallest_step: stats.smallest_step * (self.time(1.0) - self.time(0.0)).abs(), reason, ..stats }
    }

    /// Saves the requested states of rows that have reached these times.
    fn save(&mut self, rows: &[usize], reached: &[f64]) {
        let direction = if self.span.1 < self.span.0 { -1.0 } else { 1.0 };
        for (i, t) in rows.iter().zip(reached) {
            let row = &mut self.rows[*i];
            match self.output {
                SaveAt::End => return,
                SaveAt::Steps if *t == self.span.0 => {}
                SaveAt::Steps => self.out.trajectories[row.place].push((*t, self.x.select_rows(&[*i]))),
                SaveAt::At(times) => {
                    while times.get(row.due).is_some_and(|time| direction * (time - t) <= 0.0) {
                        self.out.states[row.due].put_rows(&[row.place], &self.x.select_rows(&[*i]));
                        row.due += 1;
                    }
                }
            }
        }
    }
}
