//! Multi-marginal pairing: paths through snapshots at successive times.
//!
//! Data that are seen at several times, and never the same points twice, are joined by coupling consecutive snapshots. A path takes one
//! row of each. Drawn pairs follow the plans from row to row, a Markov chain (as torchcfm's `sample_trajectory`); others are permutations.
//!
//! ```
//! use fm_core::{coupling::Conditions, rng};
//! use fm_ot::{coupling::OtCoupling, trajectory::trajectory};
//! use ndarray::array;
//! let (monday, tuesday, friday) = (array![[0.0f32], [9.0]], array![[8.0f32], [1.0]], array![[7.0f32], [2.0]]);
//! let mut draws = rng::stream(0, 0, rng::Stream::Coupling, 0);
//! let snapshots = [monday.view(), tuesday.view(), friday.view()];
//! let paths = trajectory(&snapshots, &OtCoupling::default(), Conditions::None, &mut draws)?;
//! assert_eq!(paths, [[0, 1], [1, 0], [1, 0]]); // the path of row 0 goes through rows 0, 1, 1
//! # Ok::<(), fm_core::coupling::CouplingError>(())
//! ```

use crate::coupling::{OtCoupling, Solved, unsolved};
use crate::pages;
use crate::pairs::{self, PairSampling};
use fm_core::coupling::{Conditions, CouplingError, CouplingInput};
use ndarray::ArrayView2;
use rand::RngCore;

/// For each snapshot the row that each path goes through; path r starts at row r. The conditions are those of every snapshot's rows.
///
/// # Errors
/// As [`OtCoupling::solve`]; snapshots need equal shapes. Paths that are drawn cannot go on from a row that a plan leaves without mass.
pub fn trajectory(
    snapshots: &[ArrayView2<'_, f32>],
    coupling: &OtCoupling,
    conditions: Conditions<'_>,
    rng: &mut dyn RngCore,
) -> Result<Vec<Vec<usize>>, CouplingError> {
    let n = snapshots.first().map_or(0, |s| s.nrows());
    pages::check((n, 1)).map_err(unsolved)?;
    let mut paths = vec![(0..n).collect::<Vec<usize>>()];
    for pair in snapshots.windows(2) {
        // The earlier snapshot's rows choose among the later's, so that a row of the plan is one step of a path.
        let (x0, x1) = (pair[1].view(), pair[0].view());
        let solved = coupling.solve(&CouplingInput { x0, x1, conditions: conditions.view() })?;
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
    Ok(paths)
}
