//! Self-attention over the positions of a feature map: x + P softmax(q k' / sqrt(d)) v, with q, k
//! and v linear in GroupNorm(x).
//!
//! Positions are rows: (B, C, H, W) becomes (B, T, C) with T = H W before the projection. q, k and
//! v then have a last stride of 1, which every fused attention kernel needs; otherwise libtorch
//! stores the T x T scores of each head.

use super::config::UNetConfig;
use crate::layers::{GroupNorm, Start, attend, channels_last, conv1d, group_norm};
use tch::Tensor;
use tch::nn::{self, Module, Path};

/// Self-attention over positions.
#[derive(Debug)]
pub(crate) struct Attention {
    norm: GroupNorm,
    qkv: nn::Conv1D,
    proj_out: nn::Conv1D,
    heads: i64,
    new_order: bool,
    channels_last: bool,
}

pub(crate) fn attention(p: Path<'_>, channels: i64, heads: i64, c: &UNetConfig) -> Attention {
    Attention {
        norm: group_norm(&p / "norm", channels),
        qkv: conv1d(&p / "qkv", channels, 3 * channels, Start::Default),
        proj_out: conv1d(&p / "proj_out", channels, channels, Start::Zero),
        heads,
        new_order: c.new_attention_order,
        channels_last: c.channels_last,
    }
}

/// A pointwise convolution with weight (out, in, 1), applied to rows (B, T, in).
fn project(layer: &nn::Conv1D, rows: &Tensor) -> Tensor {
    rows.linear(&layer.ws.squeeze_dim(-1), layer.bs.as_ref())
}

impl Attention {
    /// q, k and v of (B, C, T) values, each (B, heads, T, C / heads).
    fn parts(&self, flat: &Tensor) -> Vec<Tensor> {
        let size = flat.size();
        let (batch, channels, positions) = (size[0], size[1], size[2]);
        let rows = self.norm.forward(flat).transpose(1, 2).contiguous();
        let qkv = project(&self.qkv, &rows);
        let width = channels / self.heads;
        // The legacy order stores q, k and v of each head together; the new order stores q of all
        // heads, then k, then v.
        let parts = if self.new_order {
            qkv.view([batch, positions, 3, self.heads, width]).unbind(2)
        } else {
            qkv.view([batch, positions, self.heads, 3, width]).unbind(3)
        };
        parts.iter().map(|part| part.transpose(1, 2)).collect()
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let size = x.size();
        let (batch, channels) = (size[0], size[1]);
        let positions: i64 = size[2..].iter().product();
        let flat = x.reshape([batch, channels, positions]);
        let h = attend(&self.parts(&flat)).transpose(1, 2).reshape([batch, positions, channels]);
        let out = (&flat + project(&self.proj_out, &h).transpose(1, 2)).view(size.as_slice());
        if self.channels_last { channels_last(&out) } else { out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_torch::profile::Profile;
    use tch::{Device, Kind};

    fn built(new_order: bool, kind: Kind) -> (nn::VarStore, Attention) {
        let mut store = nn::VarStore::new(Device::Cpu);
        let config = UNetConfig { new_attention_order: new_order, ..UNetConfig::default() };
        let block = attention(store.root(), 128, 2, &config);
        store.set_kind(kind);
        (store, block)
    }

    fn input(kind: Kind) -> Tensor {
        Tensor::arange(2 * 128 * 64, (Kind::Float, Device::Cpu)).sin().view([2, 128, 8, 8]).to_kind(kind)
    }

    #[test]
    fn queries_keys_and_values_are_contiguous_in_their_last_dimension() {
        for new_order in [false, true] {
            let (_store, block) = built(new_order, Kind::Float);
            for part in block.parts(&input(Kind::Float).flatten(2, 3)) {
                assert_eq!(part.size(), [2, 2, 64, 64]);
                assert_eq!(part.stride().last(), Some(&1), "new order {new_order}");
            }
        }
    }

    /// The formula, computed head by head, with explicit indices for the channels of q, k and v.
    #[test]
    fn both_orders_are_the_formula() {
        for new_order in [false, true] {
            let (_store, block) = built(new_order, Kind::Double);
            let flat = input(Kind::Double).flatten(2, 3);
            let channels = block.qkv.forward(&block.norm.forward(&flat));
            let parts = block.parts(&flat);
            for (part, head) in (0..3).flat_map(|part| [(part, 0), (part, 1)]) {
                let first = 64 * if new_order { 2 * part + head } else { 3 * head + part };
                let want = channels.narrow(1, first, 64).transpose(1, 2);
                let off = (parts[part as usize].select(1, head) - want).abs().max().double_value(&[]);
                assert!(off < 1e-12, "part {part}, head {head}, new order {new_order}: off by {off}");
            }
        }
    }

    #[test]
    fn attention_runs_in_a_fused_kernel() {
        for (kind, new_order) in [(Kind::Float, false), (Kind::Float, true), (Kind::BFloat16, false)] {
            let (_store, block) = built(new_order, kind);
            let profile = Profile::start(Device::Cpu).unwrap();
            let x = input(kind).set_requires_grad(true);
            block.forward(&x).square().sum(Kind::Float).backward();
            let trace = String::from_utf8(profile.finish().unwrap()).unwrap();
            for name in ["_scaled_dot_product_flash_attention_for_cpu", "_for_cpu_backward"] {
                assert!(trace.contains(name), "{name} in {kind:?}, new order {new_order}");
            }
            assert!(!trace.contains("_scaled_dot_product_attention_math"), "{kind:?}, new order {new_order}");
        }
    }
}
