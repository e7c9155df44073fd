//! One fit of potentials: stochastic gradient ascent by Adam, one batch of noise rows at a time.
//!
//! With h_j the number of the batch's n noise rows whose data row is j, the gradient of the dual
//! with respect to g_j is 1/N - h_j/n.
//!
//! ```
//! use fm_ot::{Metric, semidiscrete::{SemidiscreteFit, SemidiscreteOptions}};
//! use ndarray::array;
//! let data = array![[0.0f64], [10.0]];
//! let mut fit = SemidiscreteFit::new(data.view(), &Metric::SquaredEuclidean, SemidiscreteOptions::default(), 10)?;
//! // Both noise rows take data row 0, whose potential falls.
//! let step = fit.step(array![[1.0], [2.0]].view())?;
//! assert_eq!((step.dual, step.rows), (2.5, vec![0, 0]));
//! assert!(fit.potentials()[0] < 0.0 && fit.potentials()[1] > 0.0);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use super::nearest::{nearest, spread};
use super::options::SemidiscreteOptions;
use crate::cost::{Cost, Metric};
use crate::scalar::Scalar;
use crate::{OtError, memory};
use ndarray::ArrayView2;

/// The state of a fit to some data rows.
#[derive(Debug, Clone)]
#[doc(alias = "SemidiscreteSolver")]
#[doc(alias = "SemidiscreteState")]
pub struct SemidiscreteFit<'a, T, C = Metric> {
    data: ArrayView2<'a, T>,
    cost: &'a C,
    options: SemidiscreteOptions,
    iterations: usize,
    /// Iterations made.
    done: usize,
    /// The unit of a relative learning rate, once it is measured.
    unit: Option<f64>,
    potentials: Vec<f64>,
    average: Vec<f64>,
    /// Adam's first and second moments of each potential's gradient.
    moments: Vec<[f64; 2]>,
}

/// The values of one data row in a fit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FitRow {
    /// The average of its potential.
    pub average: f64,
    /// Its potential.
    pub potential: f64,
    /// Adam's first and second moments of its gradient.
    pub moments: [f64; 2],
}

/// One iteration of a fit.
#[derive(Debug, Clone, PartialEq)]
pub struct FitStep {
    /// The batch's estimate of the dual before the step: mean_i min_j (c(x_i, y_j) - g_j) + mean g,
    /// which is at most the optimal cost of the batch.
    pub dual: f64,
    /// The data row of each noise row before the step.
    pub rows: Vec<usize>,
}

impl<'a, T: Scalar, C: Cost<T>> SemidiscreteFit<'a, T, C> {
    /// A fit to the rows of `data` (N, d) from potentials of 0, by a number of iterations over
    /// which the learning rate decays.
    ///
    /// # Errors
    /// [`OtError::Empty`] for data without rows, [`OtError::Memory`] for more than memory holds,
    /// and [`OtError::Fit`] for options outside their domains.
    pub fn new(
        data: ArrayView2<'a, T>,
        cost: &'a C,
        options: SemidiscreteOptions,
        iterations: usize,
    ) -> Result<Self, OtError> {
        options.validate()?;
        let n = data.nrows();
        if n == 0 {
            return Err(OtError::Empty);
        }
        // Potentials, their average and two moments.
        memory::check((n, 4), 1)?;
        let (potentials, average, moments) = (vec![0.0; n], vec![0.0; n], vec![[0.0; 2]; n]);
        Ok(Self { data, cost, options, iterations, done: 0, unit: None, potentials, average, moments })
    }

    /// One iteration over the noise rows `x0` (n, d).
    ///
    /// # Errors
    /// [`OtError::Empty`] for no noise rows, [`OtError::Dimension`], and [`OtError::NotFinite`] for
    /// a cost that is NaN or infinite.
    pub fn step(&mut self, x0: ArrayView2<'_, T>) -> Result<FitStep, OtError> {
        if x0.nrows() == 0 {
            return Err(OtError::Empty);
        }
        let found = nearest(self.cost, x0, self.data, &self.potentials)?;
        let (share, count) = (1.0 / self.potentials.len() as f64, found.len() as f64);
        let dual = (found.iter().map(|f| f.value).sum::<f64>() / count) + self.potentials.iter().sum::<f64>() * share;
        let rows: Vec<usize> = found.into_iter().map(|f| f.row).collect();
        self.step_chosen(x0, &rows)?;
        Ok(FitStep { dual, rows })
    }

