//! Training of a velocity and a score on a Brownian bridge, against torchcfm.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::source::Source;
use fm_core::tape::Tape;
use fm_core::tensor::{Role, VelocityModel};
use fm_models::ModelConfig;
use fm_models::layers::Activation;
use fm_models::mlp::MlpConfig;
use fm_train::batch::{Batch, BatchSource};
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision};
use fm_train::held_out::{HeldOut, HeldOutOptions};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::schedule::{Decay, Schedule};
use fm_train::task::{FlowTask, FlowTraining, Inputs, PackContext, Task};
use fm_train::train::{TrainOptions, TrainState, train};
use ndarray::Array2;
use serde_json::{Value, json};
use std::path::PathBuf;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

const SIGMA: f64 = 0.7;
const ROWS: usize = 24;

fn flow(weight: f64) -> FlowMatching {
    let source = Array2::from_shape_vec((200, 2), normal_rows(Key::new(1, 0, Stream::Data), 200, 2)).unwrap();
    FlowMatching::new(PathKind::Bridge { sigma: SIGMA })
        .prediction(Prediction::VelocityScore { weight })
        .time_clip(1e-3)
        .source(Source::Rows(source.mapv(|x| 3.0 * x - 1.0)))
        .seed(4)
}

fn data() -> Array2<f32> {
    Array2::from_shape_vec((300, 2), normal_rows(Key::new(2, 0, Stream::Data), 300, 2)).unwrap()
}

fn batch(flow: &FlowMatching) -> Batch {
    let (options, data) = (BatchOptions { rows: ROWS, ..BatchOptions::default() }, data());
    FlowBatches::new(flow, &data, options).unwrap().batch(0).unwrap()
}

fn inputs(task: &FlowTask<'_>, batch: &Batch) -> Inputs {
    task.packer().pack(batch, &PackContext::on(Device::Cpu)).unwrap().upload(Device::Cpu)
}

fn network(widths: &[i64], score: bool) -> (VarStore, Box<dyn VelocityModel>) {
    let store = VarStore::new(Device::Cpu);
    let config = MlpConfig { widths: widths.to_vec(), activation: Activation::Selu, ..MlpConfig::default() };
    let config = ModelConfig::Mlp(config).with_score(score).unwrap();
    let model = config.build(&store.root()).unwrap();
    (store, model)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).contiguous().view(-1)).unwrap()
}

/// The test's batch and the numbers that torchcfm has for it.
fn reference(task: &FlowTask<'_>) -> (Inputs, Value) {
    let inputs = inputs(task, &batch(task.flow));
    let field = |name: &str| values(&inputs.of(name, &(0..ROWS)).unwrap());
    let ours = json!({ "t": field("time"), "x0": field("x0"), "x1": field("x1"), "eps": field("noise") });
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/sf2m.json");
    if std::env::var_os("UPDATE_INPUTS").is_some() {
        std::fs::write(&path, format!("{:#}\n", json!({ "inputs": ours }))).unwrap();
    }
    let reference: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for key in ["t", "x0", "x1", "eps"] {
        assert_eq!(numbers(&reference["inputs"][key]), numbers(&ours[key]), "{key}: run the script of the reference");
    }
    (inputs, reference)
}

fn loads(store: &VarStore, weights: &Value) {
    for (name, weight) in weights.as_object().unwrap() {
        let to = Tensor::from_slice(&numbers(&weight["values"])).to_kind(Kind::Float);
        let mut variable = store.variables()[name].shallow_clone();
        tch::no_grad(|| variable.copy_(&to.view(variable.size().as_slice())));
    }
}

