//! Layers whose input is a hidden state and a context: the time, and a condition if there is one.
//!
//! With h the state (B, in), c the context (B or 1, context width), and t its first value:
//!
//! | name | layer |
//! |---|---|
//! | `concat-squash` | lin1(h) sigmoid(lin2(c)) + lin3(c) |
//! | `concat-scale` | lin1(h) lin2(c) + lin3(c) |
//! | `concat` | lin1([c, h]) |
//! | `concat-v2` | lin1(h) + lin3(c) |
//! | `squash` | lin1(h) sigmoid(lin2(c)) |
//! | `scale` | lin1(h) lin2(c) |
//! | `hyper` | W(c) h + b(c), with [b, W] = lin2(c) |
//! | `blend` | (1 - t) lin1(h) + t lin2(h) |
//! | `gate` | lin1(h) sigmoid(lin2(h)), without the context |
//! | `ignore` | lin1(h), without the context |
//!
//! lin3 has no bias. Sources: Grathwohl et al., "FFJORD" (2019); Yang et al., "PointFlow" (2019)
//! for `scale` and `concat-scale`.
//!
//! A layer of your own implements [`TimedLayer`]; [`LayerNetwork`] makes a network of any layers.
//!
//! ```
//! use fm_core::tensor::VelocityModel;
//! use fm_models::layers::Activation;
//! use fm_models::timed_layer::{LayerNetwork, TimedLayer};
//! use tch::Tensor;
//! /// h + sin(t).
//! #[derive(Debug)]
//! struct Shift;
//! impl TimedLayer for Shift {
//!     fn forward(&self, h: &Tensor, context: &Tensor) -> Tensor {
//!         h + context.narrow(1, 0, 1).sin()
//!     }
//! }
//! let net = LayerNetwork::new(vec![Box::new(Shift), Box::new(Shift)], Activation::Tanh);
//! let v = net.forward(&Tensor::from_slice2(&[[0.5f32]]), &Tensor::from_slice(&[1.0f32]), None);
//! let want = (0.5 + 1f64.sin()).tanh() + 1f64.sin();
//! assert!((v.double_value(&[0, 0]) - want).abs() < 1e-6);
//! ```

use crate::layers::{Activation, linear, linear_without_bias};
use fm_core::choice;
use fm_core::tensor::VelocityModel;
use std::fmt::Debug;
use tch::Tensor;
use tch::nn::{self, Module, Path};

choice! {
    /// A time-conditioned layer.
    #[derive(Default, Eq)]
    pub enum LayerKind("layer") {
        /// A gate and a bias by the context.
        #[default]
        ConcatSquash = "concat-squash",
        /// A factor and a bias by the context.
        ConcatScale = "concat-scale",
        /// The context beside the state.
        Concat = "concat",
        /// A bias by the context.
        ConcatV2 = "concat-v2",
        /// A gate by the context.
        Squash = "squash",
        /// A factor by the context.
        Scale = "scale",
        /// Weights by the context.
        Hyper = "hyper",
        /// Two layers, mixed by the time.
        Blend = "blend",
        /// A gate by the state.
        Gate = "gate",
        /// A linear layer.
        Ignore = "ignore",
    }
}

impl LayerKind {
    /// Whether a condition reaches the layer.
    pub fn takes_conditions(self) -> bool {
        !matches!(self, Self::Blend | Self::Gate | Self::Ignore)
    }

    /// Trainable values of a layer of `fan_in` to `out` values, conditioned on `context` values.
    pub(crate) fn parameters(self, fan_in: i64, out: i64, context: i64) -> i64 {
        let (first, gate, bias) = (fan_in * out + out, context * out + out, context * out);
        match self {
            Self::ConcatSquash | Self::ConcatScale => first + gate + bias,
            Self::Concat => first + context * out,
            Self::ConcatV2 => first + bias,
            Self::Squash | Self::Scale => first + gate,
            Self::Hyper => (context + 1).saturating_mul(first),
            Self::Blend | Self::Gate => 2 * first,
            Self::Ignore => first,
        }
    }

    /// Creates a layer below `p`.
    pub(crate) fn build(self, p: &Path<'_>, fan_in: i64, out: i64, context: i64) -> Layer {
        let state = |name: &str| linear(p / name, fan_in, out);
        let told = |name: &str| linear(p / name, context, out);
        let bias = || linear_without_bias(p / "lin3", context, out);
        let (lin1, lin2, lin3) = match self {
            Self::ConcatSquash | Self::ConcatScale => (Some(state("lin1")), Some(told("lin2")), Some(bias())),
            Self::Concat => (Some(linear(p / "lin1", context + fan_in, out)), None, None),
            Self::ConcatV2 => (Some(state("lin1")), None, Some(bias())),
            Self::Squash | Self::Scale => (Some(state("lin1")), Some(told("lin2")), None),
            Self::Hyper => (None, Some(linear(p / "lin2", context, fan_in * out + out)), None),
            Self::Blend | Self::Gate => (Some(state("lin1")), Some(state("lin2")), None),
            Self::Ignore => (Some(state("lin1")), None, None),
        };
        Layer { kind: self, out, lin1, lin2, lin3 }
    }
}

