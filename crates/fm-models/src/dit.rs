//! The diffusion transformer (DiT): patches, fixed positions, and blocks modulated by time and
//! class (adaLN-Zero).
//!
//! A block computes x += g1 Attention(LN(x) (1 + s1) + b1), then x += g2 MLP(LN(x) (1 + s2) + b2).
//! The values (b1, s1, g1, b2, s2, g2) are a linear layer of SiLU(c), where c is the sum of time
//! and class embedding. That linear layer and the output layer start at zero, so a new network
//! predicts v = 0. Source: Peebles and Xie, "Scalable Diffusion Models with Transformers" (2023).
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

use crate::embedding::{TimeEmbedding, positions_2d};
use crate::error::{ModelError, require};
use crate::layers::{ZERO, attend, buffer, class_table, gelu_tanh, linear_init, look_up};
use crate::network::{Activations, NetworkConfig, condition_kind};
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use serde::{Deserialize, Serialize};
use tch::nn::{self, Init, Module, Path};
use tch::{Device, Kind, Tensor};

/// Sizes of the transformer. The default is 768 x 12 x 12 with 2x2 patches: B/2 on CIFAR-10.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[doc(alias = "SiT")]
#[doc(alias = "DiTTransformer2DModel")]
pub struct DitConfig {
    /// Channels of the image.
    pub image_channels: i64,
    /// Height and width of the image, each divisible by the patch size.
    pub image_size: [i64; 2],
    /// Side of a patch in pixels.
    pub patch: i64,
    /// Width of a token, divisible by 4 and by the number of heads.
    pub width: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads.
    pub heads: i64,
    /// Number of classes; 0 is unconditional.
    pub classes: i64,
    /// Whether there is an additional null class.
    pub null_class: bool,
    /// Whether the network has additional variance outputs, which are not used.
    pub learn_sigma: bool,
    /// Whether the layer normalisations have a learned scale and shift before the modulation, as a
    /// plain `torch.nn.LayerNorm` has.
    pub affine_norm: bool,
    /// Whether GELU is x Phi(x) with the exact error function, instead of its tanh form.
    pub exact_gelu: bool,
    /// How t is embedded.
    pub time: TimeEmbedding,
}

impl Default for DitConfig {
    fn default() -> Self {
        Self {
            image_channels: 3,
            image_size: [32, 32],
            patch: 2,
            width: 768,
            depth: 12,
            heads: 12,
            classes: 0,
            null_class: false,
            learn_sigma: false,
            affine_norm: false,
            exact_gelu: false,
            time: TimeEmbedding::default(),
        }
    }
}

/// Width of the sinusoidal time embedding.
const FREQUENCIES: i64 = 256;

/// A published size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Its name; the patch size follows it, as in S/2.
    pub name: &'static str,
    /// Width of a token.
    pub width: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads.
    pub heads: i64,
}

/// The published sizes.
pub const SIZES: [Size; 4] = [
    Size { name: "S", width: 384, depth: 12, heads: 6 },
    Size { name: "B", width: 768, depth: 12, heads: 12 },
    Size { name: "L", width: 1024, depth: 24, heads: 16 },
    Size { name: "XL", width: 1152, depth: 28, heads: 16 },
];

impl DitConfig {
    /// A published size, for example `S/2` or `XL/4`; `None` for any other name.
    pub fn named(name: &str) -> Option<Self> {
        let (size, patch) = name.split_once('/')?;
        let Size { width, depth, heads, .. } = SIZES.into_iter().find(|known| known.name.eq_ignore_ascii_case(size))?;
        let patch = patch.parse().ok().filter(|patch| (1..=8).contains(patch))?;
        Some(Self { width, depth, heads, patch, ..Self::default() })
    }

    /// The transformer of a widespread training guide: 512 x 12 x 8, affine layer normalisations
    /// and the exact GELU.
    pub fn guide() -> Self {
        Self { width: 512, depth: 12, heads: 8, affine_norm: true, exact_gelu: true, ..Self::default() }
    }

