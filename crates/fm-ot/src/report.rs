//! How well a plan keeps its marginals, in a form that programs can print.
//!
//! An iteration that stops early leaves a plan whose marginals are off, and whose cost may be below
//! the optimum. Every plan has a [`PlanReport`], and a [`TransportCost`] prints it beside the cost.
//! In a training loop, [`Reports`] collects the reports of all plans.
//!
//! ```
//! use fm_ot::{Marginals, SinkhornOptions, sinkhorn};
//! let cost = ndarray::array![[0.0, 1.0, 9.0], [1.0, 0.0, 2.0], [7.0, 3.0, 0.0]];
//! let hurried = SinkhornOptions { max_iterations: 1, tolerance: 1e-9, ..SinkhornOptions::default() };
//! let found = sinkhorn(cost.view(), &Marginals::uniform(3, 3), &hurried)?;
//! assert!(!found.converged);
//! assert!(found.report().to_string().starts_with("not converged after 1 iteration, marginals off by "));
//! assert!(found.transport_cost().to_string().contains("(not converged after 1 iteration"));
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The convergence of a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PlanReport {
    /// The L1 error of the marginals; see [`EntropicPlan::error`](crate::EntropicPlan::error). 0
    /// for exact plans.
    pub error: f64,
    /// The requested bound on this error.
    pub tolerance: f64,
    /// Iterations made; 0 for exact plans.
    pub iterations: usize,
    /// Whether the error is at most the tolerance.
    pub converged: bool,
}

impl PlanReport {
    /// The report of a plan without an iteration.
    pub const EXACT: Self = Self { error: 0.0, tolerance: 0.0, iterations: 0, converged: true };

    pub(crate) fn new(error: f64, tolerance: f64, iterations: usize) -> Self {
        Self { error, tolerance, iterations, converged: error <= tolerance }
    }
}

impl fmt::Display for PlanReport {
    /// `exact`, or `[not ]converged after N iterations, marginals off by E`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, iterations, converged, .. } = self;
        if *iterations == 0 && *converged {
            return f.write_str("exact");
        }
        let (not, s) = (if *converged { "" } else { "not " }, if *iterations == 1 { "" } else { "s" });
        write!(f, "{not}converged after {iterations} iteration{s}, marginals off by {error:.2e}")
    }
}

/// The cost of a plan, which is printed with the report if the plan has not converged.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TransportCost {
    /// sum P C. It may be below the optimum if the plan has not converged.
    pub value: f64,
    /// sum P, the mass that is transported.
    pub mass: f64,
    /// The convergence of the plan.
    pub report: PlanReport,
}

impl fmt::Display for TransportCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, report, .. } = self;
        if report.converged { write!(f, "{value}") } else { write!(f, "{value} ({report})") }
    }
}

/// The reports of the plans of a training run. Clones share one tally, so that a program keeps one
/// and gives another to the coupling.
#[derive(Debug, Clone, Default)]
pub struct Reports(Arc<Mutex<Tally>>);

/// Counts of the plans reported so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Plans.
    pub plans: u64,
    /// Plans that have not converged.
    pub unconverged: u64,
    /// The latest plan.
    pub last: Option<PlanReport>,
    /// The plan with the largest error among those that have not converged.
    pub worst: Option<PlanReport>,
}

impl Reports {
    /// Adds the report of a plan.
    pub fn add(&self, report: PlanReport) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tally.plans += 1;
        tally.last = Some(report);
        if !report.converged {
            tally.unconverged += 1;
            let worse = tally.worst.is_none_or(|worst| report.error > worst.error);
            tally.worst = if worse { Some(report) } else { tally.worst };
        }
    }

    /// The counts so far.
    pub fn tally(&self) -> Tally {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts so far; the tally starts again at 0.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Display for Tally {
    /// `3 of 10 plans not converged; the worst: ...`, or `10 plans converged`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plans, unconverged, worst, .. } = self;
        match worst {
            Some(worst) => write!(f, "{unconverged} of {plans} plans not converged; the worst: {worst}"),
            None => write!(f, "{plans} plans converged"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_converged_is_printed_as_such() {
        let (good, bad) = (PlanReport::new(1e-4, 1e-3, 12), PlanReport::new(0.25, 1e-3, 300));
        assert_eq!(good.to_string(), "converged after 12 iterations, marginals off by 1.00e-4");
        assert_eq!(bad.to_string(), "not converged after 300 iterations, marginals off by 2.50e-1");
        assert_eq!(PlanReport::EXACT.to_string(), "exact");
        assert!(!PlanReport::new(f64::NAN, 1e-3, 1).converged);
        let cost = |report| TransportCost { value: 1.5, mass: 1.0, report }.to_string();
        assert_eq!((cost(good), cost(PlanReport::EXACT)), ("1.5".into(), "1.5".into()));
        assert!(cost(bad).starts_with("1.5 (not converged after 300"));
    }

    #[test]
    fn clones_count_together() {
        let reports = Reports::default();
        let coupling = reports.clone();
        let more = [PlanReport::EXACT, PlanReport::new(0.1, 0.01, 5), PlanReport::new(0.5, 0.01, 6)];
        more.into_iter().for_each(|report| coupling.add(report));
        coupling.add(PlanReport::new(0.3, 0.01, 7));
        let tally = reports.take();
        assert_eq!((tally.plans, tally.unconverged), (4, 3));
        assert_eq!((tally.worst, tally.last.map(|r| r.iterations)), (Some(more[2]), Some(7)));
        assert!(tally.to_string().starts_with("3 of 4 plans not converged; the worst: not converged after 6"));
        assert_eq!((coupling.tally(), Tally::default().to_string()), (Tally::default(), "0 plans converged".into()));
    }
}
