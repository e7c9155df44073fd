//! Configurations of networks from the names and shapes of their tensors.
//!
//! Settings that they do not determine (the number of heads, the image size, the scale of time) are
//! assumed, and listed as assumed.

use super::assume::{Assumption, network};
use super::names::family;
use crate::ModelConfig;
use crate::concat_squash::ConcatSquashConfig;
use crate::dit::{DitConfig, SIZES};
use crate::embedding::TimeEmbedding;
use crate::interval;
use crate::layers::Activation;
use crate::mlp::MlpConfig;
use crate::sequence::SequenceConfig;
use crate::unet::UNetConfig;
use std::collections::BTreeMap;
use tch::Tensor;

/// A configuration, and its assumed settings.
type Inferred = (ModelConfig, Vec<Assumption>);

const TIME: &str = "torchcfm and SiT take t in [0, 1] unscaled; DiT and DDPM were trained on steps 0..999, \
                    which is time.scale=1000";
const NULL_CLASS: &str = "a row more than a usual number of classes is the null class of classifier-free guidance";
const SIDE: &str = "a convolutional network takes any size: 28 for one channel and 32 otherwise are the usual ones";

/// Infers the network. `modules` are the classes of a pickled module.
pub(super) fn infer(tensors: &BTreeMap<String, Tensor>, modules: &[String]) -> Result<Inferred, String> {
    let shapes = Shapes { shapes: tensors.iter().map(|(name, t)| (name.as_str(), t.size())).collect() };
    let found = match family(shapes.shapes.keys().copied()) {
        Some("unet") => shapes.unet(),
        Some("dit") => shapes.dit(),
        Some("sequence") => shapes.sequence(),
        Some("mlp") => shapes.mlp(modules),
        Some("concat-squash") => shapes.concat_squash(),
        Some(_) => Err("it is an autoencoder, which `--latent` takes".into()),
        None => Err("their names are of no known network".into()),
    };
    let interval = interval::NAMES.iter().any(|name| shapes.has(name));
    found.map(|(config, assumed)| (config.with_intervals(interval), assumed))
}

struct Shapes<'a> {
    shapes: BTreeMap<&'a str, Vec<i64>>,
}

