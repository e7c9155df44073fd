//! Layers (h W1' + b1) sigmoid(t w2 + b2) + t w3 in sequence, with tanh between them.

use super::FusedNetwork;
use super::functions::{fma, for_every_processor, sigmoid, tanh};
use super::product::{Linear, Matrix, outer, product};

/// The parameters of one layer.
pub(crate) struct Layer {
    linear: Linear,
    gate_weight: Vec<f32>,
    gate_bias: Vec<f32>,
    shift: Vec<f32>,
}

pub(crate) struct FusedConcatSquash {
    layers: Vec<Layer>,
}

impl FusedConcatSquash {
    /// Builds the layers from the parameters W1, b1, w2, b2, w3 of each.
    pub(crate) fn of(parameters: Vec<Vec<f32>>) -> Self {
        let mut parameters = parameters.into_iter();
        let layer = || {
            let mut next = || parameters.next();
            let (weight, bias, gate_weight, gate_bias, shift) = (next()?, next()?, next()?, next()?, next()?);
            Some(Layer { linear: Linear::new(weight, bias), gate_weight, gate_bias, shift })
        };
        Self { layers: std::iter::from_fn(layer).collect() }
    }
}

/// Values of a layer that the backward pass needs: its input, its linear part and its gate.
pub(crate) struct Seen {
    input: Vec<f32>,
    linear: Vec<f32>,
    gate: Vec<f32>,
}

for_every_processor! {
    fn open(layer: &Layer, t: &[f32], linear: &[f32], gate: &mut [f32], out: &mut [f32]) = open_rows;
    fn close(t: &[f32], gradient: &mut [f32], linear: &[f32], gate: &[f32], sums: &mut Sums) = close_rows;
    fn all_tanh(values: &mut [f32]) = each_tanh;
    fn undo_tanh(gradient: &mut [f32], values: &[f32]) = undo_each;
}

/// The gates, and the gated and shifted outputs.
#[inline(always)]
fn open_rows<const FUSED: bool>(layer: &Layer, t: &[f32], linear: &[f32], gate: &mut [f32], out: &mut [f32]) {
    let width = layer.shift.len();
    let rows = linear.chunks_exact(width).zip(gate.chunks_exact_mut(width)).zip(out.chunks_exact_mut(width));
    for (((linear, gate), out), t) in rows.zip(t) {
        let constants = layer.gate_weight.iter().zip(&layer.gate_bias).zip(&layer.shift);
        for ((((w, b), s), a), (g, z)) in constants.zip(linear).zip(gate.iter_mut().zip(out)) {
            *g = sigmoid::<FUSED>(fma::<FUSED>(*t, *w, *b));
            *z = fma::<FUSED>(*a, *g, t * s);
        }
    }
}

#[inline(always)]
fn each_tanh<const FUSED: bool>(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = tanh::<FUSED>(*v));
}

/// Turns gradients of tanh(x) into gradients of x.
#[inline(always)]
fn undo_each<const FUSED: bool>(gradient: &mut [f32], values: &[f32]) {
    gradient.iter_mut().zip(values).for_each(|(g, h)| *g *= fma::<FUSED>(-h, *h, 1.0));
}

/// Sums over rows of the gradients of all parameters except the weight.
struct Sums {
    bias: Vec<f32>,
    gate_weight: Vec<f32>,
    gate_bias: Vec<f32>,
    shift: Vec<f32>,
}

/// Turns gradients of outputs into gradients of the linear part, and adds to the sums.
#[inline(always)]
fn close_rows<const FUSED: bool>(t: &[f32], gradient: &mut [f32], linear: &[f32], gate: &[f32], sums: &mut Sums) {
    let width = sums.bias.len();
    let rows = gradient.chunks_exact_mut(width).zip(linear.chunks_exact(width)).zip(gate.chunks_exact(width));
    for (((gradient, linear), gate), t) in rows.zip(t) {
        let to = sums.bias.iter_mut().zip(&mut sums.gate_weight).zip(&mut sums.gate_bias).zip(&mut sums.shift);
        for (((dz, a), g), (((bias, gate_weight), gate_bias), shift)) in
            gradient.iter_mut().zip(linear).zip(gate).zip(to)
        {
            let d_gate = *dz * a * g * (1.0 - g);
            *shift = fma::<FUSED>(*dz, *t, *shift);
            *gate_weight = fma::<FUSED>(d_gate, *t, *gate_weight);
            *gate_bias += d_gate;
            *dz *= g;
            *bias += *dz;
        }
    }
}

impl FusedNetwork for FusedConcatSquash {
    type Saved = Vec<Seen>;

    fn forward(&self, x: &[f32], t: &[f32]) -> (Vec<f32>, Vec<Seen>) {
        let mut h = x.to_vec();
        let mut kept = Vec::with_capacity(self.layers.len());
        for (k, layer) in self.layers.iter().enumerate() {
            if k > 0 {
                all_tanh(&mut h);
            }
            let linear = layer.linear.apply(&h);
            let (mut gate, mut z) = (vec![0.0; linear.len()], vec![0.0; linear.len()]);
            open(layer, t, &linear, &mut gate, &mut z);
            kept.push(Seen { input: h, linear, gate });
            h = z;
        }
        (h, kept)
    }

    fn backward(&self, kept: &Vec<Seen>, t: &[f32], gradient: &[f32]) -> Vec<Vec<f32>> {
        let mut dz = gradient.to_vec();
        let mut found = Vec::with_capacity(5 * self.layers.len());
        for (k, (layer, seen)) in self.layers.iter().zip(kept).enumerate().rev() {
            let (out, fan_in) = (layer.linear.bias.len(), layer.linear.fan_in());
            let zeros = || vec![0.0; out];
            let mut sums = Sums { bias: zeros(), gate_weight: zeros(), gate_bias: zeros(), shift: zeros() };
            close(t, &mut dz, &seen.linear, &seen.gate, &mut sums);
            let weight = outer(&dz, out, &seen.input, fan_in);
            found.extend([sums.shift, sums.gate_bias, sums.gate_weight, sums.bias, weight]);
            if k > 0 {
                dz = product(Matrix::rows(&dz, out), t.len(), &layer.linear.weight, fan_in, None);
                undo_tanh(&mut dz, &seen.input);
            }
        }
        found.reverse();
        found
    }
}
