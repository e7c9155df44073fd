//! Condition vectors in training: networks receive those of their rows, and refuse others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::data::{Classes, Conditions, Dataset};
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::task::{FlowTask, FlowTraining, PackContext, Task};
use fm_train::{Batch, Trainer, TrainerConfig};
use ndarray::Array2;
use std::sync::Mutex;
use tch::{Device, Kind, Tensor, nn};

/// Keeps the condition of the last call.
#[derive(Debug, Default)]
struct Recorder {
    seen: Mutex<Option<Tensor>>,
    kind: Option<ConditionKind>,
}

impl VelocityModel for Recorder {
    fn forward(&self, x: &Tensor, _: &Tensor, condition: Option<&Tensor>) -> Tensor {
        *self.seen.lock().unwrap() = condition.map(Tensor::shallow_clone);
        x.zeros_like()
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        self.kind
    }
}

impl Recorder {
    fn taking(kind: ConditionKind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    fn seen(&self) -> (Vec<i64>, Vec<f32>) {
        let seen = self.seen.lock().unwrap().take().unwrap();
        (seen.size(), Vec::try_from(seen.to_kind(Kind::Float).view(-1)).unwrap())
    }
}

/// Row i is (i), its vector (i + 1, -i - 1): never zero.
fn data() -> Conditions {
    let rows = Array2::from_shape_fn((40, 1), |(i, _)| i as f32);
    Conditions::new(rows, Array2::from_shape_fn((40, 2), |(i, k)| (i as f32 + 1.0) * [1.0, -1.0][k])).unwrap()
}

fn batch(flow: &FlowMatching, data: &dyn Dataset, drop: f64) -> Batch {
    let options = BatchOptions { rows: 20, conditional: true, dropped: Some((0, drop)), ..BatchOptions::default() };
    FlowBatches::new(flow, data, options).unwrap().next().unwrap().unwrap()
}

#[test]
fn networks_receive_the_vectors_of_their_rows_with_zeros_for_dropped_ones() {
    let (flow, data) = (FlowMatching::default(), data());
    for (drop, dropped) in [(0.0, 0..=0), (0.5, 3..=17), (1.0, 20..=20)] {
        let (batch, network) = (batch(&flow, &data, drop), Recorder::taking(ConditionKind::Vectors { dim: 2 }));
        let _ = flow.loss(&network, &batch).unwrap();
        let (shape, vectors) = network.seen();
        assert_eq!(shape, [20, 2]);
        let zeros = vectors.chunks(2).filter(|vector| *vector == [0.0, 0.0]).count();
        assert!(dropped.contains(&zeros), "{zeros} of 20 at {drop}");
        for (x, vector) in batch.x1.iter().zip(vectors.chunks(2)) {
            assert!(vector == [0.0, 0.0] || vector == [x + 1.0, -x - 1.0], "{x} {vector:?}");
        }
        // A part of the rows, as in gradient accumulation and in the training loop.
        let task = FlowTask::new(&network, &flow);
        let inputs = task.packer().pack(&batch, &PackContext::on(Device::Cpu)).unwrap().upload(Device::Cpu);
        task.loss(&inputs, 5..9, &mut Tape::off()).unwrap();
        assert_eq!(network.seen(), (vec![4, 2], vectors[10..18].to_vec()));
    }
}

#[test]
fn conditions_that_a_network_does_not_take_are_errors() {
    let (flow, vectors) = (FlowMatching::default(), data());
    let classes = Classes::new(Array2::zeros((40, 1)), (0..40).map(|i| i % 3).collect()).unwrap();
    let [vectors, classes] = [batch(&flow, &vectors, 0.0), batch(&flow, &classes, 0.0)];
    for (batch, kind, words) in [
        (&vectors, ConditionKind::Vectors { dim: 3 }, "vectors of 2 values: it takes condition vectors of 3 values"),
        (&vectors, ConditionKind::Classes { count: 3 }, "vectors of 2 values: it takes classes from 0 to 2"),
        (&classes, ConditionKind::Classes { count: 2 }, "class 2: it takes classes from 0 to 1"),
        (&classes, ConditionKind::Vectors { dim: 2 }, "classes: it takes condition vectors of 2 values"),
    ] {
        let error = flow.loss(&Recorder::taking(kind), batch).unwrap_err().to_string();
        assert!(error.contains(words) && error.len() < 300, "{error}");
    }
    for (batch, kind) in [(&classes, ConditionKind::Classes { count: 3 }), (&classes, ConditionKind::None)] {
        assert!(flow.loss(&Recorder::taking(kind), batch).is_ok(), "{kind}");
    }
    // A network without a condition kind takes anything, but a batch has classes or vectors, one
    // per row.
    assert!(flow.loss(&Recorder::default(), &vectors).is_ok());
    let both = Batch { classes: classes.classes.clone(), ..vectors.clone() };
    let short = Batch { conditions: vectors.conditions[1..].to_vec(), ..vectors.clone() };
    let broken = [both, short, Batch { conditions: vec![1.0], ..vectors }];
    assert!(broken.iter().all(|batch| flow.loss(&Recorder::default(), batch).is_err()));
}

/// The mean of row i is its condition: the networks of fm-models learn it.
#[test]
fn built_in_networks_learn_from_condition_vectors() {
    let vectors = Array2::from_shape_fn((512, 1), |(i, _)| i as f32 / 256.0 - 1.0);
    let (data, flow) = (Conditions::new(2.0 * &vectors, vectors).unwrap(), FlowMatching::default());
    for config in [
        ModelConfig::Mlp(MlpConfig { dim: 1, condition_dim: 1, ..MlpConfig::default() }),
        ModelConfig::ConcatSquash(ConcatSquashConfig { dim: 1, condition_dim: 1, ..ConcatSquashConfig::default() }),
    ] {
        tch::manual_seed(0);
        let store = nn::VarStore::new(Device::Cpu);
        let net = config.build(&store.root()).unwrap();
        let mut trainer = Trainer::new(&store, &TrainerConfig { lr: 1e-2, ..TrainerConfig::default() }).unwrap();
        let mut losses = Vec::new();
        for batch in flow.batches(&data, 128).unwrap().take(300) {
            let loss = flow.loss(&net, &batch.unwrap()).unwrap();
            trainer.step(&loss).unwrap();
            losses.push(loss.double_value(&[]));
        }
        // Without the condition, the best loss is far above: x1 has the variance 4 / 3.
        let last = losses[250..].iter().sum::<f64>() / 50.0;
        assert!(last < 0.2, "{}: {last}", config.kind());
    }
}
