//! Two moons with a network of candle instead of libtorch: batches, x_t and samples are plain arrays.

#![allow(clippy::print_stdout, reason = "an example prints its result")]
use candle_core::{D, DType, Device, Module, Tensor};
use candle_nn::{AdamW, Linear, Optimizer, VarBuilder, VarMap, linear, loss::mse};
use flow_matching::core::data::Order;
use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;
use ndarray::Axis;

const BATCH: usize = 256;

/// v(x, t): two hidden layers on (x, t).
struct Net([Linear; 3]);

impl Net {
    fn velocity(&self, x: &Array2<f32>, t: &[f64]) -> candle_core::Result<Tensor> {
        let [first, second, last] = &self.0;
        let t = Tensor::new(t, &Device::Cpu)?.to_dtype(DType::F32)?.unsqueeze(1)?;
        let input = Tensor::cat(&[tensor(x)?, t], D::Minus1)?;
        last.forward(&second.forward(&first.forward(&input)?.silu()?)?.silu()?)
    }
}

fn tensor(x: &Array2<f32>) -> candle_core::Result<Tensor> {
    Tensor::from_iter(x.iter().copied(), &Device::Cpu)?.reshape(x.dim())
}

fn train(data: &Array2<f32>, flow: &FlowMatching) -> Result<Net, Box<dyn std::error::Error>> {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let net = Net([linear(3, 64, vb.pp("first"))?, linear(64, 64, vb.pp("second"))?, linear(64, 2, vb.pp("last"))?]);
    let mut optimizer = AdamW::new_lr(variables.all_vars(), 2e-3)?;
    let order = Order::new(flow.seed, data.nrows());
    for step in 0..1_000 {
        let x1 = data.select(Axis(0), &order.batch(step, BATCH));
        let x0 = flow.source.sample(Key::new(flow.seed, step, Stream::Noise), BATCH, 2)?;
        let times = flow.objective.draw(flow.seed, step, BATCH, None)?.times;
        let sample = flow.sample(&Array2::from_shape_vec((BATCH, 2), x0)?, &x1, &times)?;
        optimizer.backward_step(&mse(&net.velocity(&sample.x_t, &times)?, &tensor(&sample.target)?)?)?;
    }
    Ok(net)
}

pub(crate) fn distance() -> Result<f64, Box<dyn std::error::Error>> {
    let (data, flow) = (toy("moons", 5_000, 0)?, FlowMatching::default());
    let net = train(&data, &flow)?;
    let field = |x: &Array2<f32>, t: f64| {
        let values = net.velocity(x, &vec![t; x.nrows()]).and_then(|v| v.flatten_all()?.to_vec1()).unwrap_or_default();
        Array2::from_shape_vec(x.dim(), values).unwrap_or_default()
    };
    let x0 = Array2::from_shape_vec((1_000, 2), normal_rows(Key::new(1, 0, Stream::Sample), 1_000, 2))?;
    let solution = solve(&field, x0, 0.0..1.0, &Fixed::midpoint(20))?;
    Ok(energy_distance(solution.x.view(), data.view())?)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("energy distance to the data: {:.4}", distance()?);
    Ok(())
}
