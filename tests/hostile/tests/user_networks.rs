//! Bad input to samplers and likelihoods of networks, and networks of a user that are wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::field::SharedTime;
use fm_core::loss::{Loss, Reduction};
use fm_core::prediction::Prediction;
use fm_core::rng::{Key, Stream};
use fm_core::source::{Source, SourceKind};
use fm_core::state::{OdeState, RowCombination};
use fm_core::tensor::{TrainedModel, VelocityModel, row_losses, times_like, upload};
use fm_core::{FlowMatching, NamedFlow, PathKind};
use fm_solvers::guidance::{Guidance, GuidanceOptions, Guided, Projection, Unconditional};
use fm_solvers::likelihood::{self, Divergence, Probe};
use fm_solvers::sampler::{SolverName, Steps, run_with, sample_guided_with, sample_with};
use fm_solvers::sde::Diffusion;
use fm_solvers::tableau::DOPRI5;
use fm_solvers::{Adaptive, AdaptiveOptions, Fixed, Grid, Multistep, Sampler, SaveAt, solve};
use fm_train::batch::Batch;
use fm_train::task::FlowTraining;
use fm_train::{Trainer, TrainerConfig};
use hostile::Calls;
use ndarray::Array2;
use tch::{Device, Kind, Tensor, nn};

const BAD: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 5e-324, f64::MAX, f64::MIN];
const HUGE: [usize; 3] = [usize::MAX, usize::MAX / 2, 1 << 60];
const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// A network that returns a tensor of this shape or of the shape of x with this value, and says
/// that its rows have another shape.
#[derive(Debug)]
struct Net {
    returns: Option<Vec<i64>>,
    value: f64,
    rows: Option<Vec<i64>>,
    null: Option<i64>,
    kind: Kind,
}

