//! A data set of your own: points on a Lissajous curve, computed when a batch needs them.
//! `cargo run -p fm-train --example custom_data`

#![allow(clippy::print_stderr, reason = "an example prints its progress")]

use fm_core::FlowMatching;
use fm_core::data::{DataError, Dataset, Pick};
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::{FlowTraining, Trainer, TrainerConfig};
use tch::{Device, nn};

/// Row i of n lies at angle 2 pi i / n.
struct Lissajous(usize);

impl Dataset for Lissajous {
    fn len(&self) -> usize {
        self.0
    }

    fn dim(&self) -> usize {
        2
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        let angle = std::f32::consts::TAU * pick.row as f32 / self.0 as f32;
        out.copy_from_slice(&[(2.0 * angle).sin(), (3.0 * angle).cos()]);
        Ok(())
    }
}

pub(crate) fn losses() -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let (data, store) = (Lissajous(10_000), nn::VarStore::new(Device::Cpu));
    let model = ModelConfig::Mlp(MlpConfig::default()).build(&store.root())?;
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
