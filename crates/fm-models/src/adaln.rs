//! The parts of transformers that time and condition modulate (adaLN-Zero): the layers that embed
//! the time, the blocks, and the output layer. [`dit`](crate::dit) has the formula.

use crate::layers::{ZERO, attend, gelu_tanh, linear_init};
use crate::network::Activations;
use tch::nn::{self, Init, Module, Path};
use tch::{Device, Tensor};

/// Width of the sinusoidal time embedding.
pub(crate) const FREQUENCIES: i64 = 256;

/// The settings of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockConfig {
    /// Width of a token.
    pub(crate) width: i64,
    /// Attention heads.
    pub(crate) heads: i64,
    /// Whether the layer normalisations are affine (have a trained scale and shift).
    pub(crate) affine_norm: bool,
    /// Whether GELU is exact instead of in its tanh form.
    pub(crate) exact_gelu: bool,
}

/// Number of trainable values of a linear layer.
fn linear(fan_in: i64, out: i64) -> i64 {
    fan_in * out + out
}

impl BlockConfig {
    /// Number of trainable values of the time layers, of `depth` blocks and of the output layer.
    pub(crate) fn parameters(&self, depth: i64, out: i64) -> i64 {
        let w = self.width;
        let block = linear(w, 3 * w) + linear(w, w) + linear(w, 4 * w) + linear(4 * w, w) + linear(w, 6 * w);
        let norms = if self.affine_norm { (2 * depth + 1) * 2 * w } else { 0 };
        linear(FREQUENCIES, w) + linear(w, w) + depth * block + linear(w, 2 * w) + linear(w, out) + norms
    }

    /// Estimated number of values per sample that a training step stores for this many tokens.
    pub(crate) fn activations(&self, depth: i64, tokens: i64) -> Activations {
        let values = self.width.saturating_mul(tokens);
        let mut found = Activations::default();
        found.block(2 * values, values);
        for _ in 0..depth {
            // Two norms, modulated values, sums, q, k, v, heads, two projections, and four widths
            // of the MLP twice.
            found.block(20 * values, values);
        }
        found.block(2 * values, 0);
        found
    }
}

/// The two layers that embed the time, with SiLU between them.
pub(crate) fn time_layers(p: &Path<'_>, width: i64) -> [nn::Linear; 2] {
    [small(p / 0, FREQUENCIES, width), small(p / 2, width, width)]
}

/// A linear layer whose weights are drawn from N(0, .02^2).
pub(crate) fn small(p: Path<'_>, fan_in: i64, out: i64) -> nn::Linear {
    linear_init(p, fan_in, out, Init::Randn { mean: 0.0, stdev: 0.02 }, ZERO)
}

pub(crate) fn xavier(p: Path<'_>, fan_in: i64, out: i64) -> nn::Linear {
    linear_init(p, fan_in, out, xavier_bound(fan_in, out), ZERO)
}

pub(crate) fn xavier_bound(fan_in: i64, out: i64) -> Init {
    let bound = (6.0 / (fan_in + out) as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

fn zero(p: Path<'_>, fan_in: i64, out: i64) -> nn::Linear {
    linear_init(p, fan_in, out, ZERO, ZERO)
}

/// Scale and shift of a layer normalisation, if it has them.
#[derive(Debug)]
struct Norm(Option<nn::LayerNorm>);

fn norm(p: Path<'_>, c: BlockConfig) -> Norm {
    Norm(c.affine_norm.then(|| nn::layer_norm(p, vec![c.width], nn::LayerNormConfig::default())))
}

/// LayerNorm (eps 1e-6, statistics in f32), then x (1 + scale) + shift with one shift and scale per
/// sample.
fn modulate(norm: &Norm, x: &Tensor, shift: &Tensor, scale: &Tensor) -> Tensor {
    let width = x.size()[2];
    let (weight, bias) = norm.0.as_ref().map_or((None, None), |norm| (norm.ws.as_ref(), norm.bs.as_ref()));
    let normed = x.layer_norm([width], weight, bias, 1e-6, true);
    // One kernel instead of two.
    shift.unsqueeze(1).addcmul(&normed, &(scale.unsqueeze(1) + 1.0))
}

/// Attention and an MLP.
#[derive(Debug)]
pub(crate) struct Block {
    qkv: nn::Linear,
    proj: nn::Linear,
    fc1: nn::Linear,
    fc2: nn::Linear,
    norms: [Norm; 2],
    modulation: nn::Linear,
    heads: i64,
    exact_gelu: bool,
}

impl Block {
    pub(crate) fn new(p: &Path<'_>, c: BlockConfig) -> Self {
        let w = c.width;
        Self {
            qkv: xavier(p / "attn" / "qkv", w, 3 * w),
            proj: xavier(p / "attn" / "proj", w, w),
            fc1: xavier(p / "mlp" / "fc1", w, 4 * w),
            fc2: xavier(p / "mlp" / "fc2", 4 * w, w),
            norms: ["norm1", "norm2"].map(|name| norm(p / name, c)),
            modulation: zero(p / "adaLN_modulation" / 1, w, 6 * w),
            heads: c.heads,
            exact_gelu: c.exact_gelu,
        }
    }

    /// `c` is SiLU of the conditioning, computed once for all blocks.
    pub(crate) fn forward(&self, x: &Tensor, c: &Tensor) -> Tensor {
        let m = self.modulation.forward(c).chunk(6, 1);
        let [first, second] = &self.norms;
        let x = x.addcmul(&self.attention(&modulate(first, x, &m[0], &m[1])), &m[2].unsqueeze(1));
        let h = self.fc1.forward(&modulate(second, &x, &m[3], &m[4]));
        let h = if self.exact_gelu { h.gelu("none") } else { gelu_tanh(h) };
        x.addcmul(&self.fc2.forward(&h), &m[5].unsqueeze(1))
    }

    /// q, k and v of (B, T, C) tokens, each (B, heads, T, C / heads). They come from `unbind`,
    /// whose gradient is one stack; the gradient of three selects would be a sum of three
    /// zero-filled tensors.
    fn parts(&self, x: &Tensor) -> Vec<Tensor> {
        let size = x.size();
        let (batch, tokens, width) = (size[0], size[1], size[2]);
        let qkv = self.qkv.forward(x).view([batch, tokens, 3, self.heads, width / self.heads]);
        qkv.permute([2, 0, 3, 1, 4]).unbind(0)
    }

    fn attention(&self, x: &Tensor) -> Tensor {
        let h = attend(&self.parts(x));
        self.proj.forward(&h.transpose(1, 2).reshape(x.size()))
    }
}

/// The output layer.
#[derive(Debug)]
pub(crate) struct Head {
    norm: Norm,
    modulation: nn::Linear,
    linear: nn::Linear,
}

impl Head {
    pub(crate) fn new(p: &Path<'_>, c: BlockConfig, out: i64) -> Self {
        Self {
            norm: norm(p / "norm_final", c),
            modulation: zero(p / "adaLN_modulation" / 1, c.width, 2 * c.width),
            linear: zero(p / "linear", c.width, out),
        }
    }

    pub(crate) fn forward(&self, tokens: &Tensor, c: &Tensor) -> Tensor {
        let m = self.modulation.forward(c).chunk(2, 1);
        self.linear.forward(&modulate(&self.norm, tokens, &m[0], &m[1]))
    }

    pub(crate) fn device(&self) -> Device {
        self.linear.ws.device()
    }
}
