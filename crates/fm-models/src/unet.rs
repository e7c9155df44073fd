//! The U-Net of the guided-diffusion family, with the parameter names of torchcfm's `UNetModelWrapper`.
//!
//! Stages of residual blocks at falling resolution, with self-attention at chosen ones, mirrored with skip connections on the
//! way up; the time embedding is added in every residual block, the class embedding to the time embedding. Output
//! convolutions start at zero, so a fresh network predicts v = 0. Sources: Ho et al. 2020; Dhariwal and Nichol 2021.
//!
//! ```
//! use fm_models::{parameter_count, unet::UNetConfig, ModelConfig};
//! use tch::{Device, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! ModelConfig::Unet(UNetConfig::default()).build(&store.root())?;
//! assert_eq!(parameter_count(&store), 35_746_307); // the CIFAR-10 network of the flow-matching papers
//! # Ok::<(), fm_models::ModelError>(())
//! ```

use crate::config::{ModelError, require};
use crate::embedding;
use crate::layers::{GROUPS, GroupNorm, Start, class_table, conv, group_norm, linear, look_up};
use crate::resblock::{Block, attention, res_block};
use fm_core::tensor::VelocityModel;
use serde::{Deserialize, Serialize};
use tch::nn::{self, Module, Path};
use tch::{Kind, Tensor};

/// Sizes of the U-Net. The default is the CIFAR-10 network of 35,746,307 parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of the image.
    pub image_channels: i64,
    /// Height and width of the image, divisible by 2^(stages - 1).
    pub image_size: i64,
    /// Base width; widths are multiples of 32 for the group normalisation.
    pub channels: i64,
    /// Width multiple of each stage.
    pub channel_mult: Vec<i64>,
    /// Residual blocks per stage on the way down (one more on the way up).
    pub res_blocks: i64,
    /// Downsampling factors at which to attend: 2 is half resolution.
    pub attention_at: Vec<i64>,
    /// Channels of an attention head.
    pub head_channels: i64,
    /// Dropout in the residual blocks.
    pub dropout: f64,
    /// Number of classes; 0 is unconditional.
    pub classes: i64,
    /// Whether one more class stands for "no class".
    pub null_class: bool,
    /// What t in [0, 1] is multiplied by before its embedding.
    pub time_scale: f64,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            image_channels: 3,
            image_size: 32,
            channels: 128,
            channel_mult: vec![1, 2, 2, 2],
            res_blocks: 2,
            attention_at: vec![2],
            head_channels: 64,
            dropout: 0.1,
            classes: 0,
            null_class: false,
            time_scale: 1.0,
        }
    }
}

impl UNetConfig {
    fn validate(&self) -> Result<(), ModelError> {
        let check = |good, problem: String, remedy| require(good, "U-Net", problem, remedy);
        let stages = self.channel_mult.len() as u32;
        let positive = self.image_channels > 0 && self.channels > 0 && self.res_blocks > 0 && self.head_channels > 0;
        check(positive && self.classes >= 0, "a size is not positive".into(), "give sizes above 0")?;
        check((1..=8).contains(&stages), format!("channel_mult has {stages} entries"), "give between 1 and 8 stages")?;
        let widths = || self.channel_mult.iter().map(|m| m * self.channels);
        check(
            widths().all(|w| w > 0 && w % GROUPS == 0),
            format!("widths {:?}", widths().collect::<Vec<_>>()),
            "make channels a multiple of 32",
        )?;
        let factor = 1 << (stages - 1);
        let divides = self.image_size > 0 && self.image_size % factor == 0;
        check(
            divides,
            format!("image size {} is not divisible by {factor}", self.image_size),
            "use fewer stages in channel_mult",
        )?;
        let heads = widths().all(|w| w % self.head_channels == 0);
        check(
            heads,
            format!("head_channels {} does not divide every width", self.head_channels),
            "choose a divisor of channels",
        )?;
        check((0.0..1.0).contains(&self.dropout), format!("dropout {}", self.dropout), "choose it in [0, 1)")?;
        check(
            self.time_scale.is_finite() && self.time_scale != 0.0,
            format!("time_scale {}", self.time_scale),
            "use 1 or 1000",
        )
    }

    /// Kept for the backward pass: about sixteen maps a residual block, seven an attention block and its weights (calibrated on
    /// measured peaks).
    pub(crate) fn activations_per_sample(&self) -> i64 {
        let mut total = 0;
        for (stage, mult) in self.channel_mult.iter().enumerate() {
            let (factor, width) = (1 << stage, mult * self.channels);
            let area = (self.image_size / factor).pow(2);
            let mut block = 16 * width * area;
            if self.attention_at.contains(&factor) {
                block += 7 * width * area + area * area * width / self.head_channels;
            }
            total += block * (2 * self.res_blocks + 1);
        }
        total
    }
}

#[derive(Debug)]
struct UNet {
    config: UNetConfig,
    time: [nn::Linear; 2],
    label_emb: Option<nn::Embedding>,
    input_blocks: Vec<Vec<Block>>,
    middle_block: Vec<Block>,
    output_blocks: Vec<Vec<Block>>,
    out_norm: GroupNorm,
    out_conv: nn::Conv2D,
}

