//! A training loop on flat parameters: gradients are taken into one vector, which one fused AdamW
//! kernel applies.
//!
//! `cargo run -p fm-torch --example flat_adam`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use fm_torch::TorchError;
use fm_torch::adam::{Adam, Moments, update};
use fm_torch::device::DeviceChoice;
use fm_torch::gradients::Taker;
use tch::{Kind, Tensor};

/// Minimises the Rosenbrock function (1 - a)^2 + 100 (b - a^2)^2 from (-1, 1); returns a and b.
pub(crate) fn minimum(steps: u32) -> Result<[f64; 2], TorchError> {
    let device = DeviceChoice::Auto.open(0)?; // before anything else asks libtorch for CUDA
    let on = (Kind::Float, device);
    let mut flat = Tensor::from_slice(&[-1f32, 1.0]).to_device(device);
    let (mut mean, mut square, gradient) = (flat.zeros_like(), flat.zeros_like(), flat.zeros_like());
    // Leaves that share the memory of the flat vector.
    let leaf = |i| flat.detach().narrow(0, i, 1).set_requires_grad(true);
    let (a, b) = (leaf(0), leaf(1));
    let taker = Taker::new(&[&a, &b], vec![gradient.narrow(0, 0, 1), gradient.narrow(0, 1, 1)])?;
    let (scale, skip) = (Tensor::ones([1], on), Tensor::zeros([1], on));
    for step in 1..=steps {
        let valley = (&b - a.square()).square() * 100.0;
        let loss = (&a - 1.0).square() + valley;
        loss.backward();
        taker.take()?;
        let count = Tensor::full([1], f64::from(step), on);
        let moments = Moments { mean: &mut mean, square: &mut square, step: &count };
        let adam = Adam { lr: 0.02, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.0, decoupled: true };
        update(&mut flat, &gradient, moments, &scale, &skip, &adam)?;
    }
    Ok([0, 1].map(|i| flat.double_value(&[i])))
}

pub(crate) fn main() -> Result<(), TorchError> {
    println!("the minimum is at (1, 1); found {:.4?}", minimum(3_000)?);
    Ok(())
}
