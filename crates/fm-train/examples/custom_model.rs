//! A network of one's own: any type with a forward pass. `cargo run -p fm-train --example custom_model`

use fm_core::{objective::Objective, path::PathKind, source::Source, tensor::Role, tensor::VelocityModel};
use fm_train::callbacks::Callback;
use fm_train::data::{BatchOptions, Batches};
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::train::{TrainOptions, TrainState, train};
use fm_train::{ema::EmaConfig, pairing::Pairing, record::LogRecord, task::FlowMatching};
use ndarray::Array2;
use std::ops::ControlFlow;
use tch::{Device, Tensor, nn, nn::Module};

/// v(x, t) = W sin(A x + b t + c): random features, of which all are trained.
#[derive(Debug)]
struct Waves {
    inner: nn::Linear,
    outer: nn::Linear,
}

impl Waves {
    fn new(path: &nn::Path<'_>, dim: i64, width: i64) -> Self {
        let linear = |name: &str, from, to| nn::linear(path / name, from, to, Default::default());
        Self { inner: linear("inner", dim + 1, width), outer: linear("outer", width, dim) }
    }
}

impl VelocityModel for Waves {
    fn forward_t(&self, x: &Tensor, t: &Tensor, _condition: Option<&Tensor>, _train: bool) -> Tensor {
        let t = t.unsqueeze(1).expand([x.size()[0], 1], false);
        self.outer.forward(&(self.inner.forward(&Tensor::cat(&[x, &t], 1)) * 3.0).sin())
    }
}

/// Says what the log says.
struct Say;

impl Callback for Say {
    fn after_step(
        &mut self,
        _: &mut TrainState,
        line: Option<&LogRecord>,
    ) -> Result<ControlFlow<()>, fm_train::TrainError> {
        line.iter().for_each(|line| eprintln!("step {}: loss {:.4}", line.step, line.loss));
        Ok(ControlFlow::Continue(()))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Points on a parabola.
    let data = Array2::from_shape_fn((5000, 2), |(i, j)| (i as f32 / 2500.0 - 1.0).powi(1 + j as i32));
    let pairing = Pairing::new(Source::default(), None, 0, 1);
    let batches = Batches::new(&data, pairing, BatchOptions { rows: 512, ..BatchOptions::default() });
    let store = nn::VarStore::new(Device::Cpu);
    let model = Waves::new(&store.root(), 2, 256);
    let params = FlatParams::new(&store, Precision::F32)?;
    let adamw = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let mut state = TrainState::new(params, adamw, &EmaConfig::of(0.99), 0);
    let task = FlowMatching::new(&model, Objective::on(PathKind::Linear), vec![2]);
    Ok(train(&task, &batches, &mut state, &TrainOptions::default(), &mut Say)?)
}
