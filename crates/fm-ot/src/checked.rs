//! Plans that were checked: the one place where a solver's result becomes a plan.
//!
//! A [`CheckedPlan`] has no other constructor than the check, so a plan of NaN, of negative or
//! infinite masses, or of marginals other than the solver promises cannot be drawn from, averaged
//! or printed. What an iteration still lacks when it stops is part of the
//! [report](CheckedPlan::report), and what no number of iterations can mend is an error.
//!
//! | plan | what is promised |
//! |---|---|
//! | balanced | column sums b, even if the iteration stops early |
//! | unbalanced | column sums b_j exp(-g_j / reg_m), the fit of its last half-step |
//! | partial | the mass |
//!
//! ```
//! use fm_ot::{Marginals, SinkhornOptions, sinkhorn};
//! let cost = ndarray::array![[0.0, 1.0], [1.0, 0.0]];
//! let found = sinkhorn(cost.view(), &Marginals::uniform(2, 2), &SinkhornOptions::default())?;
//! // It reads as the matrix that it holds.
//! assert!((found.plan.sum() - 1.0).abs() < 1e-9 && found.plan.report().converged);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::OtError;
use crate::report::PlanReport;
use multiversion::multiversion;
use ndarray::{Array2, ArrayView2};
use std::ops::Deref;

/// The largest L1 distance of a plan from what its solver promises, relative to the promised mass.
/// Rounding stays below it for all costs that [`OtError::Resolution`] lets pass.
const ROUNDING: f64 = 1e-5;

/// The masses of a plan, (rows, columns): finite, 0 or above, with the marginals that its solver
/// promises.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedPlan {
    masses: Array2<f64>,
    report: PlanReport,
}

/// The marginals that a solver guarantees for its plan, converged or not.
#[derive(Debug, Clone)]
pub(crate) enum Promise {
    Columns(Vec<f64>),
    Mass(f64),
}

impl CheckedPlan {
    /// The only way to a plan.
    pub(crate) fn new(masses: Array2<f64>, promise: &Promise, report: PlanReport) -> Result<Self, OtError> {
        let legal = |p: &f64| (*p >= 0.0) & (*p < f64::INFINITY);
        let masses = if masses.is_standard_layout() { masses } else { masses.as_standard_layout().into_owned() };
        let mut sums = vec![0.0; masses.ncols()];
        let mut least = 0.0;
        for row in masses.as_slice().unwrap_or_default().chunks_exact(masses.ncols().max(1)) {
            least = add_row(&mut sums, row, least);
        }
        // A mass that is not finite shows in the sum of its column.
        let suspect = least < 0.0 || !sums.iter().all(|sum| sum.is_finite());
        if suspect && let Some(((row, column), mass)) = masses.indexed_iter().find(|(_, p)| !legal(p)) {
            return Err(OtError::Plan { row, column, mass: *mass });
        }
        let (off, promised) = match promise {
            Promise::Columns(columns) => {
                let off: f64 = sums.iter().zip(columns).map(|(s, c)| (s - c).abs()).sum();
                (off, columns.iter().sum::<f64>())
            }
            Promise::Mass(mass) => ((sums.iter().sum::<f64>() - mass).abs(), *mass),
        };
        // Written so that NaN fails. Masses near the least f64 have few digits.
        if off <= ROUNDING * promised + 1e-300 && promised.is_finite() && !report.error.is_nan() {
            Ok(Self { masses, report })
        } else {
            Err(OtError::Marginals { off, mass: promised })
        }
    }

    /// How well the plan keeps its marginals.
    pub fn report(&self) -> PlanReport {
        self.report
    }

    /// The masses.
    pub fn view(&self) -> ArrayView2<'_, f64> {
        self.masses.view()
    }

    /// The masses as a plain matrix, without the guarantee of a checked plan.
    pub fn into_masses(self) -> Array2<f64> {
        self.masses
    }
}

/// Values that are handled together.
const LANES: usize = 16;

/// Adds a row to the sums; returns the least of its masses and `least`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_row(sums: &mut [f64], row: &[f64], least: f64) -> f64 {
    let mut lows = [least; LANES];
    for (sums, row) in sums.chunks_mut(LANES).zip(row.chunks(LANES)) {
        for ((sum, p), low) in sums.iter_mut().zip(row).zip(&mut lows) {
            *sum += p;
            *low = if *p < *low { *p } else { *low };
        }
    }
    lows.into_iter().fold(least, f64::min)
}

impl Deref for CheckedPlan {
    type Target = Array2<f64>;

    fn deref(&self) -> &Array2<f64> {
        &self.masses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn plans_that_nobody_may_draw_from_are_refused() {
        let even = Promise::Columns(vec![0.5, 0.5]);
        let refused = |plan: Array2<f64>, promise: &Promise| CheckedPlan::new(plan, promise, PlanReport::EXACT).err();
        for bad in [f64::NAN, f64::INFINITY, -1e-300, f64::NEG_INFINITY] {
            let found = refused(array![[0.5, 0.0], [bad, 0.5]], &even);
            assert!(matches!(found, Some(OtError::Plan { row: 1, column: 0, .. })), "{bad}: {found:?}");
        }
        // A mass of 46, one of 0, and one of the right mass in the wrong column.
        for plan in [array![[23.0, 0.0], [0.0, 23.0]], array![[0.0, 0.0], [0.0, 0.0]], array![[0.5, 0.0], [0.5, 0.0]]] {
            assert!(matches!(refused(plan.clone(), &even), Some(OtError::Marginals { .. })), "{plan}");
        }
        assert!(matches!(refused(array![[0.6]], &Promise::Mass(0.5)), Some(OtError::Marginals { .. })));
        for promise in [Promise::Mass(f64::NAN), Promise::Mass(f64::INFINITY), Promise::Columns(vec![f64::NAN])] {
            assert!(matches!(refused(array![[0.6]], &promise), Some(OtError::Marginals { .. })), "{promise:?}");
        }
        let unknown = PlanReport::new(f64::NAN, 1.0, 1);
        assert!(CheckedPlan::new(array![[0.5]], &Promise::Mass(0.5), unknown).is_err());
        assert_eq!(refused(array![[0.5, 0.0], [0.0, 0.5 + 1e-9]], &even), None);
    }
}