/// A layer.
pub trait TimedLayer: Debug + Send {
    /// The next state of h (B, in). The context (B or 1, width) starts with the time.
    fn forward(&self, h: &Tensor, context: &Tensor) -> Tensor;
}

/// A layer of this crate.
#[derive(Debug)]
pub(crate) struct Layer {
    kind: LayerKind,
    out: i64,
    pub(crate) lin1: Option<nn::Linear>,
    pub(crate) lin2: Option<nn::Linear>,
    pub(crate) lin3: Option<nn::Linear>,
}

impl Layer {
    /// The output of one of its linear layers; 0 for one that it does not have.
    fn linear(layer: Option<&nn::Linear>, input: &Tensor) -> Tensor {
        layer.map_or_else(|| Tensor::zeros([1], (input.kind(), input.device())), |layer| layer.forward(input))
    }

    /// W(c) h + b(c).
    fn hyper(&self, h: &Tensor, context: &Tensor) -> Tensor {
        let (fan_in, out) = (h.size()[1], self.out);
        let weights = Self::linear(self.lin2.as_ref(), context);
        let matrix = weights.narrow(1, out, fan_in * out).view([-1, out, fan_in]);
        matrix.matmul(&h.unsqueeze(2)).squeeze_dim(2) + weights.narrow(1, 0, out)
    }
}

impl TimedLayer for Layer {
    fn forward(&self, h: &Tensor, context: &Tensor) -> Tensor {
        let lin1 = |h: &Tensor| Self::linear(self.lin1.as_ref(), h);
        let lin2 = |c: &Tensor| Self::linear(self.lin2.as_ref(), c);
        let lin3 = || Self::linear(self.lin3.as_ref(), context);
        match self.kind {
            LayerKind::ConcatSquash => lin1(h) * lin2(context).sigmoid() + lin3(),
            LayerKind::ConcatScale => lin1(h) * lin2(context) + lin3(),
            LayerKind::Concat => {
                let told = context.expand([h.size()[0], context.size()[1]], false);
                lin1(&Tensor::cat(&[told, h.shallow_clone()], 1))
            }
            LayerKind::ConcatV2 => lin1(h) + lin3(),
            LayerKind::Squash => lin1(h) * lin2(context).sigmoid(),
            LayerKind::Scale => lin1(h) * lin2(context),
            LayerKind::Hyper => self.hyper(h, context),
            LayerKind::Blend => {
                let first = lin1(h);
                (lin2(h) - &first) * context.narrow(1, 0, 1) + first
            }
            LayerKind::Gate => lin1(h) * lin2(h).sigmoid(),
            LayerKind::Ignore => lin1(h),
        }
    }
}

/// An unconditional network of layers, with an activation between them.
#[derive(Debug)]
pub struct LayerNetwork {
    layers: Vec<Box<dyn TimedLayer>>,
    activation: Activation,
}

impl LayerNetwork {
    /// A network of these layers. The parameters are those that the layers were made with.
    pub fn new(layers: Vec<Box<dyn TimedLayer>>, activation: Activation) -> Self {
        Self { layers, activation }
    }
}

impl VelocityModel for LayerNetwork {
    fn forward(&self, x: &Tensor, t: &Tensor, _condition: Option<&Tensor>) -> Tensor {
        let layers = self.layers.iter().map(|layer| layer.as_ref());
        run(layers, self.activation, x, &t.to_kind(x.kind()).unsqueeze(1), |_| None)
    }
}

/// The layers in turn, with the activation between them; `added(k)`, if anything, is added to the
/// output of layer k.
pub(crate) fn run<'a>(
    layers: impl Iterator<Item = &'a dyn TimedLayer>,
    activation: Activation,
    x: &Tensor,
    context: &Tensor,
    added: impl Fn(usize) -> Option<Tensor>,
) -> Tensor {
    layers.enumerate().fold(x.shallow_clone(), |h, (i, layer)| {
        let h = if i > 0 { activation.forward(&h) } else { h };
        let out = layer.forward(&h, context);
        added(i).map_or_else(|| out.shallow_clone(), |added| &out + added)
    })
}
