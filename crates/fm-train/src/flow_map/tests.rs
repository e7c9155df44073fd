//! Targets of the tasks by PyTorch (`python3 crates/fm-train/tests/reference/flow_map.py`), and the
//! exact flow map between two Gaussians, which satisfies every task.

use super::regression::{Regression, Times, column};
use super::{FlowMapTask, TaskKind, lagrangian, mean_flow, split};
use crate::FlowTraining;
use crate::batch::BatchSource;
use crate::ema::EmaConfig;
use crate::flat::{FlatParams, Precision};
use crate::optimizer::{Optimizer, OptimizerConfig};
use crate::state::TrainState;
use fm_core::FlowMatching;
use fm_core::choice::Choice;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::tensor::{Role, VelocityModel};
use fm_models::ModelConfig;
use fm_models::mlp::MlpConfig;
use tch::{Device, Kind, Tensor};

/// Standard deviation of the data.
const S: f64 = 0.3;

/// x ~ N(0, 1) is carried to N(0, S^2): X = x sigma(t + h) / sigma(t), sigma^2 = (1-t)^2 + S^2 t^2.
/// With `by` other than 1, another network.
#[derive(Debug)]
struct Exact {
    by: f64,
}

fn sigma(t: &Tensor) -> Tensor {
    ((t.full_like(1.0) - t).square() + t.square() * (S * S)).sqrt()
}

impl VelocityModel for Exact {
    fn forward(&self, x: &Tensor, t: &Tensor, _: Option<&Tensor>) -> Tensor {
        self.mean_velocity(x, t, &t.zeros_like(), None, false).unwrap()
    }

    fn takes_intervals(&self) -> bool {
        true
    }

    fn mean_velocity(&self, x: &Tensor, t: &Tensor, h: &Tensor, _: Option<&Tensor>, _: bool) -> Option<Tensor> {
        // (sigma(t + h)^2 - sigma(t)^2) / h, without the division.
        let slope = t * 2.0 - 2.0 + h + (t * 2.0 + h) * (S * S);
        let rate = slope / (sigma(t) * (sigma(&(t + h)) + sigma(t))) * self.by;
        Some(x * column(&rate, x))
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        Some(vec![1])
    }
}

/// x_t of the two Gaussians, v of the pairs, and times.
fn drawn(rows: i64) -> (Tensor, Tensor, Times) {
    tch::manual_seed(1);
    let uniform = || Tensor::rand([rows], (Kind::Double, Device::Cpu));
    let normal = || Tensor::randn([rows, 1], (Kind::Double, Device::Cpu));
    let (a, b) = (uniform(), uniform());
    let (t, end) = (a.minimum(&b), a.maximum(&b));
    let (x0, x1) = (normal(), normal() * S);
    let x = &x0 + column(&t, &x0) * (&x1 - &x0);
    (x, x1 - x0, Times { h: end - &t, t, split: uniform() })
}

