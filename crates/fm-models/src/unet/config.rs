//! Sizes and variants of the U-Net.

use crate::embedding::TimeEmbedding;
use crate::error::{ModelError, require};
use crate::interval::IntervalEmbedding;
use crate::layers::{Activation, GROUPS};
use crate::network::{check_score, is_off};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

/// Sizes and variants of the U-Net. The default is the CIFAR-10 network with 35,746,307 parameters
/// and unscaled time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[doc(alias = "UNetModelWrapper")]
#[doc(alias = "UNet2DModel")]
pub struct UNetConfig {
    /// Channels of the image.
    pub image_channels: i64,
    /// Height and width of the image, each divisible by 2^(stages - 1).
    pub image_size: [i64; 2],
    /// Base width; all widths are multiples of 32, because of the group normalisation.
    pub channels: i64,
    /// Width multiple of each stage, such as 1 or 0.5; the width is rounded down.
    #[serde(serialize_with = "whole_or_real")]
    pub channel_mult: Vec<f64>,
    /// Residual blocks per stage on the downward path (one more per stage on the upward path).
    pub res_blocks: i64,
    /// Downsampling factors with attention: 2 is half resolution.
    pub attention_at: Vec<i64>,
    /// Channels of an attention head; 0 to set the number of heads instead.
    pub head_channels: i64,
    /// Number of attention heads, if `head_channels` is 0.
    pub heads: i64,
    /// Number of attention heads on the upward path, if `head_channels` is 0; 0 for the same number
    /// as on the downward path.
    pub heads_up: i64,
    /// Whether q, k and v are split before the heads (the family's "new" order) or within each head
    /// (its "legacy" order).
    pub new_attention_order: bool,
    /// Whether the embedding scales and shifts the normalised values (FiLM) instead of being added
    /// before the normalisation.
    pub scale_shift_norm: bool,
    /// Whether separate residual blocks change the resolution.
    pub resblock_updown: bool,
    /// Whether up- and downsampling use convolutions; otherwise they repeat and average.
    pub conv_resample: bool,
    /// Dropout probability in the residual blocks.
    pub dropout: f64,
    /// Number of classes; 0 is unconditional.
    pub classes: i64,
    /// Whether there is an additional null class.
    pub null_class: bool,
    /// Whether the network has additional variance outputs, which are not used.
    pub learn_sigma: bool,
    /// How t is embedded.
    pub time: TimeEmbedding,
    /// Activation between the two layers of the time embedding.
    pub time_activation: Activation,
    /// Whether the middle has self-attention between its two residual blocks.
    pub middle_attention: bool,
    /// Side of the kernel of the output convolution: 3, or 1.
    pub out_kernel: i64,
    /// Whether activations use the channels-last memory format. The result is the same.
    pub channels_last: bool,
    /// Whether the network takes an interval ([`interval`](crate::interval)).
    #[serde(skip_serializing_if = "is_off")]
    pub interval: bool,
    /// Whether the second half of the output is the scaled score ([`bridge`](fm_core::bridge)).
    #[serde(skip_serializing_if = "is_off")]
    pub score: bool,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            image_channels: 3,
            image_size: [32, 32],
            channels: 128,
            channel_mult: vec![1.0, 2.0, 2.0, 2.0],
            res_blocks: 2,
            attention_at: vec![2],
            head_channels: 64,
            heads: 1,
            heads_up: 0,
            new_attention_order: false,
            scale_shift_norm: false,
            resblock_updown: false,
            conv_resample: true,
            dropout: 0.1,
            classes: 0,
            null_class: false,
            learn_sigma: false,
            time: TimeEmbedding::raw(),
            time_activation: Activation::Silu,
            middle_attention: true,
            out_kernel: 3,
            channels_last: false,
            interval: false,
            score: false,
        }
    }
}

/// Multiples as files had them when they were integers; the others as they are.
fn whole_or_real<S: Serializer>(multiples: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(multiples.len()))?;
    for multiple in multiples {
        if multiple.fract() == 0.0 && multiple.abs() < 1e9 {
            list.serialize_element(&(*multiple as i64))?;
        } else {
            list.serialize_element(multiple)?;
        }
    }
    list.end()
}

