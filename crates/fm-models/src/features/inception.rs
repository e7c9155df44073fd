//! Inception-v3 as used for FID: TensorFlow's network of 2015-12-05 with torchvision's parameter
//! names. Mean pooling excludes the padding, the last block uses max pooling instead, and the head
//! has 1008 classes. The weights (95 MB) are not part of this project. pytorch-fid publishes them
//! as `pt_inception-2015-12-05-6726825d.pth`; the end of the name is the start of the file's
//! SHA-256. Source: Szegedy et al., "Rethinking the Inception architecture" (2016); Heusel et al.
//! (2017).
//!
//! ```
//! use fm_models::features::inception::{Inception, prepare_pytorch_fid};
//! use tch::{Device, Kind, Tensor};
//! let black = Tensor::zeros([1, 3, 32, 32], (Kind::Uint8, Device::Cpu));
//! let prepared = prepare_pytorch_fid(&black);
//! assert_eq!((prepared.size(), prepared.max().double_value(&[])), (vec![1, 3, 299, 299], -1.0));
//! let error = Inception::open("no-weights.pth".as_ref(), Device::Cpu).unwrap_err();
//! assert!(error.to_string().contains("no-weights.pth"));
//! ```

use super::{Extracted, adopt, conv, norm};
use crate::{InterchangeError, expect, interchange};
use std::path::Path;
use tch::nn::{self, Module, ModuleT, VarStore};
use tch::{Device, Kind, Tensor, no_grad};

/// Number of features per image: the final mean over positions.
pub const FEATURES: usize = 2048;
/// Number of classes; 8 of them are unused.
pub const CLASSES: usize = 1008;
/// Side of the input images.
pub const SIDE: i64 = 299;
/// The network has 23.9 million values.
const VALUES: usize = 20_000_000;
const NAME: &str = "Inception-v3 of the FID protocol";
/// Start of the SHA-256 of pytorch-fid's file.
pub const HASH: &str = "6726825d";

/// The network with its weights.
#[derive(Debug)]
pub struct Inception {
    store: VarStore,
    stem: Vec<Conv>,
    blocks: Vec<Block>,
    head: Tensor,
}

/// Convolution, normalisation, ReLU.
#[derive(Debug)]
struct Conv(nn::Conv<[i64; 2]>, nn::BatchNorm);

/// Convolutions in sequence, optionally followed by two parallel ones.
#[derive(Debug)]
struct Branch {
    chain: Vec<Conv>,
    fork: Vec<Conv>,
}

#[derive(Debug)]
enum Pool {
    /// Mean pooling without padding, then a convolution.
    Mean(Conv),
    /// Max pooling, then a convolution.
    Max(Conv),
    /// Max pooling that halves the size.
    Halve,
}

/// Parallel branches, and a pooling branch.
#[derive(Debug)]
struct Block {
    branches: Vec<Branch>,
    pool: Pool,
}

/// A convolution in a block: name, channels, kernel, stride; padded to keep the size if the stride
/// is 1.
type Spec<'a> = (&'a str, i64, [i64; 2], i64);

impl Inception {
    /// Builds the network with the weights of a file: pytorch-fid's, or a conversion of its
    /// `state_dict`.
    ///
    /// # Errors
    /// A file that cannot be read, or that has the weights of another network.
    pub fn open(path: &Path, device: Device) -> Result<Self, InterchangeError> {
        let weights = interchange::read(path, Some(""))?;
        let held: usize = weights.tensors.values().map(Tensor::numel).sum();
        // The network is built only for a file that can hold its values.
        if held < VALUES {
            let problems = format!("the file has {held} values, and the network more than {VALUES}");
            return Err(InterchangeError::Mismatch { model: NAME, problems });
        }
        let mut store = VarStore::new(device);
        let root = store.root();
        let stem = vec![
            basic(&root / "Conv2d_1a_3x3", 3, 32, [3; 2], 2, [0; 2]),
            basic(&root / "Conv2d_2a_3x3", 32, 32, [3; 2], 1, [0; 2]),
            basic(&root / "Conv2d_2b_3x3", 32, 64, [3; 2], 1, [1; 2]),
            basic(&root / "Conv2d_3b_1x1", 64, 80, [1; 2], 1, [0; 2]),
            basic(&root / "Conv2d_4a_3x3", 80, 192, [3; 2], 1, [0; 2]),
        ];
        let blocks = vec![
            inception_a(&root / "Mixed_5b", 192, 32),
            inception_a(&root / "Mixed_5c", 256, 64),
            inception_a(&root / "Mixed_5d", 288, 64),
            inception_b(&root / "Mixed_6a", 288),
            inception_c(&root / "Mixed_6b", 128),
            inception_c(&root / "Mixed_6c", 160),
            inception_c(&root / "Mixed_6d", 160),
            inception_c(&root / "Mixed_6e", 192),
            inception_d(&root / "Mixed_7a"),
            inception_e(&root / "Mixed_7b", 1280, Pool::Mean),
            inception_e(&root / "Mixed_7c", 2048, Pool::Max),
        ];
        let fc = nn::linear(&root / "fc", FEATURES as i64, CLASSES as i64, Default::default());
        adopt(&mut store, NAME, weights.tensors)?;
        Ok(Self { store, stem, blocks, head: fc.ws })
    }

