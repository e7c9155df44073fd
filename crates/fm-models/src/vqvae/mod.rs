//! The vector-quantised autoencoder, for flow matching in its latent space.
//!
//! An encoder maps an image (C, H, W) to vectors (d, H/f, W/f), a codebook replaces each vector by
//! its nearest code, and a decoder maps the codes back to an image. The loss is |x - decoded|^2 +
//! beta |z - sg(code)|^2, means over all values. The gradient of the codes is copied to the vectors
//! (straight-through estimator). Rate: (H/f) (W/f) log2 K bits per image. Source: van den Oord et
//! al., "Neural Discrete Representation Learning" (2017).
//!
//! ```
//! use fm_models::vqvae::{VqVae, VqVaeConfig};
//! use tch::{Device, Kind, Tensor, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! let model = VqVae::new(&store.root(), &VqVaeConfig { image_channels: 1, image_size: [8, 8], ..VqVaeConfig::default() })?;
//! let x = Tensor::zeros([3, 1, 8, 8], (Kind::Float, Device::Cpu));
//! assert_eq!(model.encode(&x).size(), [3, 4, 4, 4]);
//! assert_eq!(model.decode(&model.encode(&x)).size(), [3, 1, 8, 8]);
//! assert_eq!(model.config().bits(), 4.0 * 4.0 * 8.0); // 256 codes: 8 bits at each of 4 x 4 places
//! # Ok::<(), fm_models::ModelError>(())
//! ```

mod codebook;

use crate::error::{ModelError, require};
use crate::expect;
use crate::layers::{GROUPS, GroupNorm, Start, conv, group_norm};
pub use codebook::{Codebook, CodebookConfig};
use serde::{Deserialize, Serialize};
use tch::nn::{self, Module, Path};
use tch::{Kind, Tensor};

/// Sizes of the autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VqVaeConfig {
    /// Channels of the image.
    pub image_channels: i64,
    /// Height and width of the image, each divisible by 2^(stages - 1).
    pub image_size: [i64; 2],
    /// Base width, a multiple of 32.
    pub channels: i64,
    /// Width multiple of each stage; each stage except the last halves the size.
    pub channel_mult: Vec<i64>,
    /// Residual blocks per stage.
    pub res_blocks: i64,
    /// Weight beta of the commitment loss.
    pub commitment: f64,
    /// The codebook.
    pub codebook: CodebookConfig,
}

impl Default for VqVaeConfig {
    fn default() -> Self {
        Self {
            image_channels: 3,
            image_size: [32, 32],
            channels: 32,
            channel_mult: vec![1, 2],
            res_blocks: 1,
            commitment: 0.25,
            codebook: CodebookConfig::default(),
        }
    }
}

impl VqVaeConfig {
    fn validate(&self) -> Result<(), ModelError> {
        let check = |good, problem: String, remedy| require(good, "VQ-VAE", problem, remedy);
        let stages = self.channel_mult.len() as u32;
        check((1..=8).contains(&stages), format!("channel_mult has {stages} entries"), "give between 1 and 8 stages")?;
        let mult = self.channel_mult.iter().all(|m| (1..=64).contains(m));
        let wide = (1..=1 << 14).contains(&self.channels) && self.channels % GROUPS == 0 && mult;
        let widths = format!("channels {} and channel_mult {:?}", self.channels, self.channel_mult);
        check(wide, widths, "make channels a multiple of 32, and multiples from 1 to 64")?;
        let few = (1..=64).contains(&self.res_blocks) && (1..=1 << 12).contains(&self.image_channels);
        check(
            few,
            format!("res_blocks {}, image_channels {}", self.res_blocks, self.image_channels),
            "give sizes above 0",
        )?;
        let factor = self.factor();
        let whole = self.image_size.iter().all(|n| (1..=1 << 16).contains(n) && n % factor == 0);
        check(whole, format!("image size {:?} is not divisible by {factor}", self.image_size), "use fewer stages")?;
        self.codebook.validate()?;
        check(self.commitment >= 0.0, format!("commitment {}", self.commitment), "give 0 or more")
    }