    /// Patches along the height and the width.
    fn grid(&self) -> [i64; 2] {
        self.image_size.map(|size| size / self.patch)
    }

    fn out_channels(&self) -> i64 {
        self.image_channels * if self.learn_sigma { 2 } else { 1 }
    }
}

impl NetworkConfig for DitConfig {
    fn data_shape(&self) -> Vec<i64> {
        vec![self.image_channels, self.image_size[0], self.image_size[1]]
    }

    fn fit_to_images(&mut self, [channels, height, width]: [i64; 3], classes: i64, null_class: bool) {
        (self.image_channels, self.image_size) = (channels, [height, width]);
        (self.classes, self.null_class) = (classes, null_class);
    }

    fn classes(&self) -> i64 {
        self.classes
    }

    fn null_class(&self) -> bool {
        self.null_class
    }

    fn learns_sigma(&self) -> bool {
        self.learn_sigma
    }

    fn size_divisor(&self) -> Option<i64> {
        Some(self.patch)
    }

    fn validate(&self) -> Result<(), ModelError> {
        let check = |good, problem: String, remedy| require(good, "DiT", problem, remedy);
        let [height, width] = self.image_size;
        let sizes = [self.image_channels, height, width, self.patch, self.width, self.depth, self.heads];
        let patch = (1..=64).contains(&self.patch) && self.image_channels <= 1 << 12;
        let bounded = patch && sizes.iter().all(|s| (1..=1 << 16).contains(s)) && (0..1 << 31).contains(&self.classes);
        check(bounded, format!("sizes {sizes:?}"), "give sizes above 0 and below 65536, and patches of at most 64")?;
        check(
            height % self.patch == 0 && width % self.patch == 0,
            format!("patch {} does not divide image size {height} x {width}", self.patch),
            "choose a divisor",
        )?;
        let divides = self.width % 4 == 0 && self.width % self.heads == 0;
        check(
            divides,
            format!("width {} with {} heads", self.width, self.heads),
            "make the width a multiple of 4 and of the heads",
        )?;
        self.time.validate("DiT")
    }

    fn parameters(&self) -> i64 {
        let linear = |cin: i64, cout: i64| cin * cout + cout;
        let (w, pixels) = (self.width, self.patch * self.patch);
        let block = linear(w, 3 * w) + linear(w, w) + linear(w, 4 * w) + linear(4 * w, w) + linear(w, 6 * w);
        let ends = linear(self.image_channels * pixels, w) + linear(w, 2 * w) + linear(w, pixels * self.out_channels());
        let classes = if self.classes > 0 { (self.classes + i64::from(self.null_class)) * w } else { 0 };
        let norms = if self.affine_norm { (2 * self.depth + 1) * 2 * w } else { 0 };
        linear(FREQUENCIES, w) + linear(w, w) + classes + self.depth * block + ends + norms
    }

    fn activations(&self) -> Activations {
        let tokens = self.width * self.grid().iter().product::<i64>();
        let mut found = Activations::default();
        found.block(2 * tokens, tokens);
        for _ in 0..self.depth {
            // Two norms, modulated values, sums, q, k, v, heads, two projections, and four widths
            // of the MLP twice.
            found.block(20 * tokens, tokens);
        }
        found.block(2 * tokens, 0);
        found
    }

    fn ends(&self) -> [String; 2] {
        ["x_embedder.".into(), "final_layer.linear.".into()]
    }

    fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError> {
        Ok(Box::new(dit(path, self)?))
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
    final_norm: Norm,
    final_modulation: nn::Linear,
    final_linear: nn::Linear,
}

/// Scale and shift of a layer normalisation, if it has them.
#[derive(Debug)]
struct Norm(Option<nn::LayerNorm>);

#[derive(Debug)]
struct DitBlock {
    qkv: nn::Linear,
    proj: nn::Linear,
    fc1: nn::Linear,
    fc2: nn::Linear,
    norms: [Norm; 2],
    modulation: nn::Linear,
    heads: i64,
    exact_gelu: bool,
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

fn dit(p: &Path<'_>, c: &DitConfig) -> Result<impl VelocityModel + use<>, ModelError> {
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
            norms: ["norm1", "norm2"].map(|name| norm(&p / name, c)),
            modulation: zero(&p / "adaLN_modulation" / 1, w, 6 * w),
            heads: c.heads,
            exact_gelu: c.exact_gelu,
        }
    };
    let table = p / "y_embedder" / "embedding_table";
    Ok(Dit {
        config: c.clone(),
        patches: nn::conv2d(p / "x_embedder" / "proj", c.image_channels, w, c.patch, patch_config),
        positions: buffer(p, "pos_embed", &positions_2d(c.grid(), w, p.device())?),
        time: [linear_init(&time / 0, FREQUENCIES, w, small, ZERO), linear_init(&time / 2, w, w, small, ZERO)],
        classes: (c.classes > 0).then(|| class_table(table, c.classes, c.null_class, w, 0.02)),
        blocks: (0..c.depth).map(block).collect(),
        final_norm: norm(p / "final_layer" / "norm_final", c),
        final_modulation: zero(p / "final_layer" / "adaLN_modulation" / 1, w, 2 * w),
        final_linear: zero(p / "final_layer" / "linear", w, c.patch * c.patch * c.out_channels()),
    })
}

fn norm(p: Path<'_>, c: &DitConfig) -> Norm {
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

impl DitBlock {
    /// `c` is SiLU of the conditioning, computed once for all blocks.
    fn forward(&self, x: &Tensor, c: &Tensor) -> Tensor {
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

impl Dit {
    fn embed(&self, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let [first, second] = &self.time;
        let e = self.config.time.embed(t, FREQUENCIES).to_kind(first.ws.kind());
        let c = second.forward(&first.forward(&e).silu());
        let null = self.config.null_class.then_some(self.config.classes);
        match self.classes.as_ref().and_then(|table| look_up(table, condition, null, t)) {
            Some(rows) => (c + rows).silu(),
            None => c.silu(),
        }
    }

    /// (B, T, p p O) tokens to (B, O, H, W) pixels; a token holds (p, q, c).
    fn unpatchify(&self, tokens: &Tensor) -> Tensor {
        let ([rows, columns], patch, channels) = (self.config.grid(), self.config.patch, self.config.out_channels());
        let grid = tokens.view([-1, rows, columns, patch, patch, channels]);
        grid.permute([0, 5, 1, 3, 2, 4]).reshape([-1, channels, rows * patch, columns * patch])
    }

    fn run<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let (t, condition) = (t.shallow_clone(), condition.map(Tensor::shallow_clone));
        let c = tape.run(&[], move |_| self.embed(&t, condition.as_ref()));
        let x = x.to_kind(c.kind());
        let mut tokens = tape.run(&[], move |_| {
            self.patches.forward(&x).flatten(2, 3).transpose(1, 2) + self.positions.to_kind(x.kind())
        });
        for block in &self.blocks {
            tokens = tape.run(&[&tokens, &c], |inputs| block.forward(&inputs[0], &inputs[1]));
        }
        let out = tape.run(&[&tokens, &c], |inputs| {
            let m = self.final_modulation.forward(&inputs[1]).chunk(2, 1);
            self.final_linear.forward(&modulate(&self.final_norm, &inputs[0], &m[0], &m[1]))
        });
        self.unpatchify(&out).narrow(1, 0, self.config.image_channels).to_kind(Kind::Float)
    }
}

impl VelocityModel for Dit {
    fn device(&self) -> Device {
        self.final_linear.ws.device()
    }

    fn null_class(&self) -> Option<i64> {
        (self.config.classes > 0 && self.config.null_class).then_some(self.config.classes)
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        Some(condition_kind(self.config.classes, self.config.null_class, 0))
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        Some(vec![self.config.image_channels, self.config.image_size[0], self.config.image_size[1]])
    }

    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        self.run(&mut Tape::off(), x, t, condition)
    }

    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        self.run(tape, x, t, condition)
    }
}
