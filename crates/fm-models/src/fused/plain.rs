//! A chain of linear layers with an activation between them, over [x, t].

use super::Layered;
use super::functions::{gelu, selu};
use super::product::{Matrix, linear, outer, product};
use crate::layers::Activation;
use multiversion::multiversion;

/// Replaces values by an activation of theirs and fills in its derivative.
pub(crate) type Activate = fn(&mut [f32], &mut [f32]);

/// Weights and biases in turn.
pub(crate) struct Plain {
    layers: Vec<(Vec<f32>, Vec<f32>)>,
    activation: Activate,
}

impl Plain {
    /// Of the parameters weight, bias, weight, bias and so on.
    pub(crate) fn of(parameters: Vec<Vec<f32>>, activation: Activate) -> Self {
        let mut parameters = parameters.into_iter();
        let layers = std::iter::from_fn(|| parameters.next().zip(parameters.next())).collect();
        Self { layers, activation }
    }
}

/// An activation, where it is written out here.
pub(crate) fn activation(kind: Activation) -> Option<Activate> {
    match kind {
        Activation::Gelu => Some(all_gelu),
        Activation::Selu => Some(all_selu),
        _ => None,
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn all_gelu(values: &mut [f32], slopes: &mut [f32]) {
    values.iter_mut().zip(slopes).for_each(|(v, s)| (*v, *s) = gelu(*v));
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn all_selu(values: &mut [f32], slopes: &mut [f32]) {
    values.iter_mut().zip(slopes).for_each(|(v, s)| (*v, *s) = selu(*v));
}

/// What a layer was given, and the slopes of the activation before it.
pub(crate) struct Seen {
    input: Vec<f32>,
    slopes: Vec<f32>,
}

impl Layered for Plain {
    type Kept = Vec<Seen>;

    fn forward(&self, x: &[f32], t: &[f32]) -> (Vec<f32>, Vec<Seen>) {
        let dim = x.len() / t.len().max(1);
        let mut h: Vec<f32> = Vec::with_capacity(x.len() + t.len());
        for (row, t) in x.chunks_exact(dim.max(1)).zip(t) {
            h.extend_from_slice(row);
            h.push(*t);
        }
        let mut kept = Vec::with_capacity(self.layers.len());
        for (k, (weight, bias)) in self.layers.iter().enumerate() {
            let mut slopes = Vec::new();
            if k > 0 {
                slopes.resize(h.len(), 0.0);
                (self.activation)(&mut h, &mut slopes);
            }
            let z = linear(&h, weight, bias);
            kept.push(Seen { input: h, slopes });
            h = z;
        }
        (h, kept)
    }

    fn backward(&self, kept: &Vec<Seen>, t: &[f32], gradient: &[f32]) -> Vec<Vec<f32>> {
        let mut dz = gradient.to_vec();
        let mut found = Vec::with_capacity(2 * self.layers.len());
        for (k, ((weight, bias), seen)) in self.layers.iter().zip(kept).enumerate().rev() {
            let (out, fan_in) = (bias.len(), weight.len() / bias.len());
            let d_weight = outer(&dz, out, &seen.input, fan_in);
            let mut d_bias = vec![0.0; out];
            dz.chunks_exact(out).for_each(|row| d_bias.iter_mut().zip(row).for_each(|(s, g)| *s += g));
            found.push(d_bias);
            found.push(d_weight);
            if k > 0 {
                let mut dh = product(Matrix::rows(&dz, out), t.len(), weight, fan_in, None);
                dh.iter_mut().zip(&seen.slopes).for_each(|(g, s)| *g *= s);
                dz = dh;
            }
        }
        found.reverse();
        found
    }
}
