//! The diffusion transformer: patches, fixed positions, and blocks modulated by time and class (adaLN-Zero).
//!
//! A block computes x += g1 Attention(LN(x) (1 + s1) + b1), then x += g2 MLP(LN(x) (1 + s2) + b2), where (b1, s1, g1, b2, s2, g2)
//! come from SiLU and a linear layer of c = time + class embedding. That layer and the output start at zero, so a
//! fresh network predicts v = 0. Source: Peebles and Xie, "Scalable Diffusion Models with Transformers" (2023).
//!
//! ```
//! use fm_models::{parameter_count, dit::DitConfig, ModelConfig};
//! use tch::{Device, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! let config = DitConfig { width: 384, heads: 6, classes: 10, null_class: true, ..DitConfig::default() };
//! ModelConfig::Dit(config).build(&store.root())?;
//! assert_eq!(parameter_count(&store), 32_475_660); // S/2 on CIFAR-10 pixels
//! # Ok::<(), fm_models::ModelError>(())
//! ```

use crate::config::{ModelError, require};
use crate::embedding;
use crate::layers::{ZERO, attend, class_table, linear_init, look_up};
use fm_core::tensor::VelocityModel;
use serde::{Deserialize, Serialize};
use tch::nn::{self, Init, Module, Path};
use tch::{Kind, Tensor};

/// Sizes of the transformer. The default is 768 x 12 x 12 with 2x2 patches: B/2 on CIFAR-10.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DitConfig {
    /// Channels of the image.
    pub image_channels: i64,
    /// Height and width of the image, divisible by the patch.
    pub image_size: i64,
    /// Side of a patch.
    pub patch: i64,
    /// Width of a token, divisible by 4 and by the heads.
    pub width: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads.
    pub heads: i64,
    /// Number of classes; 0 is unconditional.
    pub classes: i64,
    /// Whether one more class stands for "no class".
    pub null_class: bool,
    /// What t in [0, 1] is multiplied by before its embedding.
    pub time_scale: f64,
}

impl Default for DitConfig {
    fn default() -> Self {
        Self {
            image_channels: 3,
            image_size: 32,
            patch: 2,
            width: 768,
            depth: 12,
            heads: 12,
            classes: 0,
            null_class: false,
            time_scale: 1000.0,
        }
    }
}

/// Width of the sinusoidal time embedding.
const FREQUENCIES: i64 = 256;

impl DitConfig {
    fn validate(&self) -> Result<(), ModelError> {
        let check = |good, problem: String, remedy| require(good, "DiT", problem, remedy);
        let sizes = [self.image_channels, self.image_size, self.patch, self.width, self.depth, self.heads];
        check(sizes.iter().all(|s| *s > 0) && self.classes >= 0, format!("sizes {sizes:?}"), "give sizes above 0")?;
        let whole = self.image_size % self.patch == 0;
        check(
            whole,
            format!("patch {} does not divide image size {}", self.patch, self.image_size),
            "choose a divisor",
        )?;
        let divides = self.width % 4 == 0 && self.width % self.heads == 0;
        check(
            divides,
            format!("width {} with {} heads", self.width, self.heads),
            "make the width a multiple of 4 and of the heads",
        )?;
        check(
            self.time_scale.is_finite() && self.time_scale != 0.0,
            format!("time_scale {}", self.time_scale),
            "use 1 or 1000",
        )
    }

    fn side(&self) -> i64 {
        self.image_size / self.patch
    }

    /// Kept for the backward pass: about 28 token maps a block (calibrated on measured peaks).
    pub(crate) fn activations_per_sample(&self) -> i64 {
        28 * self.width * self.depth * self.side().pow(2)
    }
}

#[derive(Debug)]
struct Dit {
    config: DitConfig,
    patches: nn::Conv2D,
    positions: Tensor,
    time: [nn::Linear; 2],
    classes: Option<nn::Embedding>,
    blocks: Vec<DitBlock>,
    final_modulation: nn::Linear,
    final_linear: nn::Linear,
}

#[derive(Debug)]
struct DitBlock {
    qkv: nn::Linear,
    proj: nn::Linear,
    fc1: nn::Linear,
    fc2: nn::Linear,
    modulation: nn::Linear,
    heads: i64,
}

fn xavier(p: Path<'_>, fan_in: i64, out: i64) -> nn::Linear {
    linear_init(p, fan_in, out, xavier_bound(fan_in, out), ZERO)
}

