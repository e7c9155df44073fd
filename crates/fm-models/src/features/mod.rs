//! Feature extractors for measuring the quality of samples.
//!
//! | module | network | features | for |
//! |---|---|---|---|
//! | [`inception`] | Inception-v3 as used for FID | 2048 | FID; weights come from a file |
//! | [`resnet20`] | a ResNet-20 trained on CIFAR-10 | 64 | 32 x 32 colour images; weights are included |
//!
//! Images must be prepared as in the network's training. The networks run without gradients.

pub mod inception;
pub mod resnet20;

use crate::InterchangeError;
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn::{self, VarStore};

/// Outputs of a network for a batch of images.
#[derive(Debug)]
pub struct Extracted {
    /// (N, d), f32: the input of the last layer.
    pub features: Tensor,
    /// (N, classes), f32.
    pub logits: Tensor,
}

/// Loads weights into a network, ignoring the batch counters of normalisations.
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

/// A convolution without bias; its kernel may be non-square.
fn conv(p: nn::Path<'_>, from: i64, to: i64, kernel: [i64; 2], stride: i64, padding: [i64; 2]) -> nn::Conv<[i64; 2]> {
    let config =
        nn::ConvConfigND { stride: [stride; 2], padding, dilation: [1; 2], bias: false, ..nn::ConvConfigND::default() };
    nn::conv(p, from, to, kernel, config)
}

/// A batch normalisation with the statistics of training.
fn norm(p: nn::Path<'_>, channels: i64, eps: f64) -> nn::BatchNorm {
    nn::batch_norm2d(p, channels, nn::BatchNormConfig { eps, ..Default::default() })
}
