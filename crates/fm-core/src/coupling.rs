//! Couplings: which source point travels to which data point.
//!
//! A coupling sees a batch of source rows and a batch of target rows and answers with a [`Pairing`]. The usual answer is a
//! permutation of the *source* rows, so that data and labels never move. Optimal couplings (Tong et al., "Improving and
//! generalizing flow-based generative models with minibatch optimal transport", 2024) live in `fm-ot`.
//!
//! ```
//! use fm_core::coupling::Pairing;
//! let sources = [10, 20, 30];
//! let pairing = Pairing::Permutation(vec![2, 0, 1]);
//! assert_eq!(pairing.gather(&sources, 1), [30, 10, 20]);
//! ```

use ndarray::ArrayView2;
use rand::RngCore;

/// Pairs the rows of a source batch with the rows of a target batch.
pub trait Coupling: Send + Sync {
    /// Pairs `x0` with `x1`, both (rows, dimensions).
    ///
    /// # Errors
    /// When the batches cannot be paired: different shapes, or values that are not finite.
    fn couple(
        &self,
        x0: ArrayView2<'_, f32>,
        x1: ArrayView2<'_, f32>,
        rng: &mut dyn RngCore,
    ) -> Result<Pairing, CouplingError>;
}

/// The answer of a coupling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pairing {
    /// Row i of the source goes to row i of the target.
    Identity,
    /// Row `p[i]` of the source goes to row i of the target.
    Permutation(Vec<usize>),
}

impl Pairing {
    /// The source rows, `dim` values each, in the order of their targets.
    pub fn gather<T: Copy>(&self, rows: &[T], dim: usize) -> Vec<T> {
        match self {
            Pairing::Identity => rows.to_vec(),
            Pairing::Permutation(p) => p.iter().flat_map(|&i| &rows[i * dim..(i + 1) * dim]).copied().collect(),
        }
    }
}

/// Two batches that cannot be paired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CouplingError {
    /// Row counts or dimensions differ.
    #[error("source batch is {x0:?} and target batch {x1:?}; a coupling needs equal rows and dimensions")]
    Shape {
        /// Rows and dimensions of the source.
        x0: (usize, usize),
        /// Rows and dimensions of the target.
        x1: (usize, usize),
    },
    /// Infinite or missing values among the rows.
    #[error("the transport cost is not finite; look for NaN, infinite or huge values in the data")]
    NotFinite,
}

/// Whether two batches have equal rows and dimensions.
///
/// # Errors
/// [`CouplingError::Shape`] when they have not.
pub fn check_shapes(x0: ArrayView2<'_, f32>, x1: ArrayView2<'_, f32>) -> Result<(), CouplingError> {
    if x0.dim() == x1.dim() { Ok(()) } else { Err(CouplingError::Shape { x0: x0.dim(), x1: x1.dim() }) }
}

/// The product coupling: whatever was drawn together stays together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Independent;

impl Coupling for Independent {
    fn couple(
        &self,
        x0: ArrayView2<'_, f32>,
        x1: ArrayView2<'_, f32>,
        _rng: &mut dyn RngCore,
    ) -> Result<Pairing, CouplingError> {
        check_shapes(x0, x1)?;
        Ok(Pairing::Identity)
    }
}