fn apart(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Of the whole batch by the plain pass, and of two micro-batches by the taped one, which is fused.
#[test]
fn losses_and_gradients_are_torchcfms() {
    let (store, model) = network(&[16, 8], true);
    for weight in [1.0, 0.25] {
        let flow = flow(weight);
        let task = FlowTask::new(model.as_ref(), &flow);
        let (inputs, reference) = reference(&task);
        loads(&store, &reference["weights"]);
        let of = |key: &str| reference[key].as_f64().unwrap();
        let want = of("flow_loss") + weight * of("score_loss");
        let plain = flow.loss(model.as_ref(), &batch(&flow)).unwrap();
        assert!((plain.double_value(&[]) / want - 1.0).abs() < 1e-5, "{plain:?} {want}");
        let mut sum = 0.0;
        for variable in store.variables().values() {
            let mut gradient = variable.grad();
            if gradient.defined() {
                let _ = gradient.zero_();
            }
        }
        for rows in [0..10, 10..ROWS] {
            let mut tape = Tape::off();
            let output = task.loss(&inputs, rows, &mut tape).unwrap();
            assert!(!tape.is_empty(), "not the fused pass");
            sum += output.loss.double_value(&[]);
            tape.backward(&output.loss).unwrap();
        }
        assert!((sum / want - 1.0).abs() < 1e-5, "{sum} {want}");
        if weight == 1.0 {
            for (name, gradient) in reference["gradients"].as_object().unwrap() {
                let off = apart(&values(&store.variables()[name].grad()), &numbers(gradient));
                assert!(off < 1e-5, "{name}: {off}");
            }
        }
    }
}

#[test]
fn the_velocity_alone_is_the_networks_prediction() {
    let (_store, model) = network(&[16], true);
    let x = Tensor::from_slice(&[0.1f32, 0.2, 0.3, 0.4]).view([2, 2]);
    let t = Tensor::from_slice(&[0.3f32, 0.8]);
    let [v, h] = model.velocity_and_score(&x, &t, None, false).unwrap();
    assert!(model.forward(&x, &t, None).equal(&v) && h.size() == [2, 2] && !h.equal(&v));
    assert_eq!((model.row_shape(), model.has_score()), (Some(vec![2]), true));
    let (_store, plain) = network(&[16], false);
    assert!(plain.velocity_and_score(&x, &t, None, false).is_none() && !plain.has_score());
}

#[test]
fn training_lowers_the_held_out_loss() {
    let (store, model) = network(&[32], true);
    // The network predicts 0 at first.
    let last = ["net.2.weight", "net.2.bias"].map(|name| store.variables()[name].shallow_clone());
    tch::no_grad(|| last.into_iter().for_each(|mut v| drop(v.zero_())));
    let (flow, data) = (flow(1.0), data());
    let held_out = HeldOut::new(&flow, &data, &HeldOutOptions::default()).unwrap();
    let before = held_out.loss(model.as_ref(), None).unwrap().mean;
    let params = FlatParams::new(&store, Precision::F32).unwrap();
    let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let mut state = TrainState::new(params, optimizer, &EmaConfig::of(0.9), 0);
    let schedule = Schedule { lr: 1e-2, warmup_steps: 0, decay: Decay::Constant };
    let options = TrainOptions { steps: 300, micro_batch: 50, schedule, ..TrainOptions::default() };
    let batches = FlowBatches::new(&flow, &data, BatchOptions { rows: 128, ..BatchOptions::default() }).unwrap();
    train(&FlowTask::new(model.as_ref(), &flow), &batches, &mut state, &options, &mut ()).unwrap();
    let after = held_out.loss(model.as_ref(), None).unwrap().mean;
    // The noise is uncorrelated with a prediction of 0, whose score loss is E eps^2 = 1.
    assert!(after < 0.8 * before, "{before} to {after}");
}

#[test]
fn networks_and_paths_without_a_score_are_refused() {
    let (_store, plain) = network(&[16], false);
    let scored = flow(1.0);
    let error = FlowTask::new(plain.as_ref(), &scored).validate(None).unwrap_err().to_string();
    assert!(error.contains("with_score"), "{error}");
    let error = scored.loss(plain.as_ref(), &batch(&scored)).unwrap_err().to_string();
    assert!(error.contains("with_score"), "{error}");
    let linear = FlowMatching::default().prediction(Prediction::VelocityScore { weight: 1.0 });
    let error = linear.validate().unwrap_err();
    assert_eq!(error, fm_core::Error::NotABridge { path: "linear".into() });
    let wrong = FlowMatching { objective: flow(-1.0).objective, ..flow(1.0) };
    assert!(wrong.validate().unwrap_err().to_string().contains("weight"));
}

/// A network of your own whose score has the shape of one row, which would broadcast.
#[derive(Debug)]
struct OneScore;

impl VelocityModel for OneScore {
    fn forward(&self, x: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Tensor {
        x.shallow_clone()
    }

    fn has_score(&self) -> bool {
        true
    }

    fn velocity_and_score(&self, x: &Tensor, _: &Tensor, _: Option<&Tensor>, _: bool) -> Option<[Tensor; 2]> {
        Some([x.shallow_clone(), x.narrow(0, 0, 1)])
    }
}

#[test]
fn a_score_of_another_shape_is_an_error() {
    let flow = flow(1.0);
    let error = flow.loss(&OneScore, &batch(&flow)).unwrap_err().to_string();
    assert!(error.contains("[1, 2]") && error.contains("[24, 2]"), "{error}");
}