impl Shapes<'_> {
    fn has(&self, name: &str) -> bool {
        self.shapes.contains_key(name)
    }

    fn any(&self, prefix: &str) -> bool {
        self.shapes.range(prefix..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// The shape of a tensor of N dimensions.
    fn shape<const N: usize>(&self, name: &str) -> Result<[i64; N], String> {
        let shape = self.shapes.get(name).ok_or_else(|| format!("{name} is missing"))?;
        let positive = shape.iter().all(|n| *n > 0);
        let shape = <[i64; N]>::try_from(shape.as_slice()).ok().filter(|_| positive);
        shape.ok_or_else(|| format!("{name} has not {N} dimensions above 0"))
    }

    /// Number of consecutive indices from 0 for which `exists` holds.
    fn count(&self, exists: impl Fn(i64) -> bool) -> i64 {
        (0..).take_while(|i| exists(*i)).count() as i64
    }

    /// Number of classes, and whether the last row is the null class: assumed if the count is one
    /// more than that of a known data set.
    fn classes(&self, rows: i64, assumed: &mut Vec<Assumption>) -> (i64, bool) {
        let null = matches!(rows, 11 | 101 | 1001);
        assumed.push(network("null_class", null, NULL_CLASS));
        if null { (rows - 1, true) } else { (rows, false) }
    }

    fn unet(&self) -> Result<Inferred, String> {
        let [_, channels] = self.shape::<2>("time_embed.0.weight")?;
        let [first, image_channels, ..] = self.shape::<4>("input_blocks.0.0.weight")?;
        let [out, .., out_kernel] = self.shape::<4>("out.2.weight")?;
        let learn_sigma = learned_sigma(out, image_channels)?;
        let blocks = self.count(|i| self.any(&format!("output_blocks.{i}.")));
        let input = |i: i64, rest: &str| format!("input_blocks.{i}.{rest}");
        let up_at = |i: i64, rest: &str| (1..3).any(|j| self.has(&format!("output_blocks.{i}.{j}.{rest}")));
        let ups = |rest: &str| (0..blocks).filter(|i| up_at(*i, rest)).count() as i64;
        let (convolved, residual) = (ups("conv.weight"), ups("in_layers.0.weight"));
        // Resampling without parameters leaves gaps in the indices of the downward path.
        let gaps = (1..blocks).filter(|i| !self.any(&input(*i, ""))).count() as i64;
        let stages = 1 + convolved.max(residual).max(gaps);
        if blocks == 0 || blocks % stages != 0 || stages > 8 {
            return Err(format!("{blocks} output blocks do not divide into {stages} stages"));
        }
        let res_blocks = blocks / stages - 1;
        let (mut channel_mult, mut widths, mut attention_at) = (Vec::new(), Vec::new(), Vec::new());
        for stage in 0..stages {
            let block = 1 + stage * (res_blocks + 1);
            let [width] = self.shape::<1>(&input(block, "0.out_layers.0.weight"))?;
            channel_mult.push(width as f64 / channels as f64);
            widths.push(width);
            if self.has(&input(block, "1.norm.weight")) {
                attention_at.push(1 << stage);
            }
        }
        let head_channels = if widths.iter().all(|w| w % 64 == 0) { 64 } else { 0 };
        let side = if image_channels == 1 { 28 } else { 32 };
        let heads = "guided diffusion and torchcfm use 64 channels per head where they divide the widths";
        let mut assumed = vec![network("head_channels", head_channels, heads)];
        assumed.extend((head_channels == 0).then(|| network("heads", 1, heads)));
        assumed.push(network("image_size", format!("[{side}, {side}]"), SIDE));
        let order = "torchcfm and most of the family split q, k and v within each head";
        assumed.push(network("new_attention_order", false, order));
        assumed.push(network("time.scale", 1, TIME));
        let (classes, null_class) = match self.shape::<2>("label_emb.weight") {
            Ok([rows, _]) => self.classes(rows, &mut assumed),
            Err(_) => (0, false),
        };
        let [emb, _] = self.shape::<2>(&input(1, "0.emb_layers.1.weight"))?;
        let config = ModelConfig::Unet(UNetConfig {
            image_channels,
            image_size: [side, side],
            channels,
            scale_shift_norm: emb == 2 * first,
            resblock_updown: residual > 0,
            conv_resample: gaps == 0,
            channel_mult,
            res_blocks,
            attention_at,
            head_channels,
            classes,
            null_class,
            learn_sigma,
            middle_attention: self.has("middle_block.1.norm.weight"),
            out_kernel,
            ..UNetConfig::default()
        });
        Ok((config, assumed))
    }

    fn dit(&self) -> Result<Inferred, String> {
        let [width, image_channels, patch, _] = self.shape::<4>("x_embedder.proj.weight")?;
        let [out, _] = self.shape::<2>("final_layer.linear.weight")?;
        let pixels = patch.checked_mul(patch).and_then(|n| n.checked_mul(image_channels)).unwrap_or(i64::MAX);
        let learn_sigma = learned_sigma(out, pixels)?;
        let depth = self.count(|i| self.any(&format!("blocks.{i}.")));
        let published = SIZES.into_iter().find(|size| (size.width, size.depth) == (width, depth));
        let heads = published.map_or(if width % 64 == 0 { width / 64 } else { 1 }, |size| size.heads);
        let tokens = self.shape::<3>("pos_embed").map_or((32 / patch).pow(2), |[_, tokens, _]| tokens);
        let side = ((tokens as f64).sqrt().round() as i64).saturating_mul(patch);
        let classes = self.shape::<2>("y_embedder.embedding_table.weight").map_or(0, |[rows, _]| rows);
        let known = "the published sizes have this number; otherwise 64 channels per head";
        let mut assumed = vec![network("heads", heads, known), network("time.scale", 1, TIME)];
        assumed.push(network("image_size", format!("[{side}, {side}]"), "the number of positions, taken as a square"));
        // DiT always has a null class, unless it was trained without label dropout.
        let null_class = classes > 1;
        let dropout = "DiT's last row is the null class, unless it was trained without label dropout";
        assumed.extend((classes > 0).then(|| network("null_class", null_class, dropout)));
        let config = ModelConfig::Dit(DitConfig {
            image_channels,
            image_size: [side, side],
            patch,
            width,
            depth,
            heads,
            classes: classes - i64::from(null_class),
            null_class,
            learn_sigma,
            affine_norm: self.has("blocks.0.norm1.weight"),
            exact_gelu: false,
            time: TimeEmbedding::raw(),
            interval: false,
            score: false,
            decoder_blocks: 0,
        });
        Ok((config, assumed))
    }

    fn sequence(&self) -> Result<Inferred, String> {
        let [width, channels] = self.shape::<2>("x_embedder.weight")?;
        let depth = self.count(|i| self.any(&format!("blocks.{i}.")));
        let SequenceConfig { length, heads, .. } = SequenceConfig::default();
        let heads = if width % heads == 0 { heads } else { 1 };
        let mut assumed = vec![
            network("heads", heads, "the shapes do not determine it"),
            network("length", length, "positions are computed, for any length"),
            network("time.scale", 1, TIME),
        ];
        let rows = self.shape::<2>("y_embedder.embedding_table.weight").map_or(0, |[rows, _]| rows);
        let (classes, null_class) = if rows > 0 { self.classes(rows, &mut assumed) } else { (0, false) };
        let condition_dim = self.shape::<2>("c_embedder.0.weight").map_or(0, |[_, dim]| dim);
        let time = TimeEmbedding::raw();
        let config = SequenceConfig {
            length,
            channels,
            width,
            depth,
            heads,
            classes,
            null_class,
            condition_dim,
            time,
            interval: false,
        };
        Ok((ModelConfig::Sequence(config), assumed))
    }

    fn mlp(&self, modules: &[String]) -> Result<Inferred, String> {
        let layers = self.count(|i| self.has(&format!("net.{}.weight", 2 * i)));
        let mut widths = Vec::new();
        for i in 0..layers {
            widths.push(self.shape::<2>(&format!("net.{}.weight", 2 * i))?[0]);
        }
        let dim = widths.pop().unwrap_or(0);
        let [_, inputs] = self.shape::<2>("net.0.weight")?;
        if inputs != dim + 1 {
            return Err(format!("the MLP takes {inputs} values for {dim}; one more, the time, is known here"));
        }
        let saw = |name: &str| modules.iter().any(|class| class.ends_with(name));
        let (activation, told) = match (saw(".GELU"), saw(".SELU"), saw(".SiLU"), saw(".Tanh")) {
            (true, ..) => (Activation::Gelu, true),
            (_, true, ..) => (Activation::Selu, true),
            (_, _, true, _) => (Activation::Silu, true),
            (.., true) => (Activation::Tanh, true),
            _ => (Activation::Selu, false),
        };
        let why = "torchcfm's MLP has SELU; a whole pickled module names its activation";
        let assumed = if told { Vec::new() } else { vec![network("activation", "\"selu\"", why)] };
        Ok((ModelConfig::Mlp(MlpConfig { dim, widths, activation, ..MlpConfig::default() }), assumed))
    }

    fn concat_squash(&self) -> Result<Inferred, String> {
        let layers = self.count(|i| self.has(&format!("layers.{i}.lin1.weight")));
        let mut widths = Vec::new();
        for i in 0..layers {
            widths.push(self.shape::<2>(&format!("layers.{i}.lin1.weight"))?[0]);
        }
        let dim = widths.pop().unwrap_or(0);
        let mut assumed = Vec::new();
        let mut config = ConcatSquashConfig { dim, widths, ..ConcatSquashConfig::default() };
        if let Ok([rows, width]) = self.shape::<2>("label_emb.weight") {
            let (classes, null_class) = self.classes(rows, &mut assumed);
            config = ConcatSquashConfig { classes, null_class, class_width: width, ..config };
        }
        Ok((ModelConfig::ConcatSquash(config), assumed))
    }
}

/// Whether an output has a second half for the variance of each value of the input.
fn learned_sigma(output: i64, input: i64) -> Result<bool, String> {
    match output {
        n if n == input => Ok(false),
        n if Some(n) == input.checked_mul(2) => Ok(true),
        n => Err(format!("the network turns {input} values into {n}; once or twice as many are known here")),
    }
}
