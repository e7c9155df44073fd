//! A coupling whose plans are reported: what a training loop wraps around an [`OtCoupling`].
//!
//! A [`Coupling`] returns pairs alone. This one also adds the report of each plan to a tally that
//! the program keeps, so that it can print "3 of 10 plans not converged".
//!
//! ```
//! use fm_core::{coupling::{Conditions, Coupling, CouplingInput}, rng};
//! use fm_ot::{Epsilon, OtCoupling, Reports, SinkhornOptions, reporting::Reporting};
//! let (x0, x1) = (ndarray::array![[5.0f32], [1.0], [2.0]], ndarray::array![[0.0f32], [7.0], [4.0]]);
//! let hurried = SinkhornOptions { max_iterations: 1, tolerance: 1e-9, ..Epsilon::Relative(0.05).into() };
//! let reports = Reports::default();
//! let coupling = Reporting::new(OtCoupling::sinkhorn(hurried), &reports);
//! let batch = CouplingInput { x0: x0.view(), x1: x1.view(), conditions: Conditions::None };
//! coupling.couple(&batch, &mut rng::Key::new(0, 0, rng::Stream::Coupling).generator(0))?;
//! assert!(reports.tally().to_string().starts_with("1 of 1 plans not converged"));
//! # Ok::<(), fm_core::coupling::CouplingError>(())
//! ```

use crate::cost::{Cost, Metric};
use crate::coupling::OtCoupling;
use crate::report::Reports;
use fm_core::coupling::{Coupling, CouplingError, CouplingInput, Pairing};
use rand::RngCore;

/// An [`OtCoupling`] that reports its plans.
#[derive(Debug, Clone)]
pub struct Reporting<C = Metric> {
    coupling: OtCoupling<C>,
    reports: Reports,
}

impl<C> Reporting<C> {
    /// A coupling that adds to these reports.
    pub fn new(coupling: OtCoupling<C>, reports: &Reports) -> Self {
        Self { coupling, reports: reports.clone() }
    }
}

impl<C: Cost + Send> Coupling for Reporting<C> {
    fn couple(&self, batch: &CouplingInput<'_>, rng: &mut dyn RngCore) -> Result<Pairing, CouplingError> {
        let (pairing, report) = self.coupling.couple_reported(batch, rng)?;
        if batch.x1.nrows() > 0 {
            self.reports.add(report);
        }
        Ok(pairing)
    }
}
