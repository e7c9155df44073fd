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

use crate::{assignment::assign, cost::squared_euclidean};
use fm_core::coupling::{Coupling, CouplingError, Pairing, check_shapes};
use ndarray::ArrayView2;
use rand::RngCore;

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