    /// One iteration over the noise rows `x0` (n, d), whose data rows `rows` were chosen elsewhere,
    /// for example on a device: argmin_j c(x0, y_j) - g_j for the current potentials.
    ///
    /// # Errors
    /// [`OtError::Empty`] for no noise rows, [`OtError::Chosen`] for another number of data rows or
    /// one that the data do not have; [`OtError::Dimension`].
    pub fn step_chosen(&mut self, x0: ArrayView2<'_, T>, rows: &[usize]) -> Result<(), OtError> {
        if x0.nrows() == 0 {
            return Err(OtError::Empty);
        }
        let mut hits = vec![0.0; self.potentials.len()];
        if rows.len() != x0.nrows() {
            return Err(wrong_count(rows.len(), x0.nrows()));
        }
        for row in rows {
            *hits.get_mut(*row).ok_or_else(|| unknown_row(*row))? += 1.0;
        }
        let unit = match self.unit {
            Some(unit) => unit,
            None => spread(self.cost, x0, self.data)?,
        };
        self.unit = Some(unit);
        self.adam(&hits, rows.len() as f64, unit);
        Ok(())
    }

    /// Continues a fit from the values of its rows after `done` iterations.
    pub(super) fn restore(&mut self, done: usize, unit: Option<f64>, rows: Vec<FitRow>) {
        (self.done, self.unit) = (done, unit);
        self.potentials = rows.iter().map(|row| row.potential).collect();
        self.average = rows.iter().map(|row| row.average).collect();
        self.moments = rows.iter().map(|row| row.moments).collect();
    }

    /// The values of the data rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = FitRow> + '_ {
        let values = self.average.iter().zip(&self.potentials).zip(&self.moments);
        values.map(|((average, potential), moments)| FitRow {
            average: *average,
            potential: *potential,
            moments: *moments,
        })
    }

    /// The unit of a relative learning rate, once it is measured.
    pub(super) fn unit(&self) -> Option<f64> {
        self.unit
    }

    /// Iterations made.
    pub fn iterations_done(&self) -> usize {
        self.done
    }

    /// Whether all iterations are made.
    pub fn is_done(&self) -> bool {
        self.done >= self.iterations
    }

    /// Moves the potentials by a step of Adam, and their average.
    fn adam(&mut self, hits: &[f64], count: f64, unit: f64) {
        let SemidiscreteOptions { beta1, beta2, eps, ema_decay: past, .. } = self.options;
        let rate = self.options.rate(self.done, self.iterations, unit);
        self.done += 1;
        let power = i32::try_from(self.done).unwrap_or(i32::MAX);
        let (bias1, bias2) = (1.0 - beta1.powi(power), 1.0 - beta2.powi(power));
        let share = 1.0 / hits.len() as f64;
        let potentials = self.potentials.iter_mut().zip(&mut self.average);
        for (((potential, average), [first, second]), hits) in potentials.zip(&mut self.moments).zip(hits) {
            let gradient = share - hits / count;
            *first = beta1 * *first + (1.0 - beta1) * gradient;
            *second = beta2 * *second + (1.0 - beta2) * gradient * gradient;
            *potential += rate * (*first / bias1) / ((*second / bias2).sqrt() + eps);
            *average = past * *average + (1.0 - past) * *potential;
        }
    }

    /// The current potentials, one per data row.
    pub fn potentials(&self) -> &[f64] {
        &self.potentials
    }

    /// The average of the potentials, which is closer to the optimum than the current ones.
    #[doc(alias = "g_ema")]
    pub fn averaged(&self) -> &[f64] {
        &self.average
    }

    /// The averaged potentials.
    pub fn into_averaged(self) -> Vec<f64> {
        self.average
    }
}

/// The error of a chosen row that a fit does not have.
pub(super) fn unknown_row(row: usize) -> OtError {
    OtError::Chosen { problem: format!("row {row} is not among the rows") }
}

/// The error of another number of chosen rows than noise rows.
pub(super) fn wrong_count(rows: usize, noise: usize) -> OtError {
    OtError::Chosen { problem: format!("there are {rows} for {noise} noise rows") }
}