    /// Features, and logits without bias (as the inception score uses them), of prepared images,
    /// (N, 3, 299, 299).
    ///
    /// # Panics
    /// On another shape.
    pub fn extract(&self, x: &Tensor) -> Extracted {
        expect::shape("Inception::extract", x, &[-1, 3, SIDE, SIDE]);
        no_grad(|| {
            let mut x = x.to_device(self.store.device());
            for (k, layer) in self.stem.iter().enumerate() {
                x = layer.forward(&x);
                if k == 2 || k == 4 {
                    x = halve(&x);
                }
            }
            x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
            let features = x.mean_dim([2, 3].as_slice(), false, Kind::Float);
            let logits = features.matmul(&self.head.tr());
            Extracted { features, logits }
        })
    }
}

/// Prepares bytes (N, 3, H, W) like pytorch-fid: to [0, 1], bilinear resize to 299 x 299 without
/// antialiasing, to [-1, 1].
///
/// # Panics
/// On another shape, and on images without pixels.
pub fn prepare_pytorch_fid(images: &Tensor) -> Tensor {
    expect::shape("prepare_pytorch_fid", images, &[-1, 3, -1, -1]);
    assert!(images.size()[2..].iter().all(|n| *n > 0), "prepare_pytorch_fid takes images with pixels");
    let unit = images.to_kind(Kind::Float) / 255.0;
    unit.upsample_bilinear2d([SIDE, SIDE], false, None, None) * 2.0 - 1.0
}

/// Prepares values (N, 3, 299, 299) in 0 to 255, resized by [Pillow's bicubic
/// filter](https://pillow.readthedocs.io) and clipped, like clean-fid: (x - 128) / 128.
pub fn prepare_clean_fid(resized: &Tensor) -> Tensor {
    (resized - 128.0) / 128.0
}

fn basic(p: nn::Path<'_>, from: i64, to: i64, kernel: [i64; 2], stride: i64, padding: [i64; 2]) -> Conv {
    Conv(conv(&p / "conv", from, to, kernel, stride, padding), norm(&p / "bn", to, 1e-3))
}

impl Conv {
    fn in_block(p: &nn::Path<'_>, from: i64, (name, to, kernel, stride): Spec<'_>) -> Self {
        let padding = if stride == 1 { kernel.map(|k| k / 2) } else { [0; 2] };
        basic(p / name, from, to, kernel, stride, padding)
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.1.forward_t(&self.0.forward(x), false).relu_()
    }
}

impl Branch {
    fn new(p: &nn::Path<'_>, mut from: i64, chain: &[Spec<'_>], fork: &[Spec<'_>]) -> Self {
        let mut layers = Vec::new();
        for spec in chain {
            layers.push(Conv::in_block(p, from, *spec));
            from = spec.1;
        }
        Self { chain: layers, fork: fork.iter().map(|spec| Conv::in_block(p, from, *spec)).collect() }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.chain.iter().fold(x.shallow_clone(), |x, layer| layer.forward(&x));
        if self.fork.is_empty() {
            return x;
        }
        Tensor::cat(&self.fork.iter().map(|layer| layer.forward(&x)).collect::<Vec<_>>(), 1)
    }
}

impl Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let pooled = match &self.pool {
            Pool::Mean(after) => after.forward(&x.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None)),
            Pool::Max(after) => after.forward(&x.max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false)),
            Pool::Halve => halve(x),
        };
        let branches = self.branches.iter().map(|branch| branch.forward(x));
        Tensor::cat(&branches.chain([pooled]).collect::<Vec<_>>(), 1)
    }
}