fn furthest(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn targets_equal_pytorchs() {
    let text = include_str!("../../tests/reference/flow_map.json");
    let reference: serde_json::Value = serde_json::from_str(text).unwrap();
    let numbers = |value: &serde_json::Value| -> Tensor {
        Tensor::from_slice(&value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>())
    };
    let mut store = tch::nn::VarStore::new(Device::Cpu);
    let config = MlpConfig { dim: 3, widths: vec![6], interval: true, ..MlpConfig::default() };
    let network = ModelConfig::Mlp(config).build(&store.root()).unwrap();
    store.set_kind(Kind::Double);
    for (name, mut variable) in store.variables() {
        let value = numbers(&reference["weights"][&name]).view(variable.size().as_slice());
        tch::no_grad(|| variable.copy_(&value));
    }
    let [x, v] = ["x", "v"].map(|name| numbers(&reference[name]).view([-1, 3]));
    let [t, h, split] = ["t", "h", "split"].map(|name| numbers(&reference[name]));
    let mut times = Times { t, h, split };
    let regression = Regression { model: network.as_ref(), condition: None, step: 0 };
    let flow = FlowMatching::default();
    let targets = reference["targets"].as_object().unwrap();
    assert_eq!(targets.len() + 1, TaskKind::TABLE.len());
    for (name, want) in targets {
        if name == "shortcut" {
            times.split = times.split.full_like(0.5);
        }
        let task = FlowMapTask::new(network.as_ref(), &flow, name.parse().unwrap());
        let (u, target) = task.regress(&regression, &x, &times, &v).unwrap();
        let off = [(u, &reference["u"]), (target.shallow_clone(), want)];
        let off = off.map(|(got, want)| furthest(&got.view(-1), &numbers(want)));
        assert!(off.iter().all(|off| *off < 1e-12), "{name}: {off:?}");
        assert!(!target.requires_grad(), "{name}");
        times.split = numbers(&reference["split"]);
    }
}

/// Guided velocities, and a task with them, against PyTorch.
#[test]
fn guided_targets_equal_pytorchs() {
    let text = include_str!("../../tests/reference/flow_map.json");
    let reference: serde_json::Value = serde_json::from_str(text).unwrap();
    let numbers = |value: &serde_json::Value| -> Tensor {
        Tensor::from_slice(&value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>())
    };
    let mut store = tch::nn::VarStore::new(Device::Cpu);
    let config =
        MlpConfig { dim: 3, widths: vec![6], interval: true, classes: 2, null_class: true, ..MlpConfig::default() };
    let network = ModelConfig::Mlp(config).build(&store.root()).unwrap();
    store.set_kind(Kind::Double);
    for (name, mut variable) in store.variables() {
        let mut value = numbers(&reference["weights"][&name]).view([variable.size()[0], -1]);
        if name == "net.0.weight" {
            value = Tensor::cat(&[value, numbers(&reference["weights"]["classes"]).view([6, 3])], 1);
        }
        tch::no_grad(|| variable.copy_(&value.view(variable.size().as_slice())));
    }
    let [x, v] = ["x", "v"].map(|name| numbers(&reference[name]).view([-1, 3]));
    let [t, h, split] = ["t", "h", "split"].map(|name| numbers(&reference[name]));
    let labels = numbers(&reference["labels"]).to_kind(Kind::Int64);
    let times = Times { t, h, split };
    let regression = Regression { model: network.as_ref(), condition: Some(&labels), step: 0 };
    let flow = FlowMatching::default();
    let task = FlowMapTask::new(network.as_ref(), &flow, "meanflow:omega=1.5,kappa=0.4".parse().unwrap());
    let guided = task.guided(&regression, &x, &times.t, v.shallow_clone()).unwrap();
    assert!(furthest(&guided.view(-1), &numbers(&reference["guided"]["v"])) < 1e-12 && !guided.requires_grad());
    let (_, target) = task.regress(&regression, &x, &times, &guided).unwrap();
    assert!(furthest(&target.view(-1), &numbers(&reference["guided"]["meanflow"])) < 1e-12);
    let plain = FlowMapTask::new(network.as_ref(), &flow, "meanflow".parse().unwrap());
    assert!(plain.guided(&regression, &x, &times.t, v.shallow_clone()).unwrap().equal(&v));
    let none = Regression { condition: None, ..regression };
    let error = task.guided(&none, &x, &times.t, v).unwrap_err().to_string();
    assert!(error.contains("no classes to guide to"), "{error}");
}

/// Two classes of data at -2 and 2 with equal chances, and x0 ~ N(0, 1): a network whose velocity
/// of a class is that of guidance with the scale omega / (1 - kappa) is the mean of its targets.
#[test]
fn the_flow_of_guidance_is_the_mean_of_guided_targets() {
    #[derive(Debug)]
    struct Scaled(f64);
    impl VelocityModel for Scaled {
        fn forward(&self, x: &Tensor, t: &Tensor, classes: Option<&Tensor>) -> Tensor {
            self.mean_velocity(x, t, &t.zeros_like(), classes, false).unwrap()
        }
        fn takes_intervals(&self) -> bool {
            true
        }
        fn null_class(&self) -> Option<i64> {
            Some(2)
        }
        fn mean_velocity(
            &self,
            x: &Tensor,
            t: &Tensor,
            _: &Tensor,
            classes: Option<&Tensor>,
            _: bool,
        ) -> Option<Tensor> {
            let (t, classes) = (column(t, x), column(classes.unwrap(), x));
            let rest = t.full_like(1.0) - &t;
            // v = (E x1 - x) / (1 - t), with E x1 = 2 tanh(2 t x / (1 - t)^2) for no class.
            let velocity = |mean: Tensor| (mean - x) / &rest;
            let any = velocity((&t * x * 2.0 / rest.square()).tanh() * 2.0);
            let own = velocity(classes.to_kind(Kind::Double) * 4.0 - 2.0);
            let guided = &any + (own - &any) * self.0;
            Some(any.where_self(&classes.eq(2), &guided))
        }
    }
    let (rows, t0) = (400_000i64, 0.4);
    // Not from libtorch's generator, which tests that run at the same time seed.
    let options = (Kind::Double, Device::Cpu);
    let numbers = Tensor::arange(rows, (Kind::Int64, Device::Cpu));
    let (labels, dropped) = (numbers.remainder(2), numbers.remainder(5).eq(0));
    let x1 = labels.to_kind(Kind::Double).unsqueeze(1) * 4.0 - 2.0;
    let noise = normal_rows(Key::new(3, 0, Stream::Noise), rows as usize, 1);
    let x0 = Tensor::from_slice(&noise).to_kind(Kind::Double).view([rows, 1]);
    let (x, v, t) = (&x0 * (1.0 - t0) + &x1 * t0, x1 - x0, Tensor::full([rows], t0, options));
    let labels = labels.full_like(2).where_self(&dropped, &labels);
    let flow = FlowMatching::default();
    let of = |scale: f64| {
        let network = Scaled(scale);
        let regression = Regression { model: &network, condition: Some(&labels), step: 0 };
        let task = FlowMapTask::new(&network, &flow, "split:omega=1.5,kappa=0.4".parse().unwrap());
        let guided = task.guided(&regression, &x, &t, v.shallow_clone()).unwrap();
        let predicted = regression.fixed(&x, &t, &t.zeros_like()).unwrap();
        // The gradient of the loss by a multiple of the prediction, in standard errors.
        let g = (&predicted - guided) * predicted;
        (g.mean(Kind::Double) / g.std(true) * (rows as f64).sqrt()).double_value(&[])
    };
    assert!(of(1.5 / 0.6).abs() < 4.0 && of(1.5).abs() > 8.0, "{} {}", of(2.5), of(1.5));
}

#[test]
fn the_exact_map_satisfies_split_and_lsd() {
    let (x, _, times) = drawn(500);
    let of = |by: f64| {
        let network = Exact { by };
        let regression = Regression { model: &network, condition: None, step: 0 };
        let pair = [
            split::regress(&regression, &regression, &x, &times, 0.0).unwrap(),
            lagrangian::regress(&regression, &x, &times).unwrap(),
        ];
        pair.map(|(u, target)| furthest(&u, &target))
    };
    assert!(of(1.0).iter().all(|off| *off < 1e-12), "{:?}", of(1.0));
    assert!(of(1.1).iter().all(|off| *off > 1e-2), "{:?}", of(1.1));
}

#[test]
fn the_exact_map_satisfies_mean_flows_on_average() {
    let rows = 200_000;
    let (x, v, times) = drawn(rows);
    let of = |by: f64| {
        let network = Exact { by };
        let regression = Regression { model: &network, condition: None, step: 0 };
        let results = [
            mean_flow::regress(&regression, &x, &times, &v, &v).unwrap(),
            mean_flow::improved(&regression, &x, &times, &v).unwrap(),
        ];
        // The gradient of the loss by a multiple of u, in standard errors.
        results.map(|(u, target)| {
            let g = (&u - target) * u;
            (g.mean(Kind::Double) / g.std(true) * (rows as f64).sqrt()).double_value(&[])
        })
    };
    assert!(of(1.0).iter().all(|off| off.abs() < 4.0), "{:?}", of(1.0));
    assert!(of(1.1).iter().all(|off| off.abs() > 8.0), "{:?}", of(1.1));
    // With the exact velocity for a direction, nothing is left but the noise of the pairs.
    let network = Exact { by: 1.0 };
    let regression = Regression { model: &network, condition: None, step: 0 };
    let (u, target) = mean_flow::improved(&regression, &x, &times, &v).unwrap();
    let velocity = network.forward(&x, &times.t, None);
    assert!(furthest(&(target - &v), &(u - velocity)) < 1e-10);
}

#[test]
fn every_task_trains_on_batches_and_reads_its_own_block() {
    let data = ndarray::Array2::from_shape_fn((256, 1), |(i, _)| (i as f32 / 128.0 - 1.0) * 0.5);
    let flow = FlowMatching::default();
    let batch = flow.batches(&data, 64).unwrap().batch(3).unwrap();
    let network = Exact { by: 1.0 };
    for task in ["flow", "split", "shortcut", "meanflow", "imf", "lsd:flow=0.25,p=1"] {
        let kind: TaskKind = task.parse().unwrap();
        let loss = FlowMapTask::new(&network, &flow, kind).batch_loss(&batch).unwrap().double_value(&[]);
        assert!(loss.is_finite() && loss > 0.0, "{task}: {loss}");
    }
    // Without rows that train the velocity, the exact map has no loss.
    let loss = |task: &str| {
        let task = FlowMapTask::new(&network, &flow, task.parse().unwrap());
        task.batch_loss(&batch).unwrap().double_value(&[])
    };
    assert!(loss("split:flow=0") < 1e-10 && loss("lsd:flow=0") < 1e-10);
    // Two steps of 1/256 by the velocity are not exact.
    assert!(loss("shortcut:flow=0") < 1e-5);
    assert!(loss("meanflow:flow=0") > 1e-2);
    // (loss + c)^p with c far above the loss divides by c^p.
    let (plain, robust) = (loss("meanflow"), loss("meanflow:p=1,c=1000"));
    assert!((robust * 1000.0 / plain - 1.0).abs() < 0.05, "{robust} {plain}");
}

#[test]
fn rows_without_an_interval_train_the_velocity() {
    let data = ndarray::Array2::from_shape_fn((256, 1), |(i, _)| (i as f32 / 128.0 - 1.0) * 0.5);
    let (flow, network) = (FlowMatching::default(), Exact { by: 1.1 });
    let batch = flow.batches(&data, 64).unwrap().batch(3).unwrap();
    let want = flow.loss(&network, &batch).unwrap().double_value(&[]);
    for task in ["split", "shortcut", "meanflow", "imf", "lsd"] {
        let kind: TaskKind = format!("{task}:flow=1").parse().unwrap();
        let loss = FlowMapTask::new(&network, &flow, kind).batch_loss(&batch).unwrap().double_value(&[]);
        assert!((loss / want - 1.0).abs() < 1e-6, "{task}: {loss} {want}");
    }
}

#[test]
fn the_weight_of_a_robust_loss_has_no_gradient() {
    let store = tch::nn::VarStore::new(Device::Cpu);
    let config = MlpConfig { dim: 1, widths: vec![4], interval: true, ..MlpConfig::default() };
    let network = ModelConfig::Mlp(config).build(&store.root()).unwrap();
    let data = ndarray::Array2::from_shape_fn((64, 1), |(i, _)| i as f32 / 32.0 - 1.0);
    let flow = FlowMatching::default();
    let batch = flow.batches(&data, 64).unwrap().batch(0).unwrap();
    // loss / (loss + c) is nearly 1 for every row, but its gradient is that of the logarithm.
    let loss = FlowMapTask::new(network.as_ref(), &flow, "imf:p=1,c=1e-9".parse().unwrap()).batch_loss(&batch).unwrap();
    loss.backward();
    let norms =
        store.trainable_variables().iter().map(|v| v.grad().square().sum(Kind::Double).double_value(&[])).sum::<f64>();
    assert!((loss.double_value(&[]) - 1.0).abs() < 1e-3 && norms.sqrt() > 1e-2, "{loss:?} {norms}");
}

/// The exact map, which is not defined for intervals between 0 and 1/128.
#[derive(Debug)]
struct Coarse;

impl VelocityModel for Coarse {
    fn forward(&self, x: &Tensor, t: &Tensor, _: Option<&Tensor>) -> Tensor {
        Exact { by: 1.0 }.forward(x, t, None)
    }

    fn takes_intervals(&self) -> bool {
        true
    }

    fn mean_velocity(&self, x: &Tensor, t: &Tensor, h: &Tensor, _: Option<&Tensor>, train: bool) -> Option<Tensor> {
        let u = Exact { by: 1.0 }.mean_velocity(x, t, h, None, train)?;
        let trained = h.ge(0.999 / 128.0).logical_or(&h.eq(0.0));
        Some(u.where_self(&column(&trained, x), &u.full_like(f64::NAN)))
    }
}

#[test]
fn shortcuts_use_no_interval_that_is_not_trained() {
    let data = ndarray::Array2::from_shape_fn((256, 1), |(i, _)| i as f32 / 128.0 - 1.0);
    let flow = FlowMatching::default();
    let batch = flow.batches(&data, 256).unwrap().batch(0).unwrap();
    let loss = |task: &str| {
        let task = FlowMapTask::new(&Coarse, &flow, task.parse().unwrap());
        task.batch_loss(&batch).unwrap().double_value(&[])
    };
    assert!(loss("shortcut:flow=0").is_finite());
    assert!(loss("split:flow=0").is_nan());
}

/// A network with velocities only.
#[derive(Debug)]
struct Plain;

impl VelocityModel for Plain {
    fn forward(&self, x: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Tensor {
        x.zeros_like()
    }
}

#[test]
fn networks_and_objectives_that_do_not_fit_are_refused() {
    let data = ndarray::Array2::<f32>::zeros((4, 1));
    let flow = FlowMatching::default();
    let batch = flow.batches(&data, 4).unwrap().batch(0).unwrap();
    let kind: TaskKind = "meanflow".parse().unwrap();
    let error = FlowMapTask::new(&Plain, &flow, kind).batch_loss(&batch).unwrap_err().to_string();
    assert!(error.contains("build the network with an interval"), "{error}");
    let noise = FlowMatching::default().prediction(fm_core::prediction::Prediction::Noise);
    let error = FlowMapTask::new(&Exact { by: 1.0 }, &noise, kind).batch_loss(&batch).unwrap_err().to_string();
    assert!(error.contains("choose velocity"), "{error}");
    let mut flow = FlowMatching::default();
    flow.objective.times.importance = true;
    let error = FlowMapTask::new(&Exact { by: 1.0 }, &flow, kind).batch_loss(&batch).unwrap_err().to_string();
    assert!(error.contains("turn it off"), "{error}");
    let flow = FlowMatching::default();
    let kind_with_guidance = "lsd:omega=2".parse().unwrap();
    let task = FlowMapTask::new(&Exact { by: 1.0 }, &flow, kind_with_guidance);
    let error = task.batch_loss(&batch).unwrap_err().to_string();
    assert!(error.contains("train a class-conditional network with dropped labels"), "{error}");
    let flow = FlowMatching::default().times(fm_core::time::TimeKind::Discrete { k: 4.0 });
    let error = FlowMapTask::new(&Exact { by: 1.0 }, &flow, kind).batch_loss(&batch).unwrap_err().to_string();
    assert!(error.contains("choose a continuous one"), "{error}");
    // The task flow needs no interval.
    let flow = FlowMatching::default();
    let plain = FlowMapTask::new(&Plain, &flow, TaskKind::Flow);
    assert!(plain.batch_loss(&batch).unwrap().equal(&flow.loss(&Plain, &batch).unwrap()));
}

#[test]
fn a_network_follows_the_averages_or_is_refused() {
    let build = |width: i64| {
        let store = tch::nn::VarStore::new(Device::Cpu);
        let config = MlpConfig { dim: 1, widths: vec![width], interval: true, ..MlpConfig::default() };
        let network = ModelConfig::Mlp(config).build(&store.root()).unwrap();
        (store, network)
    };
    let (store, network) = build(4);
    let params = FlatParams::new(&store, Precision::F32).unwrap();
    let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let mut state = TrainState::new(params, optimizer, &EmaConfig::of(0.5), 0);
    let (copy, averaged) = build(4);
    super::follow_average(&copy, &state).unwrap();
    state.ema.update(&(&state.params.master + 1.0));
    state.params.bind(Some(&state.ema.weights().shallow_clone()));
    let (x, t) = (Tensor::from_slice2(&[[0.5f32]]), Tensor::from_slice(&[0.25f32]));
    assert!(averaged.forward(&x, &t, None).equal(&network.forward(&x, &t, None)));
    let error = super::follow_average(&build(5).0, &state).unwrap_err().to_string();
    assert!(error.contains("not of the run"), "{error}");
}
