//! The interval h as an input of networks that predict mean velocities u(x, t, h): flow maps.
//!
//! The interval has a separate embedding, whose last layer starts at zero. A new network therefore
//! has the same output for every h as the network without an interval, and the weights of a flow
//! can initialise a flow map.
//!
//! | network | how h enters |
//! |---|---|
//! | transformers, U-Net | the sinusoidal embedding of h, after two linear layers with SiLU between them, is added to that of t |
//! | MLP, ConcatSquash | a multiple of h is added to the output of the first layer (MLP) or of each layer (ConcatSquash), before the activation; at h = 0 the network is the one without interval |
//! | DiT with [`decoder_blocks`](crate::dit::DitConfig::decoder_blocks) | no embedding: the last blocks and the output layer get the time t + h at the end of the interval in place of t |
//!
//! With `decoder_blocks`, the parameters are those of a flow, so a trained flow is a flow map
//! without further training, and a good one where its velocities change little. Source: Lee et al.,
//! "Decoupled MeanFlow: Turning Flow Models into Flow Maps for Accelerated Sampling" (2025).
//!
//! Parameters: `h_embedder.mlp` (transformers), `interval_embed` (U-Net), `interval` (MLP),
//! `layers.K.interval` (ConcatSquash). Source of the second embedding: Geng et al., "Mean Flows for
//! One-step Generative Modeling" (2025).

use crate::embedding::TimeEmbedding;
use crate::layers::{ZERO, linear_init};
use tch::Tensor;
use tch::nn::{self, Module, Path};

/// Names of parameters that only networks with an interval have.
pub(crate) const NAMES: [&str; 4] =
    ["h_embedder.mlp.0.weight", "interval_embed.0.weight", "interval.weight", "layers.0.interval.weight"];

/// Whether a parameter of this name belongs to the embedding of the interval.
pub(crate) fn owns(name: &str) -> bool {
    let of_a_layer = name.starts_with("layers.") && name.ends_with(".interval.weight");
    let embeds = name.starts_with("h_embedder.") || name.starts_with("interval_embed.");
    embeds || of_a_layer || name == "interval.weight"
}

/// An embedding that is added to the embedding of the time.
#[derive(Debug)]
pub(crate) struct IntervalEmbedding {
    first: nn::Linear,
    last: nn::Linear,
    embedding: TimeEmbedding,
}

impl IntervalEmbedding {
    /// Below `p`: `0`, which is `first`, and `2`.
    pub(crate) fn new(p: &Path<'_>, first: nn::Linear, width: i64, embedding: TimeEmbedding) -> Self {
        let last = linear_init(p / 2, first.ws.size()[0], width, ZERO, ZERO);
        Self { first, last, embedding }
    }

    /// Number of trainable values.
    pub(crate) fn parameters(frequencies: i64, width: i64) -> i64 {
        frequencies * width + width + width * width + width
    }

    /// The embedding e of the times t, plus that of the intervals h if the network takes them.
    pub(crate) fn add(this: Option<&Self>, e: Tensor, t: &Tensor, h: Option<&Tensor>) -> Tensor {
        match this {
            Some(interval) => e + interval.forward(h.unwrap_or(&t.zeros_like())),
            None => e,
        }
    }

    /// The embedding of intervals (B) or (1) as (B, width) or (1, width).
    pub(crate) fn forward(&self, h: &Tensor) -> Tensor {
        let e = self.embedding.embed(h, self.first.ws.size()[1]).to_kind(self.first.ws.kind());
        self.last.forward(&self.first.forward(&e).silu())
    }
}

/// A multiple of the interval, added to the output of a layer.
#[derive(Debug)]
pub(crate) struct IntervalColumn(nn::Linear);

impl IntervalColumn {
    pub(crate) fn new(p: Path<'_>, width: i64) -> Self {
        Self(nn::linear(p, 1, width, nn::LinearConfig { ws_init: ZERO, bs_init: None, bias: false }))
    }

    /// The values to add for intervals (B) or (1).
    pub(crate) fn forward(&self, h: &Tensor) -> Tensor {
        self.0.forward(&h.to_kind(self.0.ws.kind()).unsqueeze(1))
    }
}
