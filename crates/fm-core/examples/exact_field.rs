//! The field that a perfect network would learn from three points, and samples along it: without a
//! network.
//!
//! `cargo run -p fm-core --example exact_field`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use fm_core::exact::{ExactField, Mixture, estimate};
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::{Objective, VelocityField};
use ndarray::{Array2, array};

/// Where Euler's method ends from 200 points of N(0, I), and the loss that no network can go below.
pub(crate) fn samples(steps: usize) -> Result<(Array2<f64>, f64), Box<dyn std::error::Error>> {
    let data = array![[0.0, 2.0], [-1.5, -1.0], [1.5, -1.0]];
    let mixture = Mixture::empirical(data.view())?;
    let path = PathKind::Linear;
    let field = ExactField::new(&mixture, path, (0.0, 1.0 - 1e-6))?;
    let noise = normal_rows(Key::new(0, 0, Stream::Sample), 200, 2);
    let mut x = Array2::from_shape_vec((200, 2), noise)?.mapv(f64::from);
    for step in 0..steps {
        let v = field.velocity(&x, step as f64 / steps as f64);
        x.scaled_add(1.0 / steps as f64, &v);
    }
    let objective: Objective = Objective { prediction: Prediction::Velocity, ..Objective::on(path) };
    Ok((x, estimate(&mixture, &objective, 20_000, 0)?.value))
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (x, floor) = samples(100)?;
    println!("the first samples:\n{:.3}", x.slice(ndarray::s![..5, ..]));
    println!("irreducible loss: {floor:.4}");
    Ok(())
}