    /// Number of trainable values, computed without building the network.
    ///
    /// # Errors
    /// [`ModelError`] for a configuration that cannot be built.
    pub fn parameters(&self) -> Result<i64, ModelError> {
        self.validate()?;
        let conv = |cin: i64, cout: i64| 9 * cin * cout + cout;
        let residual = |cin: i64, cout: i64| {
            let skip = if cin == cout { 0 } else { cin * cout + cout };
            2 * cin + conv(cin, cout) + 2 * cout + conv(cout, cout) + skip
        };
        let half = |widths: &[i64], [first, last]: [i64; 2]| {
            let (mut total, mut width) = (conv(first, widths[0]), widths[0]);
            for (i, next) in widths.iter().enumerate() {
                total += residual(width, *next) + (self.res_blocks - 1) * residual(*next, *next);
                width = *next;
                total += if i + 1 < widths.len() { conv(width, width) } else { 0 };
            }
            total + 2 * width + conv(width, last)
        };
        let mut widths: Vec<i64> = self.channel_mult.iter().map(|m| m * self.channels).collect();
        let down = half(&widths, [self.image_channels, self.codebook.dim]);
        widths.reverse();
        Ok(down + half(&widths, [self.codebook.dim, self.image_channels]))
    }

    /// The factor f between image size and latent size.
    fn factor(&self) -> i64 {
        1 << (self.channel_mult.len().max(1) - 1)
    }

    /// The shape of an image's latent vectors: values per vector, height, width.
    pub fn latent_shape(&self) -> [i64; 3] {
        let [height, width] = self.image_size.map(|n| n / self.factor());
        [self.codebook.dim, height, width]
    }

    /// The shape of an image.
    pub fn image_shape(&self) -> [i64; 3] {
        [self.image_channels, self.image_size[0], self.image_size[1]]
    }

    /// Bits per image that encode the indices of its codes.
    pub fn bits(&self) -> f64 {
        let [_, height, width] = self.latent_shape();
        (height * width) as f64 * (self.codebook.codes as f64).log2()
    }
}

/// GroupNorm, SiLU and conv, twice, plus the input, which is projected if the width changes.
#[derive(Debug)]
struct Residual {
    norms: [GroupNorm; 2],
    convs: [nn::Conv2D; 2],
    skip: Option<nn::Conv2D>,
}

fn residual(p: Path<'_>, cin: i64, cout: i64) -> Residual {
    Residual {
        norms: [group_norm(&p / "norm1", cin), group_norm(&p / "norm2", cout)],
        convs: [
            conv(&p / "conv1", cin, cout, 3, 1, Start::Default),
            conv(&p / "conv2", cout, cout, 3, 1, Start::Default),
        ],
        skip: (cin != cout).then(|| conv(&p / "nin_shortcut", cin, cout, 1, 1, Start::Default)),
    }
}

#[derive(Debug)]
enum Stage {
    Residual(Box<Residual>),
    Down(nn::Conv2D),
    Up(nn::Conv2D),
}

impl Stage {
    fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Stage::Residual(r) => {
                let h = r.convs[0].forward(&r.norms[0].forward(x).silu());
                let h = r.convs[1].forward(&r.norms[1].forward(&h).silu());
                r.skip.as_ref().map_or_else(|| x + &h, |skip| skip.forward(x) + &h)
            }
            Stage::Down(conv) => conv.forward(x),
            Stage::Up(conv) => {
                let size = x.size();
                conv.forward(&x.upsample_nearest2d([2 * size[2], 2 * size[3]], None, None))
            }
        }
    }
}

/// A convolution, stages, and an output layer with a normalisation.
#[derive(Debug)]
struct Half {
    first: nn::Conv2D,
    stages: Vec<Stage>,
    norm: GroupNorm,
    last: nn::Conv2D,
}

impl Half {
    fn forward(&self, x: &Tensor) -> Tensor {
        let h = self.stages.iter().fold(self.first.forward(x), |h, stage| stage.forward(&h));
        self.last.forward(&self.norm.forward(&h).silu())
    }
}

fn half(p: Path<'_>, c: &VqVaeConfig, down: bool) -> Half {
    let mut widths: Vec<i64> = c.channel_mult.iter().map(|m| m * c.channels).collect();
    let (mut ends, names) = ([c.image_channels, c.codebook.dim], ["conv_in", "conv_out"]);
    if !down {
        widths.reverse();
        ends.reverse();
    }
    let (mut stages, mut width, inner) = (Vec::new(), widths[0], &p / "stages");
    for (i, next) in widths.iter().enumerate() {
        for _ in 0..c.res_blocks {
            stages.push(Stage::Residual(Box::new(residual(&inner / stages.len(), width, *next))));
            width = *next;
        }
        if i + 1 < widths.len() {
            let p = &inner / stages.len();
            stages.push(match down {
                true => Stage::Down(conv(p, width, width, 3, 2, Start::Default)),
                false => Stage::Up(conv(p, width, width, 3, 1, Start::Default)),
            });
        }
    }
    Half {
        first: conv(&p / names[0], ends[0], widths[0], 3, 1, Start::Default),
        stages,
        norm: group_norm(&p / "norm_out", width),
        last: conv(&p / names[1], width, ends[1], 3, 1, Start::Default),
    }
}