/// The parts that every block of one network shares.
struct Builder<'a, 'p> {
    p: &'a Path<'p>,
    c: &'a UNetConfig,
    emb: i64,
}

impl<'p> Builder<'_, 'p> {
    fn res(&self, p: Path<'p>, cin: i64, cout: i64) -> Block {
        Block::Res(Box::new(res_block(p, cin, cout, self.emb, self.c.dropout)))
    }

    fn attention(&self, p: Path<'p>, channels: i64) -> Block {
        Block::Attention(Box::new(attention(p, channels, channels / self.c.head_channels)))
    }

    /// The way down, and the width that each of its blocks hands to the way up.
    fn input_blocks(&self) -> (Vec<Vec<Block>>, Vec<i64>) {
        let (c, root) = (self.c, self.p / "input_blocks");
        let mut width = c.channels * c.channel_mult[0];
        let mut blocks = vec![vec![Block::Conv(conv(&root / 0 / 0, c.image_channels, width, 3, 1, Start::Default))]];
        let mut widths = vec![width];
        for (stage, mult) in c.channel_mult.iter().enumerate() {
            for _ in 0..c.res_blocks {
                let p = &root / blocks.len();
                let mut block = vec![self.res(&p / 0, width, mult * c.channels)];
                width = mult * c.channels;
                if c.attention_at.contains(&(1 << stage)) {
                    block.push(self.attention(&p / 1, width));
                }
                blocks.push(block);
                widths.push(width);
            }
            if stage + 1 < c.channel_mult.len() {
                let p = &root / blocks.len() / 0 / "op";
                blocks.push(vec![Block::Down(conv(p, width, width, 3, 2, Start::Default))]);
                widths.push(width);
            }
        }
        (blocks, widths)
    }

    fn output_blocks(&self, mut skips: Vec<i64>, mut width: i64) -> Vec<Vec<Block>> {
        let (c, root) = (self.c, self.p / "output_blocks");
        let mut blocks = Vec::new();
        for (stage, mult) in c.channel_mult.iter().enumerate().rev() {
            for i in 0..=c.res_blocks {
                let p = &root / blocks.len();
                let skip = skips.pop().unwrap_or(0);
                let mut block = vec![self.res(&p / 0, width + skip, mult * c.channels)];
                width = mult * c.channels;
                if c.attention_at.contains(&(1 << stage)) {
                    block.push(self.attention(&p / 1, width));
                }
                if stage > 0 && i == c.res_blocks {
                    block.push(Block::Up(conv(&p / block.len() / "conv", width, width, 3, 1, Start::Default)));
                }
                blocks.push(block);
            }
        }
        blocks
    }
}

pub(crate) fn unet(p: &Path<'_>, c: &UNetConfig) -> Result<impl VelocityModel + use<>, ModelError> {
    c.validate()?;
    let emb = 4 * c.channels;
    let build = Builder { p, c, emb };
    let time = [linear(p / "time_embed" / 0, c.channels, emb), linear(p / "time_embed" / 2, emb, emb)];
    let label_emb = (c.classes > 0).then(|| class_table(p / "label_emb", c.classes, c.null_class, emb, 1.0));
    let (input_blocks, widths) = build.input_blocks();
    let (first, deepest) = (widths[0], widths[widths.len() - 1]);
    let middle = p / "middle_block";
    let middle_block = vec![
        build.res(&middle / 0, deepest, deepest),
        build.attention(&middle / 1, deepest),
        build.res(&middle / 2, deepest, deepest),
    ];
    let output_blocks = build.output_blocks(widths, deepest);
    Ok(UNet {
        config: c.clone(),
        time,
        label_emb,
        input_blocks,
        middle_block,
        output_blocks,
        out_norm: group_norm(p / "out" / 0, first),
        out_conv: conv(p / "out" / 2, first, c.image_channels, 3, 1, Start::Zero),
    })
}

impl UNet {
    /// The time and class embedding through SiLU, as every residual block takes it.
    fn embed(&self, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let [first, second] = &self.time;
        let e = embedding::timestep(t, self.config.channels, self.config.time_scale).to_kind(first.ws.kind());
        let mut e = second.forward(&first.forward(&e).silu());
        let null = self.config.null_class.then_some(self.config.classes);
        if let Some(rows) = self.label_emb.as_ref().and_then(|table| look_up(table, condition, null, t)) {
            e += rows;
        }
        e.silu()
    }
}

impl VelocityModel for UNet {
    fn forward_t(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>, train: bool) -> Tensor {
        let emb = self.embed(t, condition);
        let run = |blocks: &[Block], h: Tensor| blocks.iter().fold(h, |h, block| block.forward(&h, &emb, train));
        let mut h = x.to_kind(emb.kind());
        let mut skips = Vec::with_capacity(self.input_blocks.len());
        for blocks in &self.input_blocks {
            h = run(blocks, h);
            skips.push(h.shallow_clone());
        }
        h = run(&self.middle_block, h);
        for (blocks, skip) in self.output_blocks.iter().zip(skips.iter().rev()) {
            h = run(blocks, Tensor::cat(&[&h, skip], 1));
        }
        self.out_conv.forward(&self.out_norm.forward(&h).silu()).to_kind(Kind::Float)
    }
}
