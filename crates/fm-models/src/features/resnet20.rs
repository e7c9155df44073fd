//! A ResNet-20 for CIFAR-10: three stages of three blocks at 16, 32 and 64 channels, shortcuts
//! without parameters (every second pixel, channels padded with zeros on both sides), and a mean
//! over 8 x 8 positions. 8.27 % error on the test set. Source: He et al., "Deep residual learning
//! for image recognition" (2016), section 4.2, option A; weights by Y. Idelbayev (BSD-2-Clause,
//! `assets/LICENSE-resnet20`).
//!
//! ```
//! use fm_models::features::resnet20::{Resnet20, prepare};
//! use tch::{Device, Kind, Tensor};
//! let network = Resnet20::new(Device::Cpu)?;
//! let black = Tensor::zeros([2, 3, 32, 32], (Kind::Uint8, Device::Cpu));
//! let found = network.extract(&prepare(&black));
//! assert_eq!((found.features.size(), found.logits.size()), (vec![2, 64], vec![2, 10]));
//! assert!(found.features.min().double_value(&[]) >= 0.0);
//! # Ok::<(), fm_models::InterchangeError>(())
//! ```

use super::{Extracted, adopt, conv, norm};
use crate::{InterchangeError, expect, interchange};
use std::path::Path;
use tch::nn::{self, Module, ModuleT, VarStore};
use tch::{Device, Kind, Tensor, no_grad};

/// The file with the weights, embedded in this crate.
pub const WEIGHTS: &[u8] = include_bytes!("../../assets/resnet20-12fca82f.safetensors");

/// Number of features per image.
pub const FEATURES: usize = 64;
/// Number of classes of CIFAR-10.
pub const CLASSES: usize = 10;

/// Channel means and standard deviations of ImageNet, which the network was trained with.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// The network with its weights.
#[derive(Debug)]
pub struct Resnet20 {
    store: VarStore,
    first: (nn::Conv<[i64; 2]>, nn::BatchNorm),
    blocks: Vec<Block>,
    last: nn::Linear,
}

#[derive(Debug)]
struct Block {
    convs: [(nn::Conv<[i64; 2]>, nn::BatchNorm); 2],
    /// Number of zero channels to pad with, if the block halves the size.
    fill: Option<i64>,
}

impl Resnet20 {
    /// Builds the network with its weights.
    ///
    /// # Errors
    /// Only if the embedded weights are damaged.
    pub fn new(device: Device) -> Result<Self, InterchangeError> {
        let mut store = VarStore::new(device);
        let root = store.root();
        let layer = |p: &nn::Path<'_>, k: i64, from: i64, to: i64, stride: i64| {
            (conv(p / format!("conv{k}"), from, to, [3; 2], stride, [1; 2]), norm(p / format!("bn{k}"), to, 1e-5))
        };
        let mut blocks = Vec::new();
        let mut from = 16;
        for (stage, to) in [(1, 16), (2, 32), (3, 64)] {
            for k in 0..3 {
                let p = &root / format!("layer{stage}") / k;
                let stride = if from == to { 1 } else { 2 };
                let convs = [layer(&p, 1, from, to, stride), layer(&p, 2, to, to, 1)];
                blocks.push(Block { convs, fill: (from != to).then_some((to - from) / 2) });
                from = to;
            }
        }
        let first = layer(&root, 1, 3, 16, 1);
        let last = nn::linear(&root / "linear", FEATURES as i64, CLASSES as i64, Default::default());
        let weights = interchange::parse(WEIGHTS, Path::new("resnet20-12fca82f.safetensors"), Some(""))?;
        adopt(&mut store, "ResNet-20", weights.tensors)?;
        Ok(Self { store, first, blocks, last })
    }

    /// Features and logits of prepared images, (N, 3, 32, 32).
    ///
    /// # Panics
    /// On another shape.
    pub fn extract(&self, x: &Tensor) -> Extracted {
        expect::shape("Resnet20::extract", x, &[-1, 3, 32, 32]);
        no_grad(|| {
            let x = x.to_device(self.store.device());
            let x = self.first.1.forward_t(&self.first.0.forward(&x), false).relu();
            let x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
            let features = x.mean_dim([2, 3].as_slice(), false, Kind::Float);
            let logits = self.last.forward(&features);
            Extracted { features, logits }
        })
    }
}

impl Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let [(conv1, bn1), (conv2, bn2)] = &self.convs;
        let inner = bn1.forward_t(&conv1.forward(x), false).relu();
        let inner = bn2.forward_t(&conv2.forward(&inner), false);
        let shortcut = match self.fill {
            None => x.shallow_clone(),
            Some(fill) => {
                let halved = x.slice(2, None, None, 2).slice(3, None, None, 2);
                halved.constant_pad_nd([0, 0, 0, 0, fill, fill])
            }
        };
        (inner + shortcut).relu()
    }
}

/// Prepares bytes (N, 3, 32, 32): (x / 255 - mean) / deviation.
///
/// # Panics
/// On another shape.
pub fn prepare(images: &Tensor) -> Tensor {
    expect::shape("resnet20::prepare", images, &[-1, 3, 32, 32]);
    let of = |values: [f32; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]).to_device(images.device());
    (images.to_kind(Kind::Float) / 255.0 - of(MEAN)) / of(DEVIATION)
}
