//! A chain of layers (h W1' + b1) sigmoid(t w2 + b2) + t w3 with tanh between them.

use super::Layered;
use super::functions::{sigmoid, tanh};
use super::product::{Matrix, linear, outer, product};
use multiversion::multiversion;

/// The parameters of one layer.
pub(crate) struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
    gate_weight: Vec<f32>,
    gate_bias: Vec<f32>,
    shift: Vec<f32>,
}

pub(crate) struct Gated {
    layers: Vec<Layer>,
}

impl Gated {
    /// Of parameters W1, b1, w2, b2, w3, and so on.
    pub(crate) fn of(parameters: Vec<Vec<f32>>) -> Self {
        let mut parameters = parameters.into_iter();
        let layer = || {
            let mut next = || parameters.next();
            let (weight, bias, gate_weight, gate_bias, shift) = (next()?, next()?, next()?, next()?, next()?);
            Some(Layer { weight, bias, gate_weight, gate_bias, shift })
        };
        Self { layers: std::iter::from_fn(layer).collect() }
    }
}

/// What a layer was given, and what it made before and in its gate.
pub(crate) struct Seen {
    input: Vec<f32>,
    linear: Vec<f32>,
    gate: Vec<f32>,
}

/// One row: the gate, and the gated and shifted output.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn open(layer: &Layer, t: f32, linear: &[f32], gate: &mut [f32], out: &mut [f32]) {
    let constants = layer.gate_weight.iter().zip(&layer.gate_bias).zip(&layer.shift);
    for ((((w, b), s), a), (g, z)) in constants.zip(linear).zip(gate.iter_mut().zip(out)) {
        *g = sigmoid(t * w + b);
        *z = a * *g + t * s;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn all_tanh(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = tanh(*v));
}

/// Sums over rows of the gradients of everything but the weight.
struct Sums {
    bias: Vec<f32>,
    gate_weight: Vec<f32>,
    gate_bias: Vec<f32>,
    shift: Vec<f32>,
}

/// One row: turns the gradient of the output into that of the linear part and adds to the sums.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn close(t: f32, gradient: &mut [f32], linear: &[f32], gate: &[f32], sums: &mut Sums) {
    let to = sums.bias.iter_mut().zip(&mut sums.gate_weight).zip(&mut sums.gate_bias).zip(&mut sums.shift);
    for (((dz, a), g), (((bias, gate_weight), gate_bias), shift)) in gradient.iter_mut().zip(linear).zip(gate).zip(to) {
        let d_gate = *dz * a * g * (1.0 - g);
        *shift += *dz * t;
        *gate_weight += d_gate * t;
        *gate_bias += d_gate;
        *dz *= g;
        *bias += *dz;
    }
}

impl Layered for Gated {
    type Kept = Vec<Seen>;

    fn forward(&self, x: &[f32], t: &[f32]) -> (Vec<f32>, Vec<Seen>) {
        let mut h = x.to_vec();
        let mut kept = Vec::with_capacity(self.layers.len());
        for (k, layer) in self.layers.iter().enumerate() {
            if k > 0 {
                all_tanh(&mut h);
            }
            let out = layer.bias.len();
            let linear = linear(&h, &layer.weight, &layer.bias);
            let (mut gate, mut z) = (vec![0.0; linear.len()], vec![0.0; linear.len()]);
            let rows = linear.chunks_exact(out).zip(gate.chunks_exact_mut(out)).zip(z.chunks_exact_mut(out));
            rows.zip(t).for_each(|(((a, g), z), t)| open(layer, *t, a, g, z));
            kept.push(Seen { input: h, linear, gate });
            h = z;
        }
        (h, kept)
    }

    fn backward(&self, kept: &Vec<Seen>, t: &[f32], gradient: &[f32]) -> Vec<Vec<f32>> {
        let mut dz = gradient.to_vec();
        let mut found = Vec::with_capacity(5 * self.layers.len());
        for (k, (layer, seen)) in self.layers.iter().zip(kept).enumerate().rev() {
            let out = layer.bias.len();
            let fan_in = layer.weight.len() / out;
            let zeros = || vec![0.0; out];
            let mut sums = Sums { bias: zeros(), gate_weight: zeros(), gate_bias: zeros(), shift: zeros() };
            let rows = dz.chunks_exact_mut(out).zip(seen.linear.chunks_exact(out)).zip(seen.gate.chunks_exact(out));
            rows.zip(t).for_each(|(((dz, a), g), t)| close(*t, dz, a, g, &mut sums));
            let weight = outer(&dz, out, &seen.input, fan_in);
            found.extend([sums.shift, sums.gate_bias, sums.gate_weight, sums.bias, weight]);
            if k > 0 {
                let mut dh = product(Matrix::rows(&dz, out), t.len(), &layer.weight, fan_in, None);
                dh.iter_mut().zip(&seen.input).for_each(|(g, h)| *g *= 1.0 - h * h);
                dz = dh;
            }
        }
        found.reverse();
        found
    }
}
