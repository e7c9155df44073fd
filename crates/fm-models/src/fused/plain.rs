//! Linear layers in sequence with an activation between them, applied to [x, t].

use super::FusedNetwork;
use super::functions::{for_every_processor, gelu, selu};
use super::product::{Linear, Matrix, outer, product};
use crate::layers::Activation;

/// Replaces values by their activation and stores its derivative.
pub(crate) type Activate = fn(&mut [f32], &mut [f32]);

/// An MLP: weights and biases of its layers.
pub(crate) struct FusedMlp {
    layers: Vec<Linear>,
    activation: Activate,
}

impl FusedMlp {
    /// Builds the layers from the parameters weight, bias, weight, bias and so on.
    pub(crate) fn of(parameters: Vec<Vec<f32>>, activation: Activate) -> Self {
        let mut parameters = parameters.into_iter();
        let layers = std::iter::from_fn(|| Some(Linear::new(parameters.next()?, parameters.next()?))).collect();
        Self { layers, activation }
    }
}

/// The fused version of an activation, if there is one.
pub(crate) fn activation(kind: Activation) -> Option<Activate> {
    match kind {
        Activation::Gelu => Some(all_gelu),
        Activation::Selu => Some(all_selu),
        _ => None,
    }
}

for_every_processor! {
    fn all_gelu(values: &mut [f32], slopes: &mut [f32]) = each_gelu;
    fn all_selu(values: &mut [f32], slopes: &mut [f32]) = each_selu;
    fn undo(gradient: &mut [f32], slopes: &[f32], sums: &mut [f32]) = undo_rows;
}

/// Turns gradients of activations into gradients of their inputs, and adds these to the column
/// sums.
#[inline(always)]
fn undo_rows<const FUSED: bool>(gradient: &mut [f32], slopes: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    for (row, slopes) in gradient.chunks_exact_mut(width).zip(slopes.chunks_exact(width)) {
        for ((g, slope), sum) in row.iter_mut().zip(slopes).zip(sums.iter_mut()) {
            *g *= slope;
            *sum += *g;
        }
    }
}

#[inline(always)]
fn each_gelu<const FUSED: bool>(values: &mut [f32], slopes: &mut [f32]) {
    values.iter_mut().zip(slopes).for_each(|(v, s)| (*v, *s) = gelu::<FUSED>(*v));
}

#[inline(always)]
fn each_selu<const FUSED: bool>(values: &mut [f32], slopes: &mut [f32]) {
    values.iter_mut().zip(slopes).for_each(|(v, s)| (*v, *s) = selu::<FUSED>(*v));
}

/// Values of a layer that the backward pass needs: its input, and the derivative of the activation
/// before it.
pub(crate) struct Seen {
    input: Vec<f32>,
    slopes: Vec<f32>,
}

impl FusedNetwork for FusedMlp {
    type Saved = Vec<Seen>;

    fn forward(&self, x: &[f32], t: &[f32]) -> (Vec<f32>, Vec<Seen>) {
        let dim = x.len() / t.len().max(1);
        let mut h: Vec<f32> = Vec::with_capacity(x.len() + t.len());
        for (row, t) in x.chunks_exact(dim.max(1)).zip(t) {
            h.extend_from_slice(row);
            h.push(*t);
        }
        let mut kept = Vec::with_capacity(self.layers.len());
        for (k, layer) in self.layers.iter().enumerate() {
            let mut slopes = Vec::new();
            if k > 0 {
                slopes.resize(h.len(), 0.0);
                (self.activation)(&mut h, &mut slopes);
            }
            let z = layer.apply(&h);
            kept.push(Seen { input: h, slopes });
            h = z;
        }
        (h, kept)
    }

    fn backward(&self, kept: &Vec<Seen>, t: &[f32], gradient: &[f32]) -> Vec<Vec<f32>> {
        let mut dz = gradient.to_vec();
        let mut d_bias = vec![0.0; gradient.len() / t.len().max(1)];
        dz.chunks_exact(d_bias.len()).for_each(|row| d_bias.iter_mut().zip(row).for_each(|(s, g)| *s += g));
        let mut found = Vec::with_capacity(2 * self.layers.len());
        for (k, (layer, seen)) in self.layers.iter().zip(kept).enumerate().rev() {
            let (out, fan_in) = (layer.bias.len(), layer.fan_in());
            let d_weight = outer(&dz, out, &seen.input, fan_in);
            found.push(d_bias);
            found.push(d_weight);
            d_bias = vec![0.0; fan_in];
            if k > 0 {
                dz = product(Matrix::rows(&dz, out), t.len(), &layer.weight, fan_in, None);
                undo(&mut dz, &seen.slopes, &mut d_bias);
            }
        }
        found.reverse();
        found
    }
}
