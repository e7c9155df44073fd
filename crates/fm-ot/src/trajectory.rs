//! Multi-marginal pairing: paths through snapshots at successive times.
//!
//! Snapshots of different points at several times are joined by coupling consecutive snapshots. A
//! path takes one row of each snapshot. With drawn pairs, paths follow the plans from row to row as
//! a Markov chain (as in torchcfm's `sample_trajectory`); otherwise each step is a permutation.
//!
//! ```
//! use fm_core::{coupling::Conditions, rng};
//! use fm_ot::{coupling::OtCoupling, trajectory::trajectory};
//! use ndarray::array;
//! let (monday, tuesday, friday) = (array![[0.0f32], [9.0]], array![[8.0f32], [1.0]], array![[7.0f32], [2.0]]);
//! let mut draws = rng::Key::new(0, 0, rng::Stream::Coupling).generator(0);
//! let snapshots = [monday.view(), tuesday.view(), friday.view()];
//! let paths = trajectory(&snapshots, &OtCoupling::default(), Conditions::None, &mut draws)?;
//! assert_eq!(paths, [[0, 1], [1, 0], [1, 0]]); // the path of row 0 goes through rows 0, 1, 1
//! # Ok::<(), fm_core::coupling::CouplingError>(())
//! ```

use crate::cost::Cost;
use crate::coupling::{OtCoupling, Solved, unsolved};
use crate::memory;
use crate::pairs::{self, PairSampling};
use crate::report::PlanReport;
use crate::scalar::Scalar;
use fm_core::coupling::{Conditions, CouplingError};
use ndarray::ArrayView2;
use rand::RngCore;

/// For each snapshot, the row on each path; path r starts at row r. The conditions apply to the
/// rows of every snapshot.
///
/// # Errors
/// As [`OtCoupling::solve`]; also snapshots of different shapes, and a drawn path that reaches a
/// row without mass in a plan.
#[doc(alias = "sample_trajectory")]
pub fn trajectory<T: Scalar, C: Cost<T>>(
    snapshots: &[ArrayView2<'_, T>],
    coupling: &OtCoupling<C>,
    conditions: Conditions<'_>,
    rng: &mut dyn RngCore,
) -> Result<Vec<Vec<usize>>, CouplingError> {
    Ok(trajectory_reported(snapshots, coupling, conditions, rng)?.rows)
}

/// Paths through snapshots, with the reports of the plans between them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Trajectory {
    /// For each snapshot, the row on each path.
    pub rows: Vec<Vec<usize>>,
    /// For each plan between two successive snapshots, how well it keeps its marginals.
    pub reports: Vec<PlanReport>,
}

/// [`trajectory`] with the reports of its plans.
///
/// # Errors
/// As [`trajectory`].
pub fn trajectory_reported<T: Scalar, C: Cost<T>>(
    snapshots: &[ArrayView2<'_, T>],
    coupling: &OtCoupling<C>,
    conditions: Conditions<'_>,
    rng: &mut dyn RngCore,
) -> Result<Trajectory, CouplingError> {
    let n = snapshots.first().map_or(0, |s| s.nrows());
    memory::check((n, 1), 1).map_err(unsolved)?;
    let mut paths = vec![(0..n).collect::<Vec<usize>>()];
    let mut reports = Vec::new();
    for pair in snapshots.windows(2) {
        // The earlier snapshot's rows draw from the later's, so that a row of the plan is one step
        // of a path.
        let (earlier, later) = (pair[0], pair[1]);
        check(later.dim(), earlier.dim(), &conditions)?;
        coupling.check_conditions(&conditions)?;
        if n == 0 {
            paths.push(Vec::new());
            reports.push(PlanReport::EXACT);
            continue;
        }
        let cost = coupling.costs(earlier, later).map_err(unsolved)?;
        let solved = coupling.solve_costs(cost, &conditions).map_err(unsolved)?;
        reports.push(solved.report());
        let last = &paths[paths.len() - 1];
        let next = match (solved, coupling.pairs) {
            (Solved::Permutation(p), _) => last.iter().map(|&i| p[i]).collect(),
            (Solved::Masses(plan), PairSampling::Permutation) => {
                let p = pairs::permutation(plan.view(), rng).map_err(unsolved)?;
                last.iter().map(|&i| p[i]).collect()
            }
            (Solved::Masses(plan), PairSampling::Drawn) => {
                let chosen = last.iter().map(|&i| pairs::follow(plan.view(), i, rng));
                chosen.collect::<Result<Vec<_>, _>>().map_err(unsolved)?
            }
        };
        paths.push(next);
    }
    Ok(Trajectory { rows: paths, reports })
}

/// Fails unless both snapshots have the same shape and, if there are conditions, one condition per
/// row.
fn check(x0: (usize, usize), x1: (usize, usize), conditions: &Conditions<'_>) -> Result<(), CouplingError> {
    if x0 != x1 {
        return Err(CouplingError::Shape { x0, x1 });
    }
    let (rows, conditions) = match conditions {
        Conditions::None => return Ok(()),
        Conditions::Classes(classes) => (x1.0, classes.len()),
        Conditions::Values(values) => (x1.0, values.nrows()),
    };
    if conditions == rows { Ok(()) } else { Err(CouplingError::Conditions { rows, conditions }) }
}
