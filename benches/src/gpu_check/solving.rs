//! Solvers and likelihoods on the device against the CPU in f64.

use crate::compare::relative;
use crate::context::Context;
use crate::networks;
use crate::report::Report;
use fm_benches::Failure;
use fm_benches::networks::{inputs, random_weights};
use fm_core::objective::Objective;
use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use fm_solvers::guidance::Unconditional;
use fm_solvers::likelihood::{Divergence, gaussian_log_density, log_density};
use fm_solvers::sampler::{Pace, SolverName};
use fm_solvers::sampler::{Sampler, Steps};
use fm_solvers::{AdaptiveOptions, tableau};
use tch::{Device, Kind, Tensor, nn, no_grad};

const ROWS: i64 = 64;
/// Bound on the error of f32 over a whole solve.
const BOUND: f64 = 1e-4;
/// Tolerance of a solve: step sizes may differ in their last digits, and results then differ by
/// this size.
const TOLERANCE: f64 = 1e-6;

pub(crate) fn run(context: &Context, report: &mut Report) {
    let adaptive = Steps::Adaptive(Pace::PerSample, AdaptiveOptions::with_tolerance(TOLERANCE));
    let samplers = [
        ("rk4, 20 steps", Sampler::fixed(SolverName::Rk4, 20)),
        ("dopri5", Sampler { steps: adaptive, ..Sampler::fixed(SolverName::Dopri5, 1) }),
    ];
    for (name, sampler) in samplers {
        report.attempt(name, |report| {
            let solve = |side: &Side| -> Result<Tensor, Failure> {
                let field = Unconditional(side.model.as_ref());
                let noise = |_| side.x.zeros_like();
                Ok(no_grad(|| sampler.run(&field, &Objective::default(), side.x.copy(), noise, false))?.x)
            };
            let (here, exact) = both(context.device)?;
            report.bounded(name, relative(&solve(&here)?, &solve(&exact)?), BOUND);
            Ok(())
        });
    }
    report.attempt("likelihood", |report| {
        let density = |side: &Side| -> Result<Tensor, Failure> {
            let (field, options) = (Unconditional(side.model.as_ref()), AdaptiveOptions::with_tolerance(TOLERANCE));
            let source = |x: &Tensor| gaussian_log_density(x, 1.0);
            let span = (1.0, 0.0);
            Ok(log_density(&field, &side.x, span, &tableau::DOPRI5, &options, &Divergence::Exact, source)?.0)
        };
        let (here, exact) = both(context.device)?;
        report.bounded("likelihood", relative(&density(&here)?, &density(&exact)?), BOUND);
        Ok(())
    });
}

/// A network with initial points.
struct Side {
    model: Box<dyn VelocityModel>,
    x: Tensor,
    _store: nn::VarStore,
}

/// The same network on the device in f32, and on the CPU in f64.
fn both(device: Device) -> Result<(Side, Side), Failure> {
    let config = networks::mlp();
    let weights = random_weights(&config)?;
    Ok((side(&config, &weights, device, Kind::Float)?, side(&config, &weights, Device::Cpu, Kind::Double)?))
}

fn side(config: &ModelConfig, weights: &nn::VarStore, device: Device, kind: Kind) -> Result<Side, Failure> {
    let mut store = nn::VarStore::new(device);
    let model = config.build(&store.root())?;
    store.copy(weights)?;
    if kind == Kind::Double {
        store.double();
    }
    let [x, _] = inputs(config, ROWS, device);
    Ok(Side { model, x: x.to_kind(kind), _store: store })
}
