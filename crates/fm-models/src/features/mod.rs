//! Networks whose features say how good samples are.
//!
//! | module | network | features | for |
//! |---|---|---|---|
//! | [`inception`] | Inception-v3 as the FID protocol has it | 2048 | FID; weights come from a file |
//! | [`resnet20`] | a ResNet-20 trained on CIFAR-10 | 64 | 32 x 32 colour images; weights are here |
//!
//! They take images that are prepared as their training had them and are used without gradients.

pub mod inception;
pub mod resnet20;

use crate::InterchangeError;
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn::{self, VarStore};

/// What a network finds in images.
#[derive(Debug)]
pub struct Extracted {
    /// (N, d), f32: what its last layer sees.
    pub features: Tensor,
    /// (N, classes), f32.
    pub logits: Tensor,
}

/// Puts weights into a network; how many batches a normalisation has seen is of no use.
fn adopt(
    store: &mut VarStore,
    model: &'static str,
    mut tensors: BTreeMap<String, Tensor>,
) -> Result<(), InterchangeError> {
    tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
    crate::interchange::load(store, model, &tensors)?;
    store.freeze();
    Ok(())
}

/// A convolution without bias, as often as not of a kernel that is no square.
fn conv(p: nn::Path<'_>, from: i64, to: i64, kernel: [i64; 2], stride: i64, padding: [i64; 2]) -> nn::Conv<[i64; 2]> {
    let config =
        nn::ConvConfigND { stride: [stride; 2], padding, dilation: [1; 2], bias: false, ..nn::ConvConfigND::default() };
    nn::conv(p, from, to, kernel, config)
}

/// A normalisation by what training has seen.
fn norm(p: nn::Path<'_>, channels: i64, eps: f64) -> nn::BatchNorm {
    nn::batch_norm2d(p, channels, nn::BatchNormConfig { eps, ..Default::default() })
}
