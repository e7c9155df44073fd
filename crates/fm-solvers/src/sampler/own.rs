//! Sampling with any [`Solver`]; a [`Sampler`](super::Sampler) uses the built-in ones.

use super::Samples;
use crate::{SaveAt, SolveError, Solver};
use fm_core::field::{ByRef, Converted, RowField, SharedTime};
use fm_core::loss::RowLoss;
use fm_core::objective::Objective;
use fm_core::path::ProbPath;
use fm_core::state::{OdeState, RowState};
use fm_core::time::TimeDistribution;
use fm_core::weighting::TimeWeight;

/// Integrates x0 to samples with a network trained for `objective`, using a custom solver. All
/// samples share the steps.
///
/// ```
/// use fm_core::objective::Objective;
/// use fm_solvers::{Adaptive, sampler::run_with};
/// use ndarray::{Array2, array};
/// // All data are at 3, and the network predicts the data.
/// let network = |x: &Array2<f64>, _: &[f64], _: &[usize]| Array2::from_elem(x.dim(), 3.0);
/// let mut objective = Objective { prediction: "data".parse()?, ..Objective::default() };
/// objective.times.clip = 1e-3;
/// let solver = Adaptive::dop853().tolerance(1e-6);
/// let samples = run_with(&solver, &network, &objective, array![[1.0], [-2.0]])?;
/// assert!(samples.x.iter().all(|x| (x - 3.0).abs() < 1e-2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Sampler::run`](super::Sampler::run).
pub fn run_with<S, P, T, W, L>(
    solver: &(impl Solver<S> + ?Sized),
    network: &impl RowField<S>,
    objective: &Objective<P, T, W, L>,
    x0: S,
) -> Result<Samples<S>, SolveError>
where
    S: OdeState + RowState,
    P: ProbPath,
    T: TimeDistribution,
    W: TimeWeight,
    L: RowLoss,
{
    let (low, high) = objective.span()?;
    let velocity = Converted::new(ByRef(network), &objective.path, objective.prediction, (low, high))?;
    Ok(solver.solve(&SharedTime(velocity), x0, low..high, SaveAt::End)?.into())
}

/// Samples of a network trained on `flow`, using a custom solver; source rows are as in
/// [`Sampler::sample`](super::Sampler::sample).
///
/// # Errors
/// As [`Sampler::sample`](super::Sampler::sample).
#[cfg(feature = "tch")]
pub fn sample_with(
    solver: &(impl Solver<tch::Tensor> + ?Sized),
    model: &dyn fm_core::tensor::VelocityModel,
    flow: &fm_core::FlowMatching,
    rows: usize,
    seed: u64,
) -> Result<Samples<tch::Tensor>, SolveError> {
    let x0 = super::network::source_rows(model, flow, rows, seed)?;
    run_with(solver, &crate::guidance::Unconditional(model), &flow.objective, x0)
}

/// One sample for each condition of a guided network, using a custom solver; see
/// [`Sampler::sample_guided`](super::Sampler::sample_guided).
///
/// # Errors
/// As [`Sampler::sample`](super::Sampler::sample).
#[cfg(feature = "tch")]
pub fn sample_guided_with(
    solver: &(impl Solver<tch::Tensor> + ?Sized),
    guided: &crate::guidance::Guided<'_>,
    flow: &fm_core::FlowMatching,
    seed: u64,
) -> Result<Samples<tch::Tensor>, SolveError> {
    let x0 = super::network::source_rows(guided.model, flow, guided.rows(), seed)?;
    run_with(solver, guided, &flow.objective, x0)
}