/// The autoencoder.
#[derive(Debug)]
#[doc(alias = "VQModel")]
pub struct VqVae {
    config: VqVaeConfig,
    encoder: Half,
    decoder: Half,
    codebook: Codebook,
}

/// Outputs of a training pass.
#[derive(Debug)]
pub struct Reconstruction {
    /// Decoded images.
    pub images: Tensor,
    /// The index of the code at each position of each image, (B H/f W/f).
    pub codes: Tensor,
    /// Mean squared distance between the vectors and their codes.
    pub commitment: Tensor,
}

impl VqVae {
    /// Creates the autoencoder below `path`, initialised from libtorch's generator.
    ///
    /// # Errors
    /// [`ModelError`] with the invalid setting and the remedy.
    pub fn new(p: &Path<'_>, config: &VqVaeConfig) -> Result<Self, ModelError> {
        config.validate()?;
        Ok(Self {
            config: config.clone(),
            encoder: half(p / "encoder", config, true),
            decoder: half(p / "decoder", config, false),
            codebook: Codebook::new(&(p / "codebook"), &config.codebook)?,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &VqVaeConfig {
        &self.config
    }

    /// Maps images (B, C, H, W) to vectors (B, d, H/f, W/f), not yet replaced by codes.
    ///
    /// # Panics
    /// On another shape, and on sizes that f does not divide.
    pub fn encode(&self, x: &Tensor) -> Tensor {
        expect::shape("VqVae::encode", x, &[-1, self.config.image_channels, -1, -1]);
        let (size, factor) = (x.size(), self.config.factor());
        let divides = size[2..].iter().all(|n| *n > 0 && n % factor == 0);
        assert!(divides, "VqVae::encode takes sizes that {factor} divides, not {size:?}");
        self.encoder.forward(x)
    }

    /// Maps vectors (B, d, H, W) to images, through their nearest codes.
    ///
    /// # Panics
    /// On another shape.
    pub fn decode(&self, z: &Tensor) -> Tensor {
        let (_, codes) = self.quantise(z);
        self.decoder.forward(&codes)
    }

    /// The index of the nearest code at each position of vectors (B, d, H, W); (B H W).
    ///
    /// # Panics
    /// On another shape.
    pub fn codes(&self, z: &Tensor) -> Tensor {
        expect::shape("VqVae::codes", z, &[-1, self.config.codebook.dim, -1, -1]);
        self.codebook.nearest(&rows(z))
    }

    /// The indices of the nearest codes, and the codes in the shape of the vectors.
    fn quantise(&self, z: &Tensor) -> (Tensor, Tensor) {
        let numbers = self.codes(z);
        let (size, codes) = (z.size(), self.codebook.chosen(&numbers));
        let codes = codes.view([size[0], size[2], size[3], size[1]]).permute([0, 3, 1, 2]);
        (numbers, codes)
    }

    /// Encodes and decodes; the gradient of the codes is copied to the vectors. `train` updates the
    /// codebook and resets dead codes.
    ///
    /// # Panics
    /// As [`encode`](Self::encode).
    pub fn reconstruct(&self, x: &Tensor, train: bool) -> Reconstruction {
        let z = self.encode(x);
        let (numbers, codes) = self.quantise(&z);
        let commitment = (&z - &codes).square().mean(Kind::Float);
        let images = self.decoder.forward(&(&z + (codes - &z).detach()));
        if train {
            self.codebook.update(&rows(&z), &numbers);
        }
        Reconstruction { images, codes: numbers, commitment }
    }

    /// The training loss of a batch, 0-d.
    ///
    /// # Panics
    /// As [`encode`](Self::encode).
    pub fn loss(&self, x: &Tensor, train: bool) -> Tensor {
        let r = self.reconstruct(x, train);
        (r.images - x).square().mean(Kind::Float) + r.commitment * self.config.commitment
    }

    /// Fraction of the codes in use, and their perplexity.
    ///
    /// # Panics
    /// As [`Codebook::usage`].
    pub fn usage(&self, codes: &Tensor) -> (f64, f64) {
        self.codebook.usage(codes)
    }
}

/// (B, d, H, W) as (B H W, d).
fn rows(z: &Tensor) -> Tensor {
    z.permute([0, 2, 3, 1]).reshape([-1, z.size()[1]])
}
