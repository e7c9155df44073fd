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

use crate::adaln::{Block, BlockConfig, FREQUENCIES, Head, small, time_layers, xavier_bound};
use crate::embedding::{TimeEmbedding, positions_2d};
use crate::error::{ModelError, require};
use crate::interval::IntervalEmbedding;
use crate::layers::{ZERO, buffer, class_table, look_up};
use crate::network::{Activations, NetworkConfig, check_score, condition_kind, is_off, velocity_of, with_score};
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use serde::{Deserialize, Serialize};
use tch::nn::{self, Module, Path};
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
    /// Whether the network takes an interval ([`interval`](crate::interval)).
    #[serde(skip_serializing_if = "is_off")]
    pub interval: bool,
    /// Whether the second half of the output is the scaled score ([`bridge`](fm_core::bridge)).
    #[serde(skip_serializing_if = "is_off")]
    pub score: bool,
    /// Number of last blocks that get the end t + h of an interval instead of its start t, as does
    /// the output layer. The other blocks encode x at t, and these decode the mean velocity to
    /// t + h. The interval then has no embedding. 0: all blocks get t and an embedding of h.
    #[doc(alias = "decoupled MeanFlow")]
    #[doc(alias = "DMF")]
    pub decoder_blocks: i64,
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
            interval: false,
            score: false,
            decoder_blocks: 0,
        }
    }
}

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

    /// The settings of its blocks.
    fn blocks(&self) -> BlockConfig {
        BlockConfig { width: self.width, heads: self.heads, affine_norm: self.affine_norm, exact_gelu: self.exact_gelu }
    }

    /// Patches along the height and the width.
    fn grid(&self) -> [i64; 2] {
        self.image_size.map(|size| size / self.patch)
    }

    /// The first block that sees the end of an interval, if some do.
    fn first_decoder(&self) -> Option<usize> {
        (self.interval && self.decoder_blocks > 0).then_some((self.depth - self.decoder_blocks) as usize)
    }

    /// Whether the interval has an embedding.
    fn embeds_interval(&self) -> bool {
        self.interval && self.decoder_blocks == 0
    }

    fn out_channels(&self) -> i64 {
        self.image_channels * if self.learn_sigma || self.score { 2 } else { 1 }
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

    fn interval(&self) -> bool {
        self.interval
    }

    fn set_interval(&mut self, interval: bool) {
        self.interval = interval;
    }

    fn score(&self) -> bool {
        self.score
    }

    fn set_score(&mut self, score: bool) -> bool {
        self.score = score;
        true
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
        check(
            (0..=self.depth).contains(&self.decoder_blocks),
            format!("{} decoder blocks of {} blocks", self.decoder_blocks, self.depth),
            "give at most the number of blocks",
        )?;
        check_score("DiT", self.score, self.interval || self.learn_sigma)?;
        self.time.validate("DiT", self.interval)
    }

    fn parameters(&self) -> i64 {
        let (w, pixels) = (self.width, self.patch * self.patch);
        let patches = self.image_channels * pixels * w + w;
        let classes = if self.classes > 0 { (self.classes + i64::from(self.null_class)) * w } else { 0 };
        let interval = if self.embeds_interval() { IntervalEmbedding::parameters(FREQUENCIES, w) } else { 0 };
        patches + classes + interval + self.blocks().parameters(self.depth, pixels * self.out_channels())
    }

    fn activations(&self) -> Activations {
        self.blocks().activations(self.depth, self.grid().iter().product())
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
    interval: Option<IntervalEmbedding>,
    classes: Option<nn::Embedding>,
    blocks: Vec<Block>,
    head: Head,
}

fn dit(p: &Path<'_>, c: &DitConfig) -> Result<impl VelocityModel + use<>, ModelError> {
    c.validate()?;
    let w = c.width;
    let patch_dim = c.image_channels * c.patch * c.patch;
    let patch_config =
        nn::ConvConfig { stride: c.patch, ws_init: xavier_bound(patch_dim, w), bs_init: ZERO, ..Default::default() };
    let table = p / "y_embedder" / "embedding_table";
    let h = p / "h_embedder" / "mlp";
    let interval = || IntervalEmbedding::new(&h, small(&h / 0, FREQUENCIES, w), w, c.time);
    Ok(Dit {
        config: c.clone(),
        patches: nn::conv2d(p / "x_embedder" / "proj", c.image_channels, w, c.patch, patch_config),
        positions: buffer(p, "pos_embed", &positions_2d(c.grid(), w, p.device())?),
        time: time_layers(&(p / "t_embedder" / "mlp"), w),
        interval: c.embeds_interval().then(interval),
        classes: (c.classes > 0).then(|| class_table(table, c.classes, c.null_class, w, 0.02)),
        blocks: (0..c.depth).map(|i| Block::new(&(p / "blocks" / i), c.blocks())).collect(),
        head: Head::new(&(p / "final_layer"), c.blocks(), c.patch * c.patch * c.out_channels()),
    })
}

impl Dit {
    fn embed(&self, t: &Tensor, h: Option<&Tensor>, condition: Option<&Tensor>) -> Tensor {
        let [first, second] = &self.time;
        let e = self.config.time.embed(t, FREQUENCIES).to_kind(first.ws.kind());
        let c = second.forward(&first.forward(&e).silu());
        let c = IntervalEmbedding::add(self.interval.as_ref(), c, t, h);
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

    fn run<'a>(
        &'a self,
        tape: &mut Tape<'a>,
        x: &Tensor,
        t: &Tensor,
        h: Option<&Tensor>,
        condition: Option<&Tensor>,
    ) -> Tensor {
        let embedded = |tape: &mut Tape<'a>, t: &Tensor, h: Option<&Tensor>| {
            let [h, condition] = [h, condition].map(|given| given.map(Tensor::shallow_clone));
            let t = t.shallow_clone();
            tape.run(&[], move |_| self.embed(&t, h.as_ref(), condition.as_ref()))
        };
        let mut c = embedded(tape, t, h);
        let decoder = self.config.first_decoder().zip(h);
        let x = x.to_kind(c.kind());
        let mut tokens = tape.run(&[], move |_| {
            self.patches.forward(&x).flatten(2, 3).transpose(1, 2) + self.positions.to_kind(x.kind())
        });
        for (i, block) in self.blocks.iter().enumerate() {
            if let Some((_, h)) = decoder.filter(|(first, _)| *first == i) {
                c = embedded(tape, &(t + h), None);
            }
            tokens = tape.run(&[&tokens, &c], |inputs| block.forward(&inputs[0], &inputs[1]));
        }
        let out = tape.run(&[&tokens, &c], |inputs| self.head.forward(&inputs[0], &inputs[1]));
        let pixels = self.unpatchify(&out);
        let wanted = if self.config.score { pixels } else { pixels.narrow(1, 0, self.config.image_channels) };
        wanted.to_kind(Kind::Float)
    }

    /// All outputs.
    fn output<'a>(
        &'a self,
        tape: Option<&mut Tape<'a>>,
        x: &Tensor,
        t: &Tensor,
        condition: Option<&Tensor>,
        _train: bool,
    ) -> Tensor {
        self.run(tape.unwrap_or(&mut Tape::off()), x, t, None, condition)
    }
}

impl VelocityModel for Dit {
    fn device(&self) -> Device {
        self.head.device()
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
        velocity_of(self.run(&mut Tape::off(), x, t, None, condition), self.config.score)
    }

    fn takes_intervals(&self) -> bool {
        self.config.interval
    }

    fn mean_velocity(
        &self,
        x: &Tensor,
        t: &Tensor,
        h: &Tensor,
        condition: Option<&Tensor>,
        _train: bool,
    ) -> Option<Tensor> {
        self.config.interval.then(|| self.run(&mut Tape::off(), x, t, Some(h), condition))
    }

    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        velocity_of(self.run(tape, x, t, None, condition), self.config.score)
    }

    with_score!(config.score);
}
