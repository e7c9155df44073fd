//! Two moons with a network of candle instead of libtorch: batches, x_t and samples are plain
//! arrays.

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use candle_core::{D, DType, Device, Module, Result, Tensor, Var};
use candle_nn::{AdamW, Linear, Optimizer, loss::mse};
use flow_matching::core::data::Order;
use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;
use ndarray::Axis;
use std::error::Error;

const BATCH: usize = 256;

fn tensor(x: &Array2<f32>) -> Result<Tensor> {
    Tensor::from_iter(x.iter().copied(), &Device::Cpu)?.reshape(x.dim())
}

fn layer(at: u64, from: usize, to: usize, variables: &mut Vec<Var>) -> Result<Linear> {
    let values = Tensor::from_vec(normal_rows(Key::new(0, at, Stream::Init), to, from), (to, from), &Device::Cpu)?;
    let w = Var::from_tensor(&(values / (from as f64).sqrt())?)?;
    let b = Var::zeros(to, DType::F32, &Device::Cpu)?;
    variables.extend([w.clone(), b.clone()]);
    Ok(Linear::new(w.as_tensor().clone(), Some(b.as_tensor().clone())))
}

/// v(x, t): two hidden layers on (x, t).
fn velocity([first, second, last]: &[Linear; 3], x: &Array2<f32>, t: &[f64]) -> Result<Tensor> {
    let t = Tensor::new(t, &Device::Cpu)?.to_dtype(DType::F32)?.unsqueeze(1)?;
    let input = Tensor::cat(&[tensor(x)?, t], D::Minus1)?;
    last.forward(&second.forward(&first.forward(&input)?.silu()?)?.silu()?)
}

pub(crate) fn distance() -> std::result::Result<f64, Box<dyn Error>> {
    let (data, flow, mut variables) = (toy("moons", 5_000, 0)?, FlowMatching::default(), Vec::new());
    let mut layer = |at, from, to| layer(at, from, to, &mut variables);
    let net = [layer(0, 3, 64)?, layer(1, 64, 64)?, layer(2, 64, 2)?];
    let (mut optimizer, order) = (AdamW::new_lr(variables, 2e-3)?, Order::new(flow.seed, data.nrows()));
    for step in 0..1_000 {
        let x1 = data.select(Axis(0), &order.batch(step, BATCH));
        let key = Key::new(flow.seed, step, Stream::Noise);
        let times = flow.objective.draw(key, BATCH, None)?.times;
        let sample = flow.sample(&flow.source.sample_array(key, BATCH, 2)?, &x1, &times)?;
        optimizer.backward_step(&mse(&velocity(&net, &sample.x_t, &times)?, &tensor(&sample.target)?)?)?;
    }
    let field = |x: &Array2<f32>, t: f64| {
        let v = velocity(&net, x, &vec![t; x.nrows()]).and_then(|v| v.flatten_all()?.to_vec1());
        Array2::from_shape_vec(x.dim(), v.unwrap_or_default()).unwrap_or_default()
    };
    let x0 = Array2::from_shape_vec((1_000, 2), normal_rows(Key::new(1, 0, Stream::Sample), 1_000, 2))?;
    Ok(energy_distance(solve(&field, x0, 0.0..1.0, &Fixed::midpoint(20))?.x.view(), data.view())?)
}

pub(crate) fn main() -> std::result::Result<(), Box<dyn Error>> {
    println!("energy distance to the data: {:.4}", distance()?);
    Ok(())
}