fn halve(x: &Tensor) -> Tensor {
    x.max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false)
}

/// Kernel sizes.
const ONE: [i64; 2] = [1, 1];
const THREE: [i64; 2] = [3, 3];
const ROW3: [i64; 2] = [1, 3];
const COLUMN3: [i64; 2] = [3, 1];
const ROW7: [i64; 2] = [1, 7];
const COLUMN7: [i64; 2] = [7, 1];

/// Inception A.
fn inception_a(p: nn::Path<'_>, from: i64, pooled: i64) -> Block {
    let branches = vec![
        Branch::new(&p, from, &[("branch1x1", 64, ONE, 1)], &[]),
        Branch::new(&p, from, &[("branch5x5_1", 48, ONE, 1), ("branch5x5_2", 64, [5, 5], 1)], &[]),
        Branch::new(
            &p,
            from,
            &[("branch3x3dbl_1", 64, ONE, 1), ("branch3x3dbl_2", 96, THREE, 1), ("branch3x3dbl_3", 96, THREE, 1)],
            &[],
        ),
    ];
    Block { branches, pool: Pool::Mean(Conv::in_block(&p, from, ("branch_pool", pooled, ONE, 1))) }
}

/// Inception B.
fn inception_b(p: nn::Path<'_>, from: i64) -> Block {
    let branches = vec![
        Branch::new(&p, from, &[("branch3x3", 384, THREE, 2)], &[]),
        Branch::new(
            &p,
            from,
            &[("branch3x3dbl_1", 64, ONE, 1), ("branch3x3dbl_2", 96, THREE, 1), ("branch3x3dbl_3", 96, THREE, 2)],
            &[],
        ),
    ];
    Block { branches, pool: Pool::Halve }
}

/// Inception C.
fn inception_c(p: nn::Path<'_>, c: i64) -> Block {
    let from = 768;
    let branches = vec![
        Branch::new(&p, from, &[("branch1x1", 192, ONE, 1)], &[]),
        Branch::new(
            &p,
            from,
            &[("branch7x7_1", c, ONE, 1), ("branch7x7_2", c, ROW7, 1), ("branch7x7_3", 192, COLUMN7, 1)],
            &[],
        ),
        Branch::new(
            &p,
            from,
            &[
                ("branch7x7dbl_1", c, ONE, 1),
                ("branch7x7dbl_2", c, COLUMN7, 1),
                ("branch7x7dbl_3", c, ROW7, 1),
                ("branch7x7dbl_4", c, COLUMN7, 1),
                ("branch7x7dbl_5", 192, ROW7, 1),
            ],
            &[],
        ),
    ];
    Block { branches, pool: Pool::Mean(Conv::in_block(&p, from, ("branch_pool", 192, ONE, 1))) }
}

/// Inception D.
fn inception_d(p: nn::Path<'_>) -> Block {
    let branches = vec![
        Branch::new(&p, 768, &[("branch3x3_1", 192, ONE, 1), ("branch3x3_2", 320, THREE, 2)], &[]),
        Branch::new(
            &p,
            768,
            &[
                ("branch7x7x3_1", 192, ONE, 1),
                ("branch7x7x3_2", 192, ROW7, 1),
                ("branch7x7x3_3", 192, COLUMN7, 1),
                ("branch7x7x3_4", 192, THREE, 2),
            ],
            &[],
        ),
    ];
    Block { branches, pool: Pool::Halve }
}

/// Inception E; its two variants differ in the pool.
fn inception_e(p: nn::Path<'_>, from: i64, pool: fn(Conv) -> Pool) -> Block {
    let branches = vec![
        Branch::new(&p, from, &[("branch1x1", 320, ONE, 1)], &[]),
        Branch::new(
            &p,
            from,
            &[("branch3x3_1", 384, ONE, 1)],
            &[("branch3x3_2a", 384, ROW3, 1), ("branch3x3_2b", 384, COLUMN3, 1)],
        ),
        Branch::new(
            &p,
            from,
            &[("branch3x3dbl_1", 448, ONE, 1), ("branch3x3dbl_2", 384, THREE, 1)],
            &[("branch3x3dbl_3a", 384, ROW3, 1), ("branch3x3dbl_3b", 384, COLUMN3, 1)],
        ),
    ];
    Block { branches, pool: pool(Conv::in_block(&p, from, ("branch_pool", 192, ONE, 1))) }
}
