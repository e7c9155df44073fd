//! A data set of one's own: points on a Lissajous curve, computed when they are asked for. `cargo run -p fm-train --example custom_data`

use fm_core::data::{Dataset, Pick};
use fm_core::{objective::Objective, path::PathKind, source::Source, tensor::Role};
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::callbacks::Callback;
use fm_train::data::{BatchOptions, Batches};
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::train::{TrainOptions, TrainState, train};
use fm_train::{ema::EmaConfig, pairing::Pairing, record::LogRecord, task::FlowMatching};
use std::ops::ControlFlow;
use tch::{Device, nn};

/// Row i of n lies at angle 2 pi i / n: nothing is stored.
struct Lissajous(usize);

impl Dataset for Lissajous {
    fn len(&self) -> usize {
        self.0
    }

    fn dim(&self) -> usize {
        2
    }

    fn write(&self, pick: Pick, out: &mut [f32]) {
        let angle = std::f32::consts::TAU * pick.row as f32 / self.0 as f32;
        out.copy_from_slice(&[(2.0 * angle).sin(), (3.0 * angle).cos()]);
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
    let (data, store) = (Lissajous(10_000), nn::VarStore::new(Device::Cpu));
    let pairing = Pairing::new(Source::default(), None, 0, 1);
    let batches = Batches::new(&data, pairing, BatchOptions { rows: 512, ..BatchOptions::default() });
    let model = ModelConfig::Mlp(MlpConfig::default()).build(&store.root())?;
    let params = FlatParams::new(&store, Precision::F32)?;
    let adamw = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let mut state = TrainState::new(params, adamw, &EmaConfig::of(0.99), 0);
    let task = FlowMatching::new(model.as_ref(), Objective::on(PathKind::Linear), vec![2]);
    Ok(train(&task, &batches, &mut state, &TrainOptions::default(), &mut Say)?)
}
