//! tch layers with PyTorch's initialisation, which differs from tch's defaults: weights and biases
//! are uniform on +-1/sqrt(fan in). Normalisations compute in f32 for any compute precision.

use fm_torch::forward_ad;
use fm_torch::group_norm::group_norm_silu;
use tch::nn::{self, Init, Module, Path};
use tch::{Kind, Tensor};

fn uniform(fan_in: i64) -> Init {
    let bound = 1.0 / (fan_in as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

pub(crate) const ZERO: Init = Init::Const(0.0);

/// A linear layer, initialised like `torch.nn.Linear`.
pub(crate) fn linear(p: Path<'_>, fan_in: i64, out: i64) -> nn::Linear {
    linear_init(p, fan_in, out, uniform(fan_in), uniform(fan_in))
}

/// The same without a bias.
pub(crate) fn linear_without_bias(p: Path<'_>, fan_in: i64, out: i64) -> nn::Linear {
    nn::linear(p, fan_in, out, nn::LinearConfig { ws_init: uniform(fan_in), bs_init: None, bias: false })
}

pub(crate) fn linear_init(p: Path<'_>, fan_in: i64, out: i64, ws_init: Init, bs_init: Init) -> nn::Linear {
    nn::linear(p, fan_in, out, nn::LinearConfig { ws_init, bs_init: Some(bs_init), bias: true })
}

/// A value that is saved with the weights but not trained.
pub(crate) fn buffer(p: &Path<'_>, name: &str, value: &Tensor) -> Tensor {
    let mut kept = p.zeros_no_train(name, &value.size());
    kept.copy_(value);
    kept
}

/// Initial weights of a convolution.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Start {
    /// Like `torch.nn.Conv2d`.
    Default,
    /// All zero, so that the block starts as the identity.
    Zero,
}

/// A square convolution that keeps the size at stride 1.
pub(crate) fn conv(p: Path<'_>, fan_in: i64, out: i64, kernel: i64, stride: i64, start: Start) -> nn::Conv2D {
    let init = if start == Start::Zero { ZERO } else { uniform(fan_in * kernel * kernel) };
    let config = nn::ConvConfig { stride, padding: kernel / 2, ws_init: init, bs_init: init, ..Default::default() };
    nn::conv2d(p, fan_in, out, kernel, config)
}

/// A pointwise convolution over positions, (c, T) to (out, T).
pub(crate) fn conv1d(p: Path<'_>, fan_in: i64, out: i64, start: Start) -> nn::Conv1D {
    let init = if start == Start::Zero { ZERO } else { uniform(fan_in) };
    nn::conv1d(p, fan_in, out, 1, nn::ConvConfig { ws_init: init, bs_init: init, ..Default::default() })
}

/// GroupNorm with 32 groups and eps 1e-5, computed in f32.
#[derive(Debug)]
pub(crate) struct GroupNorm(nn::GroupNorm);

pub(crate) const GROUPS: i64 = 32;
const EPS: f64 = 1e-5;

pub(crate) fn group_norm(p: Path<'_>, channels: i64) -> GroupNorm {
    GroupNorm(nn::group_norm(p, GROUPS, channels, nn::GroupNormConfig { eps: EPS, ..Default::default() }))
}

impl GroupNorm {
    /// SiLU of the normalised values, in one operator if there is one.
    pub(crate) fn silu(&self, x: &Tensor) -> Tensor {
        if let (Some(w), Some(b)) = (&self.0.ws, &self.0.bs)
            && !forward_ad::is_open()
            && let Ok(Some(y)) = group_norm_silu(x, GROUPS, w, b, EPS)
        {
            return y;
        }
        silu(self.forward(x))
    }
}

impl Module for GroupNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        if x.kind() == Kind::Float {
            return self.0.forward(x);
        }
        let affine = |t: &Option<Tensor>| t.as_ref().map(|t| t.to_kind(Kind::Float));
        let (w, b) = (affine(&self.0.ws), affine(&self.0.bs));
        x.to_kind(Kind::Float).group_norm(GROUPS, w, b, EPS, true).to_kind(x.kind())
    }
}

/// Converts (B, C, H, W) to the channels-last memory format; the values are the same.
pub(crate) fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// SiLU of a value that nothing else refers to: in place if no gradient needs the input.
pub(crate) fn silu(mut x: Tensor) -> Tensor {
    if x.requires_grad() {
        return x.silu();
    }
    x.silu_()
}

/// GELU in its tanh form: in place under the same condition.
pub(crate) fn gelu_tanh(mut x: Tensor) -> Tensor {
    if x.requires_grad() {
        return x.gelu("tanh");
    }
    x.gelu_("tanh")
}

fm_core::choice! {
    /// An activation function.
    #[derive(Eq)]
    pub enum Activation("activation") {
        /// x Phi(x), with the exact error function.
        Gelu = "gelu",
        /// lambda x for x > 0, lambda alpha (e^x - 1) below: torchcfm's two-dimensional networks.
        Selu = "selu",
        /// x sigmoid(x).
        Silu = "silu" | "swish",
        /// tanh(x).
        Tanh = "tanh",
        /// max(x, 0).
        Relu = "relu",
        /// x for x > 0, e^x - 1 below.
        Elu = "elu",
        /// ln(1 + e^x).
        Softplus = "softplus",
    }
}

impl Activation {
    pub(crate) fn forward(self, x: &Tensor) -> Tensor {
        match self {
            Activation::Gelu => x.gelu("none"),
            Activation::Selu => x.selu(),
            Activation::Silu => x.silu(),
            Activation::Tanh => x.tanh(),
            Activation::Relu => x.relu(),
            Activation::Elu => x.elu(),
            Activation::Softplus => x.softplus(),
        }
    }
}

/// softmax(q k' / sqrt(d)) v for q, k and v of (B, heads, T, d). Fused kernels need a last stride
/// of 1.
pub(crate) fn attend(qkv: &[Tensor]) -> Tensor {
    if forward_ad::is_open() {
        // Fused kernels have no forward-mode derivative.
        let scale = (qkv[0].size()[3] as f64).sqrt().recip();
        return (&qkv[0] * scale).matmul(&qkv[1].transpose(2, 3)).softmax(-1, qkv[0].kind()).matmul(&qkv[2]);
    }
    Tensor::scaled_dot_product_attention::<Tensor>(&qkv[0], &qkv[1], &qkv[2], None, 0.0, false, None, false)
}

/// An embedding table for classes, optionally with a last row for the null class.
pub(crate) fn class_table(p: Path<'_>, classes: i64, null_class: bool, width: i64, stdev: f64) -> nn::Embedding {
    let config = nn::EmbeddingConfig { ws_init: Init::Randn { mean: 0.0, stdev }, ..Default::default() };
    nn::embedding(p, classes + i64::from(null_class), width, config)
}

/// The rows of a class table for a batch; without classes, the null row if the table has one.
pub(crate) fn look_up(
    table: &nn::Embedding,
    condition: Option<&Tensor>,
    null_class: Option<i64>,
    like: &Tensor,
) -> Option<Tensor> {
    let null = || null_class.map(|class| Tensor::full([like.size()[0]], class, (Kind::Int64, like.device())));
    condition.map(Tensor::shallow_clone).or_else(null).map(|classes| table.forward(&classes))
}
