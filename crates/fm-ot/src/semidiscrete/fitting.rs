//! A fit of all parts of a coupling, one batch of noise rows at a time. It can stop after any batch
//! and continue from its state, with the same result.
//!
//! ```
//! use fm_ot::{Metric, Semidiscrete, SemidiscreteOptions};
//! use ndarray::{Array2, array};
//! let coupling = Semidiscrete::new(array![[0.0f32], [1.0], [4.0]], Metric::default())?;
//! let options = SemidiscreteOptions { draws: 20, batch_size: 2, ..SemidiscreteOptions::default() };
//! let noise = |batch: usize| Array2::from_shape_fn((2, 1), |(i, _)| (batch + i) as f32 % 5.0);
//! let mut fit = coupling.fitting(&options, None)?;
//! let mut half = None;
//! while let Some(at) = fit.next_rows() {
//!     if at.batch == 7 {
//!         half = Some(fit.state());
//!     }
//!     fit.step(noise(at.batch).view())?;
//! }
//! let mut continued = coupling.fitting(&options, half.as_ref())?;
//! while let Some(at) = continued.next_rows() {
//!     continued.step(noise(at.batch).view())?;
//! }
//! assert_eq!(continued.finish()?, fit.finish()?);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use super::fit::{FitRow, FitStep, SemidiscreteFit, unknown_row};
use super::options::SemidiscreteOptions;
use super::parts::{NoiseRows, Semidiscrete};
use crate::OtError;
use crate::cost::{Cost, Metric};
use crate::scalar::Scalar;
use fm_core::rng::Stream;
use fm_core::source::Source;
use ndarray::{Array2, ArrayView2};

/// An unfinished fit of a [`Semidiscrete`].
#[derive(Debug, Clone)]
pub struct SemidiscreteFitting<'a, T, C = Metric> {
    coupling: &'a Semidiscrete<T, C>,
    options: SemidiscreteOptions,
    /// The potentials of the parts that are done.
    fitted: Vec<Vec<f64>>,
    /// The fit of the next part; `None` after the last one.
    current: Option<SemidiscreteFit<'a, T, C>>,
    batches_done: usize,
    batches: usize,
}

/// What a fit needs to continue.
#[derive(Debug, Clone, PartialEq)]
pub struct FittingState {
    /// Batches done, of all parts.
    pub batches_done: usize,
    /// The unit of a relative learning rate, once it is measured.
    pub unit: Option<f64>,
    /// The values of each data row.
    pub rows: Vec<FitRow>,
}

impl<T: Scalar, C: Cost<T>> Semidiscrete<T, C> {
    /// Fits the potentials to noise rows that `noise` draws. An error of `noise` ends the fit, with
    /// the potentials as they were.
    ///
    /// # Errors
    /// Errors of `noise`, and those of [`SemidiscreteFitting`].
    pub fn fit<E: From<OtError>>(
        &mut self,
        options: &SemidiscreteOptions,
        mut noise: impl FnMut(NoiseRows) -> Result<Array2<T>, E>,
    ) -> Result<(), E> {
        let mut fit = self.fitting(options, None)?;
        while let Some(at) = fit.next_rows() {
            fit.step(noise(at)?.view())?;
        }
        let potentials = fit.finish()?;
        self.set(&potentials);
        Ok(())
    }

    /// A fit that the caller drives, from the beginning or from the state of an unfinished one with
    /// these options. Its result is for [`with_potentials`](Self::with_potentials).
    ///
    /// # Errors
    /// [`OtError::Fit`] for options outside their domains, [`OtError::Memory`], and
    /// [`OtError::RowPotentials`] for the state of another number of rows.
    pub fn fitting(
        &self,
        options: &SemidiscreteOptions,
        state: Option<&FittingState>,
    ) -> Result<SemidiscreteFitting<'_, T, C>, OtError> {
        SemidiscreteFitting::new(self, options, state)
    }
}

impl<T: Scalar + From<f32>, C: Cost<T>> Semidiscrete<T, C> {
    /// [`fit`](Self::fit) to a source distribution. The noise rows are a function of the seed.
    ///
    /// # Errors
    /// [`OtError::Noise`] for a source that cannot be drawn from; as [`fit`](Self::fit).
    pub fn fit_source(&mut self, source: &Source, seed: u64, options: &SemidiscreteOptions) -> Result<(), OtError> {
        let dim = self.dim;
        self.fit(options, |at| at.draw(source, seed, Stream::Coupling, dim))
    }
}