fn xavier_bound(fan_in: i64, out: i64) -> Init {
    let bound = (6.0 / (fan_in + out) as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

fn zero(p: Path<'_>, fan_in: i64, out: i64) -> nn::Linear {
    linear_init(p, fan_in, out, ZERO, ZERO)
}

pub(crate) fn dit(p: &Path<'_>, c: &DitConfig) -> Result<impl VelocityModel + use<>, ModelError> {
    c.validate()?;
    let w = c.width;
    let small = Init::Randn { mean: 0.0, stdev: 0.02 };
    let patch_dim = c.image_channels * c.patch * c.patch;
    let patch_config =
        nn::ConvConfig { stride: c.patch, ws_init: xavier_bound(patch_dim, w), bs_init: ZERO, ..Default::default() };
    let time = p / "t_embedder" / "mlp";
    let block = |i: i64| {
        let p = p / "blocks" / i;
        DitBlock {
            qkv: xavier(&p / "attn" / "qkv", w, 3 * w),
            proj: xavier(&p / "attn" / "proj", w, w),
            fc1: xavier(&p / "mlp" / "fc1", w, 4 * w),
            fc2: xavier(&p / "mlp" / "fc2", 4 * w, w),
            modulation: zero(&p / "adaLN_modulation" / 1, w, 6 * w),
            heads: c.heads,
        }
    };
    let table = p / "y_embedder" / "embedding_table";
    Ok(Dit {
        config: c.clone(),
        patches: nn::conv2d(p / "x_embedder" / "proj", c.image_channels, w, c.patch, patch_config),
        positions: embedding::positions_2d(c.side(), w, p.device()),
        time: [linear_init(&time / 0, FREQUENCIES, w, small, ZERO), linear_init(&time / 2, w, w, small, ZERO)],
        classes: (c.classes > 0).then(|| class_table(table, c.classes, c.null_class, w, 0.02)),
        blocks: (0..c.depth).map(block).collect(),
        final_modulation: zero(p / "final_layer" / "adaLN_modulation" / 1, w, 2 * w),
        final_linear: zero(p / "final_layer" / "linear", w, patch_dim),
    })
}

/// LayerNorm without parameters (eps 1e-6, in f32), then x (1 + scale) + shift with one shift and scale per sample.
fn modulate(x: &Tensor, shift: &Tensor, scale: &Tensor) -> Tensor {
    let width = x.size()[2];
    let normed = x.to_kind(Kind::Float).layer_norm::<Tensor>([width], None, None, 1e-6, true).to_kind(x.kind());
    normed * (scale.unsqueeze(1) + 1.0) + shift.unsqueeze(1)
}

impl DitBlock {
    /// `c` is the conditioning through SiLU, which every block would otherwise repeat.
    fn forward(&self, x: &Tensor, c: &Tensor) -> Tensor {
        let m = self.modulation.forward(c).chunk(6, 1);
        let x = x + m[2].unsqueeze(1) * self.attention(&modulate(x, &m[0], &m[1]));
        let h = self.fc1.forward(&modulate(&x, &m[3], &m[4])).gelu("tanh");
        &x + m[5].unsqueeze(1) * self.fc2.forward(&h)
    }

    fn attention(&self, x: &Tensor) -> Tensor {
        let size = x.size();
        let (batch, tokens, width) = (size[0], size[1], size[2]);
        let qkv = self.qkv.forward(x).view([batch, tokens, 3, self.heads, width / self.heads]).permute([2, 0, 3, 1, 4]);
        let h = attend(&qkv.get(0), &qkv.get(1), &qkv.get(2));
        self.proj.forward(&h.transpose(1, 2).reshape([batch, tokens, width]))
    }
}

impl Dit {
    fn embed(&self, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let [first, second] = &self.time;
        let e = embedding::timestep(t, FREQUENCIES, self.config.time_scale).to_kind(first.ws.kind());
        let mut c = second.forward(&first.forward(&e).silu());
        let null = self.config.null_class.then_some(self.config.classes);
        if let Some(rows) = self.classes.as_ref().and_then(|table| look_up(table, condition, null, t)) {
            c += rows;
        }
        c.silu()
    }

    /// (B, T, p p C) tokens to (B, C, H, W) pixels; a token holds (p, q, c).
    fn unpatchify(&self, tokens: &Tensor) -> Tensor {
        let (side, patch, channels) = (self.config.side(), self.config.patch, self.config.image_channels);
        let size = side * patch;
        let grid = tokens.view([-1, side, side, patch, patch, channels]);
        grid.permute([0, 5, 1, 3, 2, 4]).reshape([-1, channels, size, size])
    }
}

impl VelocityModel for Dit {
    fn forward_t(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>, _train: bool) -> Tensor {
        let c = self.embed(t, condition);
        let patches = self.patches.forward(&x.to_kind(c.kind())).flatten(2, 3).transpose(1, 2);
        let tokens = patches + self.positions.to_kind(c.kind());
        let tokens = self.blocks.iter().fold(tokens, |x, block| block.forward(&x, &c));
        let m = self.final_modulation.forward(&c).chunk(2, 1);
        let out = self.final_linear.forward(&modulate(&tokens, &m[0], &m[1]));
        self.unpatchify(&out).to_kind(Kind::Float)
    }
}
