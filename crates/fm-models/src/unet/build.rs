//! Builds the U-Net's stages from a configuration, with the names of their parameters.

use super::attention::attention;
use super::blocks::{Block, Resample, res_block};
use super::{UNet, UNetConfig};
use crate::error::ModelError;
use crate::interval::IntervalEmbedding;
use crate::layers::{Start, class_table, conv, group_norm, linear};
use crate::network::{Activations, NetworkConfig};
use fm_core::tensor::VelocityModel;
use tch::nn::Path;

struct Builder<'a, 'p> {
    p: &'a Path<'p>,
    c: &'a UNetConfig,
}

impl<'p> Builder<'_, 'p> {
    fn res(&self, p: Path<'p>, cin: i64, cout: i64) -> Block {
        Block::Res(Box::new(res_block(p, cin, cout, self.c, None)))
    }

    fn attention(&self, p: Path<'p>, width: i64, up: bool) -> Block {
        Block::Attention(Box::new(attention(p, width, self.c.heads_at(width, up), self.c)))
    }

    /// A change of resolution that keeps the width; `resample` decides which parameters it has.
    fn resample(&self, p: Path<'p>, width: i64, resample: Resample) -> Block {
        let learned = |name: &str, stride| conv(&p / name, width, width, 3, stride, Start::Default);
        match (self.c.resblock_updown, self.c.conv_resample, resample) {
            (true, _, _) => Block::Res(Box::new(res_block(p, width, width, self.c, Some(resample)))),
            (false, false, _) => Block::Plain(resample),
            (false, true, Resample::Down) => Block::Down(learned("op", 2)),
            (false, true, Resample::Up) => Block::Up(learned("conv", 1)),
        }
    }

    /// The downward path, and the width of each of its skip connections.
    fn input_blocks(&self) -> (Vec<Vec<Block>>, Vec<i64>) {
        let (c, root) = (self.c, self.p / "input_blocks");
        let mut width = c.widths().next().unwrap_or(c.channels);
        let mut blocks = vec![vec![Block::Conv(conv(&root / 0 / 0, c.image_channels, width, 3, 1, Start::Default))]];
        let mut widths = vec![width];
        for (stage, next) in c.widths().enumerate() {
            for _ in 0..c.res_blocks {
                let p = &root / blocks.len();
                let mut block = vec![self.res(&p / 0, width, next)];
                width = next;
                if c.attention_at.contains(&(1 << stage)) {
                    block.push(self.attention(&p / 1, width, false));
                }
                blocks.push(block);
                widths.push(width);
            }
            if stage + 1 < c.channel_mult.len() {
                blocks.push(vec![self.resample(&root / blocks.len() / 0, width, Resample::Down)]);
                widths.push(width);
            }
        }
        (blocks, widths)
    }

    fn output_blocks(&self, mut skips: Vec<i64>, mut width: i64) -> Vec<Vec<Block>> {
        let (c, root) = (self.c, self.p / "output_blocks");
        let mut blocks = Vec::new();
        let stages: Vec<i64> = c.widths().collect();
        for (stage, next) in stages.iter().enumerate().rev() {
            for i in 0..=c.res_blocks {
                let p = &root / blocks.len();
                let skip = skips.pop().unwrap_or(0);
                let mut block = vec![self.res(&p / 0, width + skip, *next)];
                width = *next;
                if c.attention_at.contains(&(1 << stage)) {
                    block.push(self.attention(&p / 1, width, true));
                }
                if stage > 0 && i == c.res_blocks {
                    block.push(self.resample(&p / block.len(), width, Resample::Up));
                }
                blocks.push(block);
            }
        }
        blocks
    }
}

fn unet(p: &Path<'_>, c: &UNetConfig) -> Result<UNet, ModelError> {
    c.validate()?;
    let emb = 4 * c.channels;
    let build = Builder { p, c };
    let time = [linear(p / "time_embed" / 0, c.channels, emb), linear(p / "time_embed" / 2, emb, emb)];
    let label_emb = (c.classes > 0).then(|| class_table(p / "label_emb", c.classes, c.null_class, emb, 1.0));
    let (input_blocks, widths) = build.input_blocks();
    let (first, deepest) = (widths[0], widths[widths.len() - 1]);
    let middle = p / "middle_block";
    let mut middle_block = vec![build.res(&middle / 0, deepest, deepest)];
    if c.middle_attention {
        middle_block.push(build.attention(&middle / 1, deepest, false));
    }
    middle_block.push(build.res(&middle / middle_block.len(), deepest, deepest));
    let output_blocks = build.output_blocks(widths, deepest);
    let h = p / "interval_embed";
    let interval = c.interval.then(|| IntervalEmbedding::new(&h, linear(&h / 0, c.channels, emb), emb, c.time));
    Ok(UNet {
        config: c.clone(),
        time,
        interval,
        label_emb,
        input_blocks,
        middle_block,
        output_blocks,
        out_norm: group_norm(p / "out" / 0, first),
        out_conv: conv(p / "out" / 2, first, c.out_channels(), c.out_kernel, 1, Start::Zero),
    })
}

impl NetworkConfig for UNetConfig {
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
        Some(1 << self.channel_mult.len().saturating_sub(1).min(62))
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
        UNetConfig::validate(self)
    }

    fn parameters(&self) -> i64 {
        UNetConfig::parameters(self)
    }

    fn activations(&self) -> Activations {
        UNetConfig::activations(self)
    }

    fn ends(&self) -> [String; 2] {
        ["input_blocks.0.0.".into(), "out.2.".into()]
    }

    fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError> {
        Ok(Box::new(unet(path, self)?))
    }
}
