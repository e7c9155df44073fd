//! Minibatch optimal transport for flow matching, without libtorch.
//!
//! Pairing each noise row with a data row so that the *total* cost is minimal straightens the paths
//! that a model has to learn (Tong et al. 2024; Pooladian et al. 2023). [`pair`] pairs two arrays,
//! and [`OtCoupling`] the batches of a training loop. The methods are plain functions over arrays:
//!
//! | module | idea |
//! |---|---|
//! | [`cost`] | the cost of sending one point to another |
//! | [`assignment`] | the exact optimum for uniform masses: a permutation |
//! | [`mod@transport`] | the exact optimum for any masses, whole or partial |
//! | [`entropic`] | the Sinkhorn plan, and its unbalanced and partial variants |
//! | [`pairs`] | from a plan to pairs of rows |
//! | [`coupling`] | cost, plan and pair sampling as one value, for a training loop |
//! | [`semidiscrete`] | pairs of noise rows with all data rows, by one potential per data row |
//! | [`named`] | couplings by name, as in flags and configuration files |
//! | [`report`], [`reporting`], [`checked`] | the errors of a plan's marginals; plans that have been checked |
//! | [`memory`] | the limit on the memory of a call |
//! | [`mod@trajectory`] | paths through snapshots at several times |
//! | `tensor` | the same functions for libtorch tensors (feature `tch`) |
//!
//! ```
//! use fm_ot::{Metric, OtCoupling, ndarray::array};
//! let (x0, x1) = (array![[9.0f32, 1.0], [1.0, 0.0]], array![[0.0f32, 0.0], [10.0, 0.0]]);
//! let pairs = fm_ot::pair(x0.view(), x1.view())?;
//! assert_eq!(pairs.x0, array![[1.0, 0.0], [9.0, 1.0]]); // target 0 takes source 1, target 1 takes source 0
//! // The same in two steps: rows of the cost are targets.
//! let plan = fm_ot::assign(Metric::SquaredEuclidean.matrix(x1.view(), x0.view())?.view())?;
//! assert_eq!((plan.columns, plan.cost), (vec![1, 0], 1.0 + 2.0));
//! // The same with a closure as the cost.
//! let coupling = OtCoupling::exact().cost(|x: &[f32], y: &[f32]| f64::from((x[0] - y[0]).abs()));
//! # let mut rng = fm_core::rng::Key::new(0, 0, fm_core::rng::Stream::Coupling).generator(0);
//! assert_eq!(coupling.pair(x0.view(), x1.view(), &mut rng)?.x0, pairs.x0);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

pub mod assignment;
pub mod checked;
pub mod cost;
pub mod coupling;
mod element;
pub mod entropic;
mod error;
pub mod marginals;
pub mod memory;
pub mod named;
mod pages;
mod paired;
pub mod pairs;
pub mod report;
pub mod reporting;
mod scalar;
pub mod semidiscrete;
#[cfg(feature = "tch")]
pub mod tensor;
pub mod trajectory;
pub mod transport;

pub use assignment::{Assignment, assign};
pub use checked::CheckedPlan;
pub use cost::{Cost, Metric};
pub use coupling::{OtCoupling, Plan};
pub use entropic::{EntropicPlan, Epsilon, SinkhornOptions, sinkhorn};
pub use error::OtError;
pub use fm_core::rand;
pub use marginals::Marginals;
pub use named::CouplingKind;
pub use ndarray;
pub use paired::{PairedRows, pair};
pub use pairs::PairSampling;
pub use report::{PlanReport, Reports, TransportCost};
pub use reporting::Reporting;
pub use scalar::Scalar;
pub use semidiscrete::{Semidiscrete, SemidiscreteOptions, SemidiscreteReport};
pub use transport::{TransportPlan, transport, transport as emd};

/// Costs are at most f64::MAX divided by this number, so that sums and differences along the
/// longest path are finite.
const HEADROOM: f64 = (1u128 << 100) as f64;

/// Fails unless every cost is finite and at most f64::MAX / [`HEADROOM`] in magnitude.
fn check_cost(cost: ndarray::ArrayView2<'_, f64>) -> Result<(), OtError> {
    if cost.as_slice().is_some_and(all_in_range) {
        return Ok(());
    }
    match cost.indexed_iter().find(|(_, c)| !c.is_finite()) {
        Some(((row, column), _)) => Err(OtError::NotFinite { row, column }),
        None if cost.iter().all(|c| (c * HEADROOM).is_finite()) => Ok(()),
        None => Err(OtError::TooLarge),
    }
}

/// A sum of zero times each entry is NaN exactly if an entry is not finite, and needs no branch.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn all_in_range(values: &[f64]) -> bool {
    let mut sums = [0.0; 16];
    for block in values.chunks(16) {
        sums.iter_mut().zip(block).for_each(|(s, v)| *s += 0.0 * (v * HEADROOM));
    }
    sums.iter().all(|s| *s == 0.0)
}

fn check_mass(mass: f64) -> Result<(), OtError> {
    if mass > 0.0 && mass <= 1.0 { Ok(()) } else { Err(OtError::Mass { mass }) }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
