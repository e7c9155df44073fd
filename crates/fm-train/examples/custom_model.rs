//! A network of your own: any type with a forward pass.
//! `cargo run -p fm-train --example custom_model`

#![allow(clippy::print_stderr, reason = "an example prints its progress")]

use fm_core::{FlowMatching, tensor::VelocityModel};
use fm_train::{FlowTraining, Trainer, TrainerConfig};
use ndarray::Array2;
use tch::{Device, Tensor, nn, nn::Module};

/// v(x, t) = W sin(3 (A x + b t + c)): random features, all of which are trained.
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
    fn forward(&self, x: &Tensor, t: &Tensor, _condition: Option<&Tensor>) -> Tensor {
        let t = t.unsqueeze(1).expand([x.size()[0], 1], false);
        self.outer.forward(&(self.inner.forward(&Tensor::cat(&[x, &t], 1)) * 3.0).sin())
    }
}

pub(crate) fn losses() -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    // Points on a parabola.
    let data = Array2::from_shape_fn((5000, 2), |(i, j)| (i as f32 / 2500.0 - 1.0).powi(1 + j as i32));
    let store = nn::VarStore::new(Device::Cpu);
    let model = Waves::new(&store.root(), 2, 256);
    let flow = FlowMatching::default();
    let mut trainer = Trainer::new(&store, &TrainerConfig::default())?;
    let mut losses = Vec::new();
    for batch in flow.batches(&data, 512)?.take(500) {
        let loss = flow.loss(&model, &batch?)?;
        trainer.step(&loss)?;
        losses.push(loss.double_value(&[]));
    }
    Ok(losses)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (i, part) in losses()?.chunks(100).enumerate() {
        eprintln!("step {}: loss {:.4}", 100 * (i + 1), part.iter().sum::<f64>() / part.len() as f64);
    }
    Ok(())
}