impl UNetConfig {
    pub(crate) fn validate(&self) -> Result<(), ModelError> {
        let check = |good, problem: String, remedy| require(good, "U-Net", problem, remedy);
        let stages = self.channel_mult.len() as u32;
        let counted = (1..=1 << 16).contains(&self.image_channels) && (0..1 << 31).contains(&self.classes);
        let given = format!("image_channels {} and classes {}", self.image_channels, self.classes);
        check(counted, given, "give 1 to 65536 channels, and classes from 0")?;
        check((1..=8).contains(&stages), format!("channel_mult has {stages} entries"), "give between 1 and 8 stages")?;
        let few = (1..=64).contains(&self.res_blocks);
        check(few, format!("res_blocks {}", self.res_blocks), "give at least 1 and at most 64")?;
        let bounded =
            (1..=1 << 16).contains(&self.channels) && self.channel_mult.iter().all(|m| *m > 0.0 && *m <= 64.0);
        let size = format!("channels {} and channel_mult {:?}", self.channels, self.channel_mult);
        check(bounded, size, "give at most 65536 channels and multiples above 0 and up to 64")?;
        let widths: Vec<i64> = self.widths().collect();
        check(
            widths.iter().all(|w| *w > 0 && w % GROUPS == 0),
            format!("widths {widths:?}"),
            "make channels a multiple of 32",
        )?;
        let sides = self.image_size.iter().all(|side| (1..=1 << 16).contains(side));
        check(sides, format!("image size {:?}", self.image_size), "give sides of 1 to 65536 pixels")?;
        let factor = 1 << (stages - 1);
        check(
            self.image_size.iter().all(|size| size % factor == 0),
            format!("image size {:?} is not divisible by {factor}", self.image_size),
            "use fewer stages in channel_mult",
        )?;
        self.validate_heads(&widths)?;
        let kernel = self.out_kernel == 1 || self.out_kernel == 3;
        check(kernel, format!("out_kernel {}", self.out_kernel), "choose 1 or 3")?;
        check((0.0..1.0).contains(&self.dropout), format!("dropout {}", self.dropout), "choose it in [0, 1)")?;
        check_score("U-Net", self.score, self.interval || self.learn_sigma)?;
        self.time.validate("U-Net", self.interval)
    }

    fn validate_heads(&self, widths: &[i64]) -> Result<(), ModelError> {
        let counts = [self.heads, self.heads_up, self.head_channels];
        let good = counts.iter().all(|n| *n >= 0) && (self.heads > 0 || self.head_channels > 0);
        let given = format!("heads {}, heads_up {}, head_channels {}", self.heads, self.heads_up, self.head_channels);
        require(good, "U-Net", given.clone(), "give heads or head_channels above 0")?;
        let divides = |width: &i64| {
            if self.head_channels > 0 {
                width % self.head_channels == 0
            } else {
                width % self.heads == 0 && width % self.heads_going_up() == 0
            }
        };
        let problem = format!("{given} do not divide every width");
        require(widths.iter().all(divides), "U-Net", problem, "choose a divisor of channels")
    }

    fn heads_going_up(&self) -> i64 {
        if self.heads_up > 0 { self.heads_up } else { self.heads }
    }

    /// Number of attention heads at a width, on the downward or upward path.
    pub(crate) fn heads_at(&self, width: i64, up: bool) -> i64 {
        match (self.head_channels, up) {
            (0, true) => self.heads_going_up(),
            (0, false) => self.heads,
            (channels, _) => width / channels,
        }
    }

    /// The width of each stage.
    pub(crate) fn widths(&self) -> impl Iterator<Item = i64> {
        // A multiple that is a rounded fraction must not lose a channel.
        self.channel_mult.iter().map(|m| (m * self.channels as f64 + 1e-6) as i64)
    }

    pub(crate) fn out_channels(&self) -> i64 {
        self.image_channels * if self.learn_sigma || self.score { 2 } else { 1 }
    }

    /// Number of trainable values, computed in the same order as the network is built.
    pub(crate) fn parameters(&self) -> i64 {
        let stages: Vec<i64> = self.widths().collect();
        let (emb, first) = (4 * self.channels, stages[0]);
        let conv = |cin: i64, cout: i64| 9 * cin * cout + cout;
        let linear = |cin: i64, cout: i64| cin * cout + cout;
        let res = |cin: i64, cout: i64| {
            let shifted = if self.scale_shift_norm { 2 * cout } else { cout };
            let skip = if cin == cout { 0 } else { linear(cin, cout) };
            2 * cin + conv(cin, cout) + linear(emb, shifted) + 2 * cout + conv(cout, cout) + skip
        };
        let attention = |w: i64| 2 * w + linear(w, 3 * w) + linear(w, w);
        let attends = |stage: usize| self.attention_at.contains(&(1 << stage));
        let resample = |w: i64| match (self.resblock_updown, self.conv_resample) {
            (true, _) => res(w, w),
            (false, true) => conv(w, w),
            (false, false) => 0,
        };
        let (mut total, mut width, mut skips) = (conv(self.image_channels, first), first, vec![first]);
        for (stage, next) in stages.iter().enumerate() {
            for _ in 0..self.res_blocks {
                total += res(width, *next) + if attends(stage) { attention(*next) } else { 0 };
                width = *next;
                skips.push(width);
            }
            if stage + 1 < stages.len() {
                total += resample(width);
                skips.push(width);
            }
        }
        total += 2 * res(width, width) + if self.middle_attention { attention(width) } else { 0 };
        for (stage, next) in stages.iter().enumerate().rev() {
            for i in 0..=self.res_blocks {
                total +=
                    res(width + skips.pop().unwrap_or(0), *next) + if attends(stage) { attention(*next) } else { 0 };
                width = *next;
                total += if stage > 0 && i == self.res_blocks { resample(width) } else { 0 };
            }
        }
        let classes = if self.classes > 0 { (self.classes + i64::from(self.null_class)) * emb } else { 0 };
        let out = self.out_kernel * self.out_kernel * first * self.out_channels() + self.out_channels();
        let interval = if self.interval { IntervalEmbedding::parameters(self.channels, emb) } else { 0 };
        total + interval + linear(self.channels, emb) + linear(emb, emb) + classes + 2 * first + out
    }
}
