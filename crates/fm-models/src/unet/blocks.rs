//! The blocks of the U-Net: residual, down and up.

use super::attention::Attention;
use super::config::UNetConfig;
use crate::layers::{GroupNorm, Start, conv, group_norm, linear, silu};
use tch::Tensor;
use tch::nn::{self, Module, Path};

/// A change of resolution by a factor of two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Resample {
    /// Average of each 2 x 2 block.
    Down,
    /// Each value repeated in a 2 x 2 block.
    Up,
}

impl Resample {
    pub(crate) fn forward(self, x: &Tensor) -> Tensor {
        match self {
            Resample::Down => x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
            Resample::Up => {
                let size = x.size();
                x.upsample_nearest2d([2 * size[2], 2 * size[3]], None, None)
            }
        }
    }
}

/// GroupNorm, SiLU, (resampling,) conv; the embedded time, added or as scale and shift; GroupNorm,
/// SiLU, dropout, zero conv; plus the (resampled, projected) input.
#[derive(Debug)]
pub(crate) struct ResBlock {
    in_norm: GroupNorm,
    in_conv: nn::Conv2D,
    emb: nn::Linear,
    out_norm: GroupNorm,
    out_conv: nn::Conv2D,
    skip: Option<nn::Conv2D>,
    dropout: f64,
    scale_shift: bool,
    resample: Option<Resample>,
}

pub(crate) fn res_block(p: Path<'_>, cin: i64, cout: i64, c: &UNetConfig, resample: Option<Resample>) -> ResBlock {
    let emb = if c.scale_shift_norm { 2 * cout } else { cout };
    ResBlock {
        in_norm: group_norm(&p / "in_layers" / 0, cin),
        in_conv: conv(&p / "in_layers" / 2, cin, cout, 3, 1, Start::Default),
        emb: linear(&p / "emb_layers" / 1, 4 * c.channels, emb),
        out_norm: group_norm(&p / "out_layers" / 0, cout),
        out_conv: conv(&p / "out_layers" / 3, cout, cout, 3, 1, Start::Zero),
        skip: (cin != cout).then(|| conv(&p / "skip_connection", cin, cout, 1, 1, Start::Default)),
        dropout: c.dropout,
        scale_shift: c.scale_shift_norm,
        resample,
    }
}

impl ResBlock {
    /// `emb` is SiLU of the embedding, computed once for all blocks.
    pub(crate) fn forward(&self, x: &Tensor, emb: &Tensor, train: bool) -> Tensor {
        let h = self.in_norm.silu(x);
        let resampled = self.resample.map(|r| (r.forward(x), r.forward(&h)));
        let (x, h) = resampled.as_ref().map_or((x, &h), |(x, h)| (x, h));
        let mut h = self.in_conv.forward(h);
        let emb = self.emb.forward(emb).unsqueeze(-1).unsqueeze(-1);
        let mut h = if self.scale_shift {
            let halves = emb.chunk(2, 1);
            silu(self.out_norm.forward(&h) * (&halves[0] + 1.0) + &halves[1])
        } else {
            // In place, because the backward pass of a convolution does not need its output.
            let _ = h.g_add_(&emb);
            self.out_norm.silu(&h)
        };
        if train && self.dropout > 0.0 {
            h = h.dropout(self.dropout, true);
        }
        let mut h = self.out_conv.forward(&h);
        let _ = h.g_add_(&self.skip.as_ref().map_or_else(|| x.shallow_clone(), |skip| skip.forward(x)));
        h
    }
}

/// One entry of a U-Net stage.
#[derive(Debug)]
pub(crate) enum Block {
    Conv(nn::Conv2D),
    Res(Box<ResBlock>),
    Attention(Box<Attention>),
    /// Halves the size with a strided convolution.
    Down(nn::Conv2D),
    /// Doubles the size by repetition, then applies a convolution.
    Up(nn::Conv2D),
    /// Changes the size without parameters.
    Plain(Resample),
}

impl Block {
    pub(crate) fn forward(&self, x: &Tensor, emb: &Tensor, train: bool) -> Tensor {
        match self {
            Block::Conv(conv) | Block::Down(conv) => conv.forward(x),
            Block::Res(block) => block.forward(x, emb, train),
            Block::Attention(block) => block.forward(x),
            Block::Up(conv) => conv.forward(&Resample::Up.forward(x)),
            Block::Plain(resample) => resample.forward(x),
        }
    }
}
