//! Weights of networks whose time runs the other way.
//!
//! Here t = 0 is noise and t = 1 is data. A network u(x, t) that was trained with data at t = 0
//! becomes v(x, t) = -u(x, 1 - t), which has the same paths and samples. Predictions of data, noise
//! and score keep their sign. Both changes are exact changes of weights:
//!
//! - the last layer is negated;
//! - the first layer of the time embedding takes the embedding of 1 - t, a rotation of
//!   that of t: cos(w (1 - t)) = cos w cos(w t) + sin w sin(w t) and
//!   sin(w (1 - t)) = sin w cos(w t) - cos w sin(w t), with w = scale f_k; the rotation is
//!   multiplied into its matrix;
//! - in a layer that takes t itself, W_t (1 - t) + b = -W_t t + (b + W_t).
//!
//! Reversing twice gives the original weights, to rounding.
//!
//! ```
//! use fm_core::prediction::Prediction;
//! use fm_core::tensor::VelocityModel;
//! use fm_models::{ModelConfig, interchange, mlp::MlpConfig, reverse::reverse_time};
//! use tch::{Device, Tensor, nn::VarStore};
//! let config = ModelConfig::Mlp(MlpConfig::default());
//! let (store, reversed) = (VarStore::new(Device::Cpu), VarStore::new(Device::Cpu));
//! let (u, v) = (config.build(&store.root())?, config.build(&reversed.root())?);
//! let weights = reverse_time(&config, &interchange::named(&store), Prediction::Velocity)?;
//! interchange::load(&reversed, "mlp", &weights)?;
//! let x = Tensor::from_slice(&[0.3f32, -1.0]).view([1, 2]);
//! let at = |t: f32| Tensor::from_slice(&[t]);
//! let difference = v.forward(&x, &at(0.2), None) + u.forward(&x, &at(0.8), None);
//! assert!(difference.abs().max().double_value(&[]) < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::embedding::{Divisor, Order, TimeEmbedding};
use crate::mlp::MlpConfig;
use crate::{ModelConfig, ModelError};
use fm_core::prediction::Prediction;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// The weights of the network whose time runs the other way.
///
/// # Errors
/// An invalid configuration, a network whose weights cannot express it (layers without a bias that
/// take t, and a rounded time with a scale that is not an integer), and weights of another network.
pub fn reverse_time(
    config: &ModelConfig,
    tensors: &BTreeMap<String, Tensor>,
    prediction: Prediction,
) -> Result<BTreeMap<String, Tensor>, ModelError> {
    if config.has_score() {
        return Err(refused(config, "it predicts a velocity and a score", "train it in this direction of time"));
    }
    // Sizes out of range are errors here.
    config.parameters()?;
    let mut out: BTreeMap<String, Tensor> = tensors.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
    let [_, last] = config.ends();
    let velocity = prediction == Prediction::Velocity;
    match config {
        ModelConfig::Unet(unet) => embedded(config, &mut out, "time_embed.0.weight", unet.time)?,
        ModelConfig::Dit(dit) => embedded(config, &mut out, "t_embedder.mlp.0.weight", dit.time)?,
        ModelConfig::Sequence(net) => embedded(config, &mut out, "t_embedder.mlp.0.weight", net.time)?,
        ModelConfig::Mlp(mlp) => raw(config, &mut out, mlp)?,
        // ConcatSquash, whose time enters layers without a bias, and networks that are not known
        // here.
        _ => {
            return Err(refused(config, "its time enters layers without a bias", "reverse the program that uses it"));
        }
    }
    if velocity {
        let names: Vec<String> = out.keys().filter(|name| name.starts_with(&last)).cloned().collect();
        if names.is_empty() {
            return Err(foreign(config, &last));
        }
        for name in names {
            let weight = out.get(&name).filter(|t| t.is_floating_point()).ok_or_else(|| foreign(config, &name))?;
            let negated = weight.neg();
            out.insert(name, negated);
        }
    }
    Ok(out)
}

fn refused(config: &ModelConfig, problem: &str, remedy: &'static str) -> ModelError {
    ModelError { model: config.kind(), problem: format!("time cannot be reversed in the weights: {problem}"), remedy }
}

fn foreign(config: &ModelConfig, name: &str) -> ModelError {
    refused(config, &format!("there is no fitting {name}"), "give the weights of this network")
}

/// Rotates the columns of a matrix that takes a time embedding.
fn embedded(
    config: &ModelConfig,
    tensors: &mut BTreeMap<String, Tensor>,
    name: &str,
    time: TimeEmbedding,
) -> Result<(), ModelError> {
    if time.integer && time.scale.fract() != 0.0 {
        return Err(refused(config, "it rounds times, and its scale is not an integer", "use an integer time.scale"));
    }
    let fits = |t: &&Tensor| t.dim() == 2 && t.size()[1] % 2 == 0 && t.size()[1] > 0 && t.is_floating_point();
    let matrix = tensors.get(name).filter(fits).ok_or_else(|| foreign(config, name))?;
    let half = matrix.size()[1] / 2;
    let divisor = match time.divisor {
        Divisor::Half => half,
        Divisor::HalfMinusOne => (half - 1).max(1),
    };
    let place = Tensor::arange(half, (Kind::Double, matrix.device()));
    let w = (place * (-(10_000f64.ln()) / divisor as f64)).exp() * time.scale;
    let (cos, sin, kind) = (w.cos(), w.sin(), matrix.kind());
    let halves = matrix.to_kind(Kind::Double).chunk(2, 1);
    let (of_cos, of_sin) = match time.order {
        Order::CosSin => (&halves[0], &halves[1]),
        Order::SinCos => (&halves[1], &halves[0]),
    };
    let new = [of_cos * &cos + of_sin * &sin, of_cos * &sin - of_sin * &cos];
    let [new_cos, new_sin] = new;
    let joined = match time.order {
        Order::CosSin => [new_cos, new_sin],
        Order::SinCos => [new_sin, new_cos],
    };
    tensors.insert(name.to_owned(), Tensor::cat(&joined, 1).to_kind(kind));
    Ok(())
}

/// Reverses the column of t in the first layer of an MLP on [x, t, ...].
fn raw(config: &ModelConfig, tensors: &mut BTreeMap<String, Tensor>, mlp: &MlpConfig) -> Result<(), ModelError> {
    let (weight, bias) = ("net.0.weight", "net.0.bias");
    let (dim, columns) = (mlp.dim, mlp.all_widths()[0]);
    let fits = |t: &&Tensor| t.dim() == 2 && t.size()[1] == columns && t.is_floating_point();
    let matrix = tensors.get(weight).filter(fits).ok_or_else(|| foreign(config, weight))?;
    let fits = |t: &&Tensor| t.size() == matrix.size()[..1] && t.is_floating_point();
    let offset = tensors.get(bias).filter(fits).ok_or_else(|| foreign(config, bias))?;
    let column = matrix.narrow(1, dim, 1);
    let shifted = offset + column.squeeze_dim(1);
    let parts = [matrix.narrow(1, 0, dim), -&column, matrix.narrow(1, dim + 1, matrix.size()[1] - dim - 1)];
    let turned = Tensor::cat(&parts, 1);
    tensors.insert(weight.to_owned(), turned);
    tensors.insert(bias.to_owned(), shifted);
    Ok(())
}
