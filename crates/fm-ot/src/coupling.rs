//! Optimal transport as a coupling of training batches.
//!
//! ```
//! use fm_core::{coupling::{Coupling, Pairing}, rng};
//! use fm_ot::coupling::ExactOt;
//! use ndarray::array;
//! let (x0, x1) = (array![[5.0f32], [1.0]], array![[0.0f32], [6.0]]);
//! let mut rng = rng::stream(0, 0, rng::Stream::Coupling, 0);
//! // Source row 1 goes to target 0, source row 0 to target 1.
//! assert_eq!(ExactOt.couple(x0.view(), x1.view(), &mut rng)?, Pairing::Permutation(vec![1, 0]));
//! # Ok::<(), fm_core::coupling::CouplingError>(())
//! ```

use crate::sinkhorn::{Options, sinkhorn};
use crate::{assignment::assign, cost::squared_euclidean};
use fm_core::coupling::{Coupling, CouplingError, Pairing, check_shapes};
use ndarray::{Array2, ArrayView2};
use rand::{Rng, RngCore};

/// The permutation of least total squared distance: nothing is duplicated or dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExactOt;

impl Coupling for ExactOt {
    fn couple(
        &self,
        x0: ArrayView2<'_, f32>,
        x1: ArrayView2<'_, f32>,
        _rng: &mut dyn RngCore,
    ) -> Result<Pairing, CouplingError> {
        check_shapes(x0, x1)?;
        let plan = squared_euclidean(x1, x0).and_then(|cost| assign(cost.view()));
        Ok(Pairing::Permutation(plan.map_err(|_| CouplingError::NotFinite)?.columns))
    }
}

/// A permutation drawn from the entropic plan: targets choose in random order, each among the sources that are left, with the plan's
/// probabilities. Nothing is duplicated or dropped. As epsilon falls the plan, and so the permutation, becomes the exact one.
#[derive(Debug, Clone, Copy, Default)]
pub struct SinkhornOt {
    /// How the plan is found. One that has not converged is used as it is.
    pub options: Options,
}

impl Coupling for SinkhornOt {
    fn couple(
        &self,
        x0: ArrayView2<'_, f32>,
        x1: ArrayView2<'_, f32>,
        rng: &mut dyn RngCore,
    ) -> Result<Pairing, CouplingError> {
        check_shapes(x0, x1)?;
        if x0.nrows() == 0 {
            return Ok(Pairing::Identity);
        }
        let plan = squared_euclidean(x1, x0).and_then(|cost| sinkhorn(cost.view(), &self.options));
        Ok(Pairing::Permutation(draw_permutation(&plan.map_err(|_| CouplingError::NotFinite)?.plan, rng)))
    }
}

/// `p[target] = source`, each row of the plan choosing among the columns that are left.
fn draw_permutation(plan: &Array2<f64>, rng: &mut dyn RngCore) -> Vec<usize> {
    let n = plan.nrows();
    let (mut order, mut left): (Vec<usize>, Vec<usize>) = ((0..n).collect(), (0..n).collect());
    let mut permutation = vec![0; n];
    for i in 0..n {
        order.swap(i, rng.random_range(i..n));
        let row = plan.row(order[i]);
        let total: f64 = left.iter().map(|&j| row[j]).sum();
        let mut at = rng.random::<f64>() * total;
        // Where nothing is left of the row's probability, the first source that is left will do as well as any.
        let chosen = left.iter().position(|&j| {
            at -= row[j];
            at < 0.0
        });
        permutation[order[i]] = left.swap_remove(chosen.unwrap_or(0));
    }
    permutation
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::rng::{Stream, normal_rows, stream};

    #[test]
    fn sinkhorn_permutes_and_lies_between_independent_and_exact() {
        let rows = |seed| Array2::from_shape_vec((128, 2), normal_rows(seed, 0, Stream::Data, 0, 128, 2)).unwrap();
        let (x0, x1) = (rows(1), rows(2));
        let cost = |coupling: &dyn Coupling| {
            let mut rng = stream(0, 0, Stream::Coupling, 0);
            let Pairing::Permutation(p) = coupling.couple(x0.view(), x1.view(), &mut rng).unwrap() else {
                unreachable!()
            };
            let mut seen = p.clone();
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(0..128));
            p.iter().enumerate().map(|(t, &s)| (&x0.row(s) - &x1.row(t)).mapv(|d| d * d).sum()).sum::<f32>() / 128.0
        };
        let sinkhorn = |epsilon| cost(&SinkhornOt { options: Options { epsilon, ..Options::default() } });
        let exact = cost(&ExactOt);
        let (cold, warm, hot) = (sinkhorn(0.01), sinkhorn(1.0), sinkhorn(1e4));
        assert!(exact <= cold && cold < 1.3 * exact && cold < warm && warm < hot, "{exact} {cold} {warm} {hot}");
        // Without any pull, E ||x0 - x1||^2 = 4.
        assert!((hot - 4.0).abs() < 1.0, "{hot}");
    }
}
