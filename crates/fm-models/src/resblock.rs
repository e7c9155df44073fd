//! The blocks of the U-Net: residual, attention, down and up.

use crate::layers::{GroupNorm, Start, attend, conv, conv1d, group_norm, linear};
use tch::Tensor;
use tch::nn::{self, Module, Path};

/// GroupNorm, SiLU, conv; plus the embedded time; GroupNorm, SiLU, dropout, zero conv; plus the (projected) input.
#[derive(Debug)]
pub(crate) struct ResBlock {
    in_norm: GroupNorm,
    in_conv: nn::Conv2D,
    emb: nn::Linear,
    out_norm: GroupNorm,
    out_conv: nn::Conv2D,
    skip: Option<nn::Conv2D>,
    dropout: f64,
}

pub(crate) fn res_block(p: Path<'_>, cin: i64, cout: i64, emb: i64, dropout: f64) -> ResBlock {
    ResBlock {
        in_norm: group_norm(&p / "in_layers" / 0, cin),
        in_conv: conv(&p / "in_layers" / 2, cin, cout, 3, 1, Start::Default),
        emb: linear(&p / "emb_layers" / 1, emb, cout),
        out_norm: group_norm(&p / "out_layers" / 0, cout),
        out_conv: conv(&p / "out_layers" / 3, cout, cout, 3, 1, Start::Zero),
        skip: (cin != cout).then(|| conv(&p / "skip_connection", cin, cout, 1, 1, Start::Default)),
        dropout,
    }
}

impl ResBlock {
    /// `emb` is already through SiLU, which every block would otherwise repeat.
    pub(crate) fn forward(&self, x: &Tensor, emb: &Tensor, train: bool) -> Tensor {
        let h = self.in_conv.forward(&self.in_norm.forward(x).silu());
        let h = h + self.emb.forward(emb).unsqueeze(-1).unsqueeze(-1);
        let mut h = self.out_norm.forward(&h).silu();
        if train && self.dropout > 0.0 {
            h = h.dropout(self.dropout, true);
        }
        let h = self.out_conv.forward(&h);
        match &self.skip {
            Some(skip) => skip.forward(x) + h,
            None => x + h,
        }
    }
}

/// Self-attention over positions; q, k and v are split per head (the family's "legacy" layout).
#[derive(Debug)]
pub(crate) struct Attention {
    norm: GroupNorm,
    qkv: nn::Conv1D,
    proj_out: nn::Conv1D,
    heads: i64,
}

pub(crate) fn attention(p: Path<'_>, channels: i64, heads: i64) -> Attention {
    Attention {
        norm: group_norm(&p / "norm", channels),
        qkv: conv1d(&p / "qkv", channels, 3 * channels, Start::Default),
        proj_out: conv1d(&p / "proj_out", channels, channels, Start::Zero),
        heads,
    }
}

impl Attention {
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let size = x.size();
        let (batch, channels) = (size[0], size[1]);
        let flat = x.reshape([batch, channels, -1]);
        let qkv = self.qkv.forward(&self.norm.forward(&flat));
        let qkv = qkv.view([batch, self.heads, 3 * channels / self.heads, -1]).transpose(2, 3).chunk(3, 3);
        let h = attend(&qkv[0], &qkv[1], &qkv[2]).transpose(2, 3).reshape([batch, channels, -1]);
        (flat + self.proj_out.forward(&h)).view(size.as_slice())
    }
}

/// One entry of a U-Net stage.
#[derive(Debug)]
pub(crate) enum Block {
    Conv(nn::Conv2D),
    Res(Box<ResBlock>),
    Attention(Box<Attention>),
    /// Halves the size by a strided convolution.
    Down(nn::Conv2D),
    /// Doubles the size by repetition, then convolves.
    Up(nn::Conv2D),
}

impl Block {
    pub(crate) fn forward(&self, x: &Tensor, emb: &Tensor, train: bool) -> Tensor {
        match self {
            Block::Conv(conv) | Block::Down(conv) => conv.forward(x),
            Block::Res(block) => block.forward(x, emb, train),
            Block::Attention(block) => block.forward(x),
            Block::Up(conv) => {
                let size = x.size();
                conv.forward(&x.upsample_nearest2d([2 * size[2], 2 * size[3]], None, None))
            }
        }
    }
}