impl<'a, T: Scalar, C: Cost<T>> SemidiscreteFitting<'a, T, C> {
    fn new(
        coupling: &'a Semidiscrete<T, C>,
        options: &SemidiscreteOptions,
        state: Option<&FittingState>,
    ) -> Result<Self, OtError> {
        options.validate()?;
        let sizes = coupling.part_sizes();
        let batches = sizes.iter().map(|rows| options.iterations(*rows)).sum();
        let mut fitting =
            Self { coupling, options: *options, fitted: Vec::new(), current: None, batches_done: 0, batches };
        if let Some(state) = state {
            if state.rows.len() != coupling.row_count() {
                return Err(OtError::RowPotentials { potentials: state.rows.len(), rows: coupling.row_count() });
            }
            for (part, rows) in sizes.iter().enumerate() {
                let done = fitting.batches_done + options.iterations(*rows);
                if done > state.batches_done {
                    break;
                }
                fitting.fitted.push(coupling.numbers(part).iter().map(|row| state.rows[*row].average).collect());
                fitting.batches_done = done;
            }
        }
        fitting.begin_part()?;
        if let (Some(state), Some(fit)) = (state, &mut fitting.current) {
            let rows = coupling.numbers(fitting.fitted.len()).iter().map(|row| state.rows[*row]).collect();
            let done = state.batches_done - fitting.batches_done;
            fit.restore(done, state.unit.filter(|_| done > 0), rows);
            fitting.batches_done = state.batches_done;
        }
        Ok(fitting)
    }

    /// Starts the fit of the next part, if there is one.
    fn begin_part(&mut self) -> Result<(), OtError> {
        let (coupling, part) = (self.coupling, self.fitted.len());
        let fit = |rows: ArrayView2<'a, T>| {
            SemidiscreteFit::new(rows, coupling.cost(), self.options, self.options.iterations(rows.nrows()))
        };
        self.current = coupling.part_rows(part).map(fit).transpose()?;
        Ok(())
    }

    /// The noise rows of the next batch; `None` at the end.
    pub fn next_rows(&self) -> Option<NoiseRows> {
        let fit = self.current.as_ref()?;
        Some(NoiseRows {
            part: self.fitted.len(),
            batch: fit.iterations_done(),
            rows: self.options.batch_size,
            batches_done: self.batches_done,
            batches: self.batches,
        })
    }

    /// The class of the next batch's part; `None` without classes and at the end.
    pub fn class(&self) -> Option<i64> {
        self.current.as_ref().and_then(|_| self.coupling.class(self.fitted.len()))
    }

    /// One batch of noise rows `x0` (n, d).
    ///
    /// # Errors
    /// [`OtError::Complete`] after the last batch; as [`SemidiscreteFit::step`].
    pub fn step(&mut self, x0: ArrayView2<'_, T>) -> Result<FitStep, OtError> {
        let step = self.current.as_mut().ok_or(OtError::Complete)?.step(x0)?;
        self.advance()?;
        Ok(step)
    }

    /// One batch whose noise rows chose their data rows elsewhere, for example on a device, by the
    /// current [`potentials`](Self::potentials); the rows are numbers in the whole data.
    ///
    /// # Errors
    /// [`OtError::Complete`] after the last batch; as [`SemidiscreteFit::step_chosen`], also for a
    /// row of another class.
    pub fn step_chosen(&mut self, x0: ArrayView2<'_, T>, rows: &[usize]) -> Result<(), OtError> {
        let numbers = self.coupling.numbers(self.fitted.len());
        let within = |row: &usize| numbers.binary_search(row).map_err(|_| unknown_row(*row));
        let rows = rows.iter().map(within).collect::<Result<Vec<_>, _>>()?;
        self.current.as_mut().ok_or(OtError::Complete)?.step_chosen(x0, &rows)?;
        self.advance()
    }

    fn advance(&mut self) -> Result<(), OtError> {
        self.batches_done += 1;
        if let Some(fit) = self.current.take_if(|fit| fit.is_done()) {
            self.fitted.push(fit.into_averaged());
            self.begin_part()?;
        }
        Ok(())
    }

    /// The current potential of each data row: averages of parts that are done, and 0 of parts to
    /// come.
    pub fn potentials(&self) -> Vec<f64> {
        self.by_row(|fit| fit.potentials())
    }

    /// The state, to continue from later.
    pub fn state(&self) -> FittingState {
        let mut rows = vec![FitRow::default(); self.coupling.row_count()];
        for (part, averages) in self.fitted.iter().enumerate() {
            let numbers = self.coupling.numbers(part).iter().zip(averages);
            numbers.for_each(|(row, average)| rows[*row].average = *average);
        }
        if let Some(fit) = &self.current {
            let numbers = self.coupling.numbers(self.fitted.len()).iter().zip(fit.rows());
            numbers.for_each(|(row, values)| rows[*row] = values);
        }
        let unit = self.current.as_ref().and_then(SemidiscreteFit::unit);
        FittingState { batches_done: self.batches_done, unit, rows }
    }

    /// The averaged potentials, one per data row.
    ///
    /// # Errors
    /// [`OtError::TooLarge`] for potentials that are not finite.
    pub fn finish(self) -> Result<Vec<f64>, OtError> {
        let potentials = self.by_row(|fit| fit.averaged());
        if potentials.iter().any(|g| !g.is_finite()) {
            return Err(OtError::TooLarge);
        }
        Ok(potentials)
    }

    /// Values by data row.
    fn by_row(&self, of: for<'f> fn(&'f SemidiscreteFit<'a, T, C>) -> &'f [f64]) -> Vec<f64> {
        let mut all = vec![0.0; self.coupling.row_count()];
        let parts = self.fitted.iter().map(Vec::as_slice).chain(self.current.as_ref().map(of));
        for (part, values) in parts.enumerate() {
            self.coupling.numbers(part).iter().zip(values).for_each(|(row, value)| all[*row] = *value);
        }
        all
    }
}
