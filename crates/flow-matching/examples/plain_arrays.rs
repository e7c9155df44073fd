//! Two moons without libtorch: random features, fitted by gradient descent on plain arrays.
//!
//! `cargo run -p flow-matching --example plain_arrays`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use flow_matching::core::data::Order;
use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;
use ndarray::{Axis, concatenate};

const FEATURES: usize = 512;
const BATCH: usize = 256;

/// v(x, t) = cos([x, t] A + b) W; only W is trained.
struct Model {
    a: Array2<f32>,
    b: Array1<f32>,
    w: Array2<f32>,
}

impl Model {
    fn features(&self, x: &Array2<f32>, t: &[f64]) -> Array2<f32> {
        let t = Array2::from_shape_fn((t.len(), 1), |(i, _)| t[i] as f32);
        (concatenate![Axis(1), *x, t].dot(&self.a) + &self.b).mapv(f32::cos) * (2.0 / FEATURES as f32).sqrt()
    }
}

fn normal(step: u64, rows: usize, columns: usize) -> Result<Array2<f32>, ndarray::ShapeError> {
    Array2::from_shape_vec((rows, columns), normal_rows(Key::new(0, step, Stream::Init), rows, columns))
}

pub(crate) fn distance() -> Result<f64, Box<dyn std::error::Error>> {
    let (data, flow) = (toy("moons", 5_000, 0)?, FlowMatching::default());
    let (a, b, w) = (2.0 * normal(0, 3, FEATURES)?, 3.0 * normal(1, 1, FEATURES)?, Array2::zeros((FEATURES, 2)));
    let (mut model, order) = (Model { a, b: b.row(0).to_owned(), w }, Order::new(flow.seed, data.nrows()));
    for step in 0..4_000 {
        let x1 = data.select(Axis(0), &order.batch(step, BATCH));
        let key = Key::new(flow.seed, step, Stream::Noise);
        let times = flow.objective.draw(key, BATCH, None)?.times;
        let sample = flow.sample(&flow.source.sample_array(key, BATCH, 2)?, &x1, &times)?;
        let features = model.features(&sample.x_t, &times);
        let error = features.dot(&model.w) - &sample.target;
        model.w.scaled_add(-2.0 / BATCH as f32, &features.t().dot(&error));
    }
    let field = |x: &Array2<f32>, t: f64| model.features(x, &vec![t; x.nrows()]).dot(&model.w);
    let solution = solve(&field, normal(2, 1_000, 2)?, 0.0..1.0, &Fixed::midpoint(20))?;
    Ok(energy_distance(solution.x.view(), data.view())?)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("energy distance to the data: {:.4}", distance()?);
    Ok(())
}
