//! Infers network and configuration from names and shapes of weights.
//!
//! Settings that they do not determine (the number of heads, the image size, the scale of time)
//! come from the metadata of a file that this library wrote; otherwise they are assumed, and listed
//! as assumed.

use super::names::family;
use super::{InterchangeError, Weights};
use crate::concat_squash::ConcatSquashConfig;
use crate::dit::{DitConfig, SIZES};
use crate::embedding::TimeEmbedding;
use crate::layers::Activation;
use crate::mlp::MlpConfig;
use crate::unet::UNetConfig;
use crate::{ModelConfig, ModelError};
use std::collections::BTreeMap;

/// A configuration, and its assumed settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// The network.
    pub config: ModelConfig,
    /// Settings that are determined neither by names, shapes nor metadata, as `key = value`.
    pub assumed: Vec<String>,
}

/// Recognises the network that weights belong to.
///
/// # Errors
/// [`InterchangeError::Unknown`] if names or shapes do not match any network of this crate.
pub fn recognise(weights: &Weights) -> Result<Recognised, InterchangeError> {
    let unknown = |problem: String| InterchangeError::Unknown { problem };
    let shapes: BTreeMap<&str, Vec<i64>> = weights.tensors.iter().map(|(n, t)| (n.as_str(), t.size())).collect();
    let seen = Shapes { shapes };
    let found = match weights.about.as_ref().and_then(|about| about.model.clone()) {
        Some(config) => Recognised { config, assumed: Vec::new() },
        None => {
            let kind = family(seen.shapes.keys().copied());
            let config = match kind {
                Some("unet") => seen.unet(),
                Some("dit") => seen.dit(),
                Some("mlp") => seen.mlp(&weights.modules),
                Some("concat-squash") => seen.concat_squash(),
                Some(_) => Err("it is an autoencoder, which `--latent` takes".into()),
                None => Err("their names are of no known network".into()),
            };
            config.map_err(unknown)?
        }
    };
    check_size(weights, &found.config)?;
    Ok(found)
}

/// Rejects a network that is much larger than the file. This bounds the memory for building a
/// network only to list the tensors that are missing in the file.
///
/// # Errors
/// [`InterchangeError::Unknown`] if the network would be more than twice the size of the weights.
pub fn check_size(weights: &Weights, config: &ModelConfig) -> Result<(), InterchangeError> {
    let held: usize = weights.tensors.values().map(tch::Tensor::numel).sum();
    let needed = config.parameters().map_err(|e: ModelError| InterchangeError::Unknown { problem: e.to_string() })?;
    if needed / 2 > held as i64 {
        let problem = format!("a {} of these sizes has {needed} values, they have {held}", config.kind());
        return Err(InterchangeError::Unknown { problem });
    }
    Ok(())
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
    fn classes(&self, rows: i64, assumed: &mut Vec<String>) -> (i64, bool) {
        let null = matches!(rows, 11 | 101 | 1001);
        assumed.push(format!("null_class = {null}"));
        if null { (rows - 1, true) } else { (rows, false) }
    }

    fn unet(&self) -> Result<Recognised, String> {
        let [_, channels] = self.shape::<2>("time_embed.0.weight")?;
        let [first, image_channels, ..] = self.shape::<4>("input_blocks.0.0.weight")?;
        let [out, ..] = self.shape::<4>("out.2.weight")?;
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
        let (mut channel_mult, mut attention_at) = (Vec::new(), Vec::new());
        for stage in 0..stages {
            let block = 1 + stage * (res_blocks + 1);
            let [width] = self.shape::<1>(&input(block, "0.out_layers.0.weight"))?;
            channel_mult.push(width / channels);
            if self.has(&input(block, "1.norm.weight")) {
                attention_at.push(1 << stage);
            }
        }
        let widths: Vec<i64> = channel_mult.iter().map(|m| m * channels).collect();
        let head_channels = if widths.iter().all(|w| w % 64 == 0) { 64 } else { 0 };
        let side = if image_channels == 1 { 28 } else { 32 };
        let mut assumed = vec![format!("head_channels = {head_channels}")];
        assumed.extend((head_channels == 0).then(|| "heads = 1".to_owned()));
        assumed.push(format!("image_size = [{side}, {side}]"));
        assumed.extend(["new_attention_order = false".to_owned(), "time.scale = 1".to_owned()]);
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
            learn_sigma: out == 2 * image_channels,
            ..UNetConfig::default()
        });
        Ok(Recognised { config, assumed })
    }

    fn dit(&self) -> Result<Recognised, String> {
        let [width, image_channels, patch, _] = self.shape::<4>("x_embedder.proj.weight")?;
        let [out, _] = self.shape::<2>("final_layer.linear.weight")?;
        let depth = self.count(|i| self.any(&format!("blocks.{i}.")));
        let published = SIZES.into_iter().find(|(_, w, d, _)| (*w, *d) == (width, depth));
        let heads = published.map_or(if width % 64 == 0 { width / 64 } else { 1 }, |(.., heads)| heads);
        let tokens = self.shape::<3>("pos_embed").map_or((32 / patch).pow(2), |[_, tokens, _]| tokens);
        let side = (tokens as f64).sqrt().round() as i64 * patch;
        let classes = self.shape::<2>("y_embedder.embedding_table.weight").map_or(0, |[rows, _]| rows);
        let mut assumed = vec![format!("heads = {heads}"), "time.scale = 1".into()];
        assumed.push(format!("image_size = [{side}, {side}]"));
        // DiT always has a null class, unless it was trained without label dropout.
        let null_class = classes > 1;
        assumed.extend((classes > 0).then(|| format!("null_class = {null_class}")));
        let config = ModelConfig::Dit(DitConfig {
            image_channels,
            image_size: [side, side],
            patch,
            width,
            depth,
            heads,
            classes: classes - i64::from(null_class),
            null_class,
            learn_sigma: out == 2 * patch * patch * image_channels,
            time: TimeEmbedding::raw(),
        });
        Ok(Recognised { config, assumed })
    }

    fn mlp(&self, modules: &[String]) -> Result<Recognised, String> {
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
        let assumed = if told { Vec::new() } else { vec!["activation = \"selu\"".into()] };
        Ok(Recognised {
            config: ModelConfig::Mlp(MlpConfig { dim, widths, activation, ..MlpConfig::default() }),
            assumed,
        })
    }

    fn concat_squash(&self) -> Result<Recognised, String> {
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
        Ok(Recognised { config: ModelConfig::ConcatSquash(config), assumed })
    }
}
