//! Paired rows in one call.
//!
//! A batch of sources x0 (n, d) and of targets x1 (n, d), f32 or f64, becomes n pairs: row i of one
//! result is paired with row i of the other. The returned [`Pairing`] reorders labels in the same
//! way.
//!
//! ```
//! use ndarray::array;
//! let (x0, x1) = (array![[5.0f64], [1.0]], array![[0.0f64], [6.0]]);
//! let pairs = fm_ot::pair(x0.view(), x1.view())?;
//! assert_eq!((pairs.x0, pairs.x1), (array![[1.0], [5.0]], x1));
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::OtError;
use crate::cost::{Cost, check_weight};
use crate::coupling::OtCoupling;
use crate::report::PlanReport;
use crate::scalar::Scalar;
use fm_core::coupling::{Conditions, Pairing};
use fm_core::rng::{Key, Stream};
use ndarray::{Array2, ArrayView2, Axis};
use rand::RngCore;

/// Source and target rows in the order of the pairs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PairedRows<T = f32> {
    /// Source rows.
    pub x0: Array2<T>,
    /// Target rows.
    pub x1: Array2<T>,
    /// The row numbers in the original batch.
    pub pairing: Pairing,
    /// How well the plan keeps its marginals.
    pub report: PlanReport,
}

/// The pairs of least total squared Euclidean distance: [`OtCoupling::exact`] without a random
/// generator, because nothing is drawn.
///
/// # Errors
/// As [`OtCoupling::pair`].
pub fn pair<T: Scalar>(x0: ArrayView2<'_, T>, x1: ArrayView2<'_, T>) -> Result<PairedRows<T>, OtError> {
    OtCoupling::exact().pair(x0, x1, &mut Key::new(0, 0, Stream::Coupling).generator(0))
}

impl<C> OtCoupling<C> {
    /// Pairs source rows and target rows, (n, d) each, with this coupling.
    ///
    /// # Errors
    /// [`OtError::Batch`] for different shapes, [`OtError::Unconditional`] for a coupling with a
    /// condition weight (use [`couple`](fm_core::coupling::Coupling::couple) instead),
    /// [`OtError::NotFinite`] for a cost that is NaN or infinite, [`OtError::CostShape`], and the
    /// errors of the plan.
    #[doc(alias = "sample_plan")]
    pub fn pair<T: Scalar>(
        &self,
        x0: ArrayView2<'_, T>,
        x1: ArrayView2<'_, T>,
        rng: &mut dyn RngCore,
    ) -> Result<PairedRows<T>, OtError>
    where
        C: Cost<T>,
    {
        if x0.dim() != x1.dim() {
            return Err(OtError::Batch { x0: x0.dim(), x1: x1.dim() });
        }
        check_weight(self.condition_weight)?;
        if self.condition_weight > 0.0 {
            return Err(OtError::Unconditional);
        }
        let n = x1.nrows();
        let (pairing, report) = if n == 0 {
            (Pairing::Identity, PlanReport::EXACT)
        } else {
            let solved = self.solve_costs(self.costs_of_targets(x0, x1)?, &Conditions::None)?;
            let report = solved.report();
            (self.sample(solved, n, rng)?, report)
        };
        let (x0, x1) = match &pairing {
            Pairing::Identity => (x0.to_owned(), x1.to_owned()),
            Pairing::Permutation(sources) => (x0.select(Axis(0), sources), x1.to_owned()),
            Pairing::Resampled { sources, targets } => (x0.select(Axis(0), sources), x1.select(Axis(0), targets)),
        };
        Ok(PairedRows { x0, x1, pairing, report })
    }
}