impl VelocityModel for Net {
    fn forward(&self, x: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Tensor {
        let shape = self.returns.clone().unwrap_or_else(|| x.size());
        Tensor::from(self.value).expand(&shape, false).to_kind(self.kind).contiguous()
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        self.rows.clone()
    }

    fn null_class(&self) -> Option<i64> {
        self.null
    }
}

fn good() -> Net {
    Net { returns: None, value: 0.5, rows: Some(vec![2]), null: Some(3), kind: Kind::Float }
}

fn samplers() -> Vec<Sampler> {
    let short = AdaptiveOptions { max_evaluations: 100, ..AdaptiveOptions::default() };
    vec![
        Sampler::midpoint(2),
        Sampler::new(SolverName::UniPc { order: 2.0 }, Grid::Uniform.steps(3)),
        Sampler::new(SolverName::Dopri5, Steps::Adaptive("sample".parse().unwrap_or_default(), short)),
        Sampler { stochastic: Some((Default::default(), Diffusion::Constant { scale: 1.0 })), ..Sampler::euler(2) },
    ]
}

#[test]
fn networks_of_a_user() {
    let mut calls = Calls::new("networks of a user");
    let flow = FlowMatching::default();
    let shapes =
        [vec![], vec![0], vec![1], vec![2], vec![4], vec![4, 1], vec![1, 2], vec![2, 2], vec![4, 2, 1], vec![8, 2]];
    for shape in shapes {
        let net = Net { returns: Some(shape.clone()), ..good() };
        for sampler in samplers() {
            let name = format!("{sampler} of a network that returns {shape:?}");
            calls.refuses(&name, || sampler.sample(&net, &flow, 4, 0));
            for scale in [1.0, 2.0] {
                let guidance = Guidance { scale, ..Guidance::default() };
                // (8, 2) is right for a doubled batch of four rows.
                let rows = if scale > 1.0 && shape == [8, 2] { 3 } else { 4 };
                calls.refuses(&name, || sampler.sample_classes(&net, &flow, &vec![0; rows], guidance, 0));
            }
            let chain = sampler.clone().guidance(GuidanceOptions::apg(2.0)).class(0);
            let rows = if shape == [8, 2] { 3 } else { 4 };
            calls.refuses(&name, || chain.sample(&net, &flow, rows, 0));
        }
        calls.refuses("sample_with", || sample_with(&Fixed::heun(2), &net, &flow, 4, 0));
        let x0 = || Tensor::zeros([4, 2], FLOAT);
        calls.refuses("run_with", || run_with(&Adaptive::tsit5(), &Unconditional(&net), &flow.objective, x0()));
        calls.refuses("carry", || {
            let (options, exact) = (AdaptiveOptions::default(), Divergence::Exact);
            likelihood::carry(&Unconditional(&net), &x0(), (1.0, 0.0), &DOPRI5, &options, &exact, SaveAt::End)
        });
        let batch = Batch { shape: vec![2], x0: vec![0.0; 8], x1: vec![1.0; 8], ..Batch::default() };
        calls.refuses("FlowMatching::loss", || flow.loss(&net, &batch));
    }
    for rows in [
        None,
        Some(vec![]),
        Some(vec![0]),
        Some(vec![-2]),
        Some(vec![i64::MIN, 2]),
        Some(vec![i64::MAX]),
        Some(vec![1 << 40, 4]),
    ] {
        let net = Net { rows: rows.clone(), ..good() };
        for sampler in samplers() {
            let name = format!("{sampler}, rows of shape {rows:?}");
            calls.survives(&name, || sampler.sample(&net, &flow, 4, 0).map_err(|e| e.to_string()));
            calls.survives(&name, || sampler.clone().class(1).sample(&net, &flow, 4, 0).is_ok());
        }
    }
    for v in BAD {
        let net = Net { value: v, ..good() };
        for sampler in samplers() {
            calls.survives("values", || sampler.sample(&net, &flow, 4, 0).map_err(|e| e.to_string()));
        }
    }
    for kind in [Kind::Double, Kind::Half, Kind::BFloat16, Kind::Int64, Kind::Bool] {
        let net = Net { kind, ..good() };
        calls.survives(&format!("{kind:?}"), || Sampler::euler(2).sample(&net, &flow, 4, 0).is_ok());
        calls.survives(&format!("{kind:?}"), || Sampler::euler(2).class(1).sample(&net, &flow, 4, 0).is_ok());
    }
    calls.finish(250);
}

#[test]
fn samplers_of_networks() {
    let mut calls = Calls::new("samplers of networks");
    let (flow, net) = (FlowMatching::default(), good());
    let model = TrainedModel { network: Box::new(good()), flow: flow.clone() };
    for rows in HUGE {
        for sampler in samplers() {
            calls.refuses("sample", || sampler.sample(&net, &flow, rows, 0));
            calls.refuses("sample_model", || sampler.sample_model(&model, rows, 0));
            calls.refuses("class", || sampler.clone().class(1).sample(&net, &flow, rows, 0));
            let chain = sampler.clone().guidance(GuidanceOptions::scaled(2.0)).class(1);
            calls.refuses("guidance", || chain.sample_model(&model, rows, 0));
        }
        calls.refuses("sample_with", || sample_with(&Fixed::euler(1), &net, &flow, rows, 0));
        calls.refuses("steps", || Sampler::midpoint(rows).sample(&net, &flow, 1, 0));
        calls.refuses("steps", || {
            Sampler::new(SolverName::UniPc { order: 3.0 }, Grid::edm(rows)).sample(&net, &flow, 1, 0)
        });
        calls.refuses("Multistep", || sample_with(&Multistep::ab2(rows), &net, &flow, 1, 0));
        calls.refuses("Grid::divide", || Grid::Uniform.divide(rows, &(0.0..1.0)));
    }
    for order in [0, 1, 4, 255] {
        calls.refuses("unipc", || SolverName::unipc(order));
    }
    for v in BAD {
        for options in [
            GuidanceOptions::scaled(v),
            GuidanceOptions { interval: (v, 0.5), ..GuidanceOptions::scaled(2.0) },
            GuidanceOptions { rescale: v, ..GuidanceOptions::apg(2.0) },
            GuidanceOptions {
                projection: Some(Projection { momentum: v, ..Projection::default() }),
                ..GuidanceOptions::default()
            },
            GuidanceOptions { look_ahead: Some(v), ..GuidanceOptions::cfg_zero_star(v) },
        ] {
            for sampler in samplers() {
                let chain = sampler.guidance(options);
                calls.survives("guidance", || chain.clone().class(i64::MIN).sample(&net, &flow, 2, 0).is_ok());
                if options != GuidanceOptions::default() {
                    calls.refuses("guidance without a class", || chain.sample(&net, &flow, 2, 0));
                }
            }
        }
        calls.survives("Sampler::dopri5", || Sampler::dopri5(v).sample(&net, &flow, 2, 0).map_err(|e| e.to_string()));
        calls.survives("Sampler::key", || (Sampler::dopri5(v).key(), Sampler::dopri5(v).describe()));
        calls.survives("Grid::divide", || Grid::Shift { s: v }.divide(3, &(0.0..v)).map_err(|e| e.to_string()));
        for clip in [0.0, v] {
            let flow = FlowMatching::new(PathKind::LinearVp).prediction(Prediction::Score).time_clip(clip);
            calls.survives("sample", || Sampler::euler(2).sample(&net, &flow, 2, 0).map_err(|e| e.to_string()));
            calls.survives("NamedFlow", || NamedFlow::of(&flow).map(FlowMatching::from).is_some());
        }
        let source = FlowMatching::default().source(SourceKind::Matched { deviation: v });
        calls.survives("sample", || Sampler::euler(2).sample(&net, &source, 2, 0).map_err(|e| e.to_string()));
    }
    for (rows, dim) in [(0, 0), (0, 2), (3, 0), (3, 1), (3, 3)] {
        let flow = FlowMatching::default().source(Source::Rows(Array2::zeros((rows, dim))));
        calls.refuses("source rows", || Sampler::euler(2).sample(&net, &flow, 2, 0));
    }
    for classes in [vec![], vec![i64::MAX], vec![-1, 0]] {
        let guided = Guided::classes(&net, &classes, Guidance { scale: 2.0, ..Guidance::default() });
        calls.survives("sample_guided_with", || {
            sample_guided_with(&Fixed::euler(2), &guided?, &flow, 0).map(|s| s.calls)
        });
    }
    calls.finish(300);
}

#[test]
fn likelihoods() {
    let mut calls = Calls::new("likelihoods");
    let net = good();
    let field = Unconditional(&net);
    let options = AdaptiveOptions { max_evaluations: 100, ..AdaptiveOptions::default() };
    let key = Key::new(u64::MAX, u64::MAX, Stream::Probe).from_row(u64::MAX);
    for shape in [vec![], vec![0], vec![3], vec![0, 2], vec![3, 0], vec![3, 2], vec![3, 1, 2]] {
        let x = Tensor::zeros(&shape, FLOAT);
        for probes in [0, 1, 2, usize::MAX] {
            let name = format!("{probes} probes of {shape:?}");
            calls.survives(&name, || {
                Divergence::hutchinson(Probe::Gaussian, probes, key, &x).map_err(|e| e.to_string())
            });
        }
        for other in [vec![3, 2], vec![1, 2], vec![]] {
            let probes = Divergence::Hutchinson(vec![Tensor::ones(&other, FLOAT)]);
            for divergence in [Divergence::Exact, Divergence::Hutchinson(vec![]), probes] {
                calls.survives("log_density", || {
                    let source = |x: &Tensor| likelihood::gaussian_log_density(x, 1.0);
                    likelihood::log_density(&field, &x, (1.0, 0.0), &DOPRI5, &options, &divergence, source).is_ok()
                });
            }
        }
        calls.survives("gaussian_log_density", || likelihood::gaussian_log_density(&x, f64::NAN).size());
    }
    for v in BAD {
        let x = Tensor::full([3, 2], v, (Kind::Double, Device::Cpu)).to_kind(Kind::Float);
        for span in [(1.0, 0.0), (v, 0.0), (0.0, v), (v, v)] {
            calls.survives("carry", || {
                likelihood::carry(&field, &x, span, &DOPRI5, &options, &Divergence::Exact, SaveAt::At(&[v])).is_ok()
            });
        }
        calls.survives("gaussian_log_density", || likelihood::gaussian_log_density(&x, v).size());
        let decay = |x: &Tensor, _: f64| -x;
        for span in [0.0..v, v..1.0] {
            let name = format!("a tensor over {span:?}");
            let x = || Tensor::ones([3, 2], FLOAT);
            calls.survives(&name, || solve(&decay, x(), span.clone(), &Fixed::rk4(3)).map_err(|e| e.to_string()));
            let sampled = SharedTime(Unconditional(&net));
            calls
                .survives(&name, || solve(&sampled, x(), span.clone(), &Adaptive::tsit5().max_evaluations(50)).is_ok());
        }
        calls.survives("combination", || Tensor::linear_combination(&[(v, &x), (1.0, &x)]).size());
        calls.survives("combination", || Tensor::row_combination(&[(&[v; 3], &x), (&[1.0, v, 0.0], &x)]).size());
        calls.survives("combination", || {
            let mut own = x.copy();
            own.assign_combination(&[(v, &x), (v, &x)]);
            own.assign_row_combination(&[(&[v; 3], &x), (&[v; 3], &x)]);
        });
        for dim in [0, 1, usize::MAX] {
            calls.survives("bits_per_dim", || likelihood::bits_per_dim(v, dim, v));
        }
        calls.survives("times_like", || times_like(&x, &[v; 3]).size());
        calls.survives("times_like", || (times_like(&x, &[]).size(), times_like(&x, &[v]).size()));
    }
    let wrong = |_: &Tensor| Tensor::zeros([1], FLOAT);
    calls.refuses("source of another shape", || {
        let x = Tensor::zeros([3, 2], FLOAT);
        likelihood::log_density(&field, &x, (1.0, 0.0), &DOPRI5, &options, &Divergence::Exact, wrong)
    });
    let square = Tensor::zeros([3, 2], FLOAT);
    for shape in [vec![], vec![3], vec![3, 1], vec![1, 2], vec![6], vec![3, 2, 1]] {
        let other = Tensor::zeros(&shape, FLOAT);
        calls.refuses("row_losses", || row_losses(&square, &other, &Loss::Mse, Reduction::Mean));
        calls.refuses("row_losses", || row_losses(&other, &square, &Loss::Mse, Reduction::Sum));
        calls.survives("row_losses", || row_losses(&other, &other, &Loss::Mse, Reduction::Sum).is_ok());
    }
    calls.panics("upload", "", || upload(&[0.0; 3], &[2], Device::Cpu));
    calls.finish(150);
}

#[test]
fn trainers() {
    let mut calls = Calls::new("trainers");
    let store = nn::VarStore::new(Device::Cpu);
    let w = store.root().var("w", &[2, 2], nn::Init::Const(1.0));
    let mut trainer = Trainer::new(&store, &TrainerConfig::default()).unwrap();
    for v in BAD {
        calls.survives("Trainer::set_lr", || trainer.set_lr(v).map_err(|e| e.to_string()));
        if !v.is_finite() || v < 0.0 {
            calls.refuses("Trainer::set_lr", || trainer.set_lr(v));
        }
        calls.survives("Trainer::step", || trainer.step(&(w.sum(Kind::Float) * v)).map_err(|e| e.to_string()));
        calls.survives("Trainer::with_ema", || trainer.with_ema(|| w.size()));
    }
    for kind in [Kind::Double, Kind::Half, Kind::BFloat16] {
        calls.survives("Trainer::step", || trainer.step(&w.to_kind(kind).sum(kind)).map_err(|e| e.to_string()));
    }
    for shape in [vec![0], vec![2], vec![1, 2]] {
        calls.refuses("Trainer::step", || trainer.step(&Tensor::zeros(&shape, FLOAT)));
    }
    calls.survives("Trainer::skipped", || (trainer.skipped(), trainer.device(), trainer.state_mut().tensors().len()));
    calls.finish(30);
}
