//! A codebook whose codes are moving averages of the vectors assigned to them.
//!
//! A vector is replaced by the nearest of K codes. Codes are not trained by gradient. With n_i
//! vectors assigned to code i in a batch and s_i their sum, N_i <- g N_i + (1 - g) n_i and m_i <- g
//! m_i + (1 - g) s_i, and code i is m_i / N'_i, where N' is N smoothed as (N_i + eps) / (N + K eps)
//! N. A code whose N_i falls below a threshold is dead: it is reset to a random vector of the
//! batch. Source: van den Oord et al., "Neural Discrete Representation Learning" (2017), appendix
//! A.1; reset as in Jukebox (2020).
//!
//! ```
//! use fm_models::vqvae::{Codebook, CodebookConfig};
//! use tch::{Device, Tensor, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! let book = Codebook::new(&store.root(), &CodebookConfig { codes: 2, dim: 1, ..CodebookConfig::default() })?;
//! book.set(&Tensor::from_slice2(&[[0f32], [10.0]]), 1.0);
//! let z = Tensor::from_slice2(&[[1f32], [2.0], [9.0]]);
//! let nearest = book.nearest(&z);
//! assert_eq!(Vec::<i64>::try_from(&nearest)?, [0, 0, 1]);
//! book.update(&z, &nearest);
//! // Decay 0.99: N = (1.01, 1), m = (0.03, 9.99).
//! let codes = Vec::<f32>::try_from(book.look_up(&Tensor::from_slice(&[0i64, 1])).view(-1))?;
//! assert!((codes[0] - 0.03 / 1.01).abs() < 1e-4 && (codes[1] - 9.99).abs() < 1e-3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::{ModelError, require};
use crate::expect;
use crate::layers::buffer;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor, no_grad};

/// Sizes and rates of a codebook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodebookConfig {
    /// Number of codes, K.
    pub codes: i64,
    /// Values per code.
    pub dim: i64,
    /// Decay of the averages, g.
    pub decay: f64,
    /// A code with N_i below this is dead; 0 disables resets.
    pub dead_below: f64,
}

impl Default for CodebookConfig {
    fn default() -> Self {
        Self { codes: 256, dim: 4, decay: 0.99, dead_below: 1.0 }
    }
}

impl CodebookConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// Fewer than 2 or more than 2^20 codes, codes of no or of more than 4096 values, a decay
    /// outside [0, 1), a negative threshold.
    pub fn validate(&self) -> Result<(), ModelError> {
        let check = |good, problem, remedy| require(good, "codebook", problem, remedy);
        let sizes = (2..=1 << 20).contains(&self.codes) && (1..=1 << 12).contains(&self.dim);
        let given = format!("{} codes of {} values", self.codes, self.dim);
        check(sizes, given, "give 2 to 2^20 codes of 1 to 4096 values")?;
        let rates = (0.0..1.0).contains(&self.decay) && self.dead_below >= 0.0;
        let given = format!("decay {} and dead_below {}", self.decay, self.dead_below);
        check(rates, given, "choose the decay in [0, 1) and the threshold from 0")
    }
}

/// eps, which smooths the counts.
const EPS: f64 = 1e-5;

/// K codes, and the averages that define them.
#[derive(Debug)]
pub struct Codebook {
    config: CodebookConfig,
    embed: Tensor,
    counts: Tensor,
    sums: Tensor,
}

impl Codebook {
    /// A codebook with empty counts: the first update resets every code to a vector of its batch.
    ///
    /// # Errors
    /// [`CodebookConfig::validate`].
    pub fn new(p: &Path<'_>, config: &CodebookConfig) -> Result<Self, ModelError> {
        config.validate()?;
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, p.device()));
        let (k, dim) = (config.codes, config.dim);
        Ok(Self {
            config: config.clone(),
            embed: buffer(p, "embed", &zeros(&[k, dim])),
            counts: buffer(p, "cluster_size", &zeros(&[k])),
            sums: buffer(p, "embed_avg", &zeros(&[k, dim])),
        })
    }

    /// Sets all codes (K, dim), each with the weight of `count` vectors.
    ///
    /// # Panics
    /// On another shape.
    pub fn set(&self, codes: &Tensor, count: f64) {
        expect::shape("Codebook::set", codes, &[self.config.codes, self.config.dim]);
        no_grad(|| {
            self.embed.shallow_clone().copy_(codes);
            let _ = self.counts.shallow_clone().fill_(count);
            self.sums.shallow_clone().copy_(&(codes * count));
        });
    }

    /// The index of the nearest code of each vector: (N, dim) to (N).
    ///
    /// # Panics
    /// On another shape.
    pub fn nearest(&self, z: &Tensor) -> Tensor {
        expect::shape("Codebook::nearest", z, &[-1, self.config.dim]);
        // |z - e|^2 minus |z|^2, which is the same for every code.
        let squares = self.embed.square().sum_dim_intlist(1, false, Kind::Float);
        let distances = squares.unsqueeze(0) - z.detach().to_kind(Kind::Float).matmul(&self.embed.tr()) * 2.0;
        distances.argmin(1, false)
    }

    /// The codes with these indices: (N) to (N, dim).
    ///
    /// # Panics
    /// On another shape or kind, and on an index that is not from 0 to K - 1; on a GPU, libtorch
    /// checks the indices itself.
    pub fn look_up(&self, numbers: &Tensor) -> Tensor {
        self.expect_indices("Codebook::look_up", numbers);
        self.chosen(numbers)
    }

    /// [`look_up`](Self::look_up) of indices that are known to exist.
    pub(super) fn chosen(&self, numbers: &Tensor) -> Tensor {
        self.embed.index_select(0, numbers)
    }

    /// Updates the codes with vectors (N, dim), whose nearest codes are `numbers`, (N). Without
    /// vectors, nothing changes.
    ///
    /// # Panics
    /// On other shapes, and on an index that is not from 0 to K - 1.
    pub fn update(&self, z: &Tensor, numbers: &Tensor) {
        expect::shape("Codebook::update", z, &[-1, self.config.dim]);
        expect::shape("Codebook::update", numbers, &z.size()[..1]);
        if numbers.numel() == 0 {
            return;
        }
        let _guard = tch::no_grad_guard();
        let (z, k, rate) = (z.detach().to_kind(Kind::Float), self.config.codes, 1.0 - self.config.decay);
        let (mut counts, mut sums, mut embed) =
            (self.counts.shallow_clone(), self.sums.shallow_clone(), self.embed.shallow_clone());
        // A matrix product, because index_add sums in an unspecified order on a GPU.
        let chosen = numbers.one_hot(k).to_kind(Kind::Float);
        let met = chosen.sum_dim_intlist(0, false, Kind::Float);
        let sum = chosen.tr().matmul(&z);
        let _ = counts.lerp_(&met, rate);
        let _ = sums.lerp_(&sum, rate);
        let total = counts.sum(Kind::Float);
        let smoothed = (&counts + EPS) / (&total + k as f64 * EPS) * &total;
        embed.copy_(&(&sums / smoothed.unsqueeze(1)));
        if self.config.dead_below > 0.0 {
            let dead = counts.lt(self.config.dead_below);
            let drawn = z.index_select(0, &Tensor::randint(z.size()[0], [k], (Kind::Int64, z.device())));
            // Twice the threshold, so that a reset code has time to be assigned.
            let alive = 2.0 * self.config.dead_below;
            let column = dead.unsqueeze(1);
            embed.copy_(&drawn.where_self(&column, &embed));
            sums.copy_(&(&drawn * alive).where_self(&column, &sums));
            let _ = counts.masked_fill_(&dead, alive);
        }
    }

    /// Fraction of the codes that occur in `numbers`, and their perplexity exp(-sum p ln p), which
    /// is K if all are equally frequent; NaN without numbers.
    ///
    /// # Panics
    /// On an index that is not from 0 to K - 1, and on more than one dimension.
    pub fn usage(&self, numbers: &Tensor) -> (f64, f64) {
        self.expect_indices("Codebook::usage", numbers);
        let counts = numbers.bincount::<Tensor>(None, self.config.codes).to_kind(Kind::Double);
        let p = &counts / counts.sum(Kind::Double);
        let entropy = -(&p * p.clamp_min(1e-300).log()).sum(Kind::Double).double_value(&[]);
        (counts.gt(0.0).mean(Kind::Double).double_value(&[]), entropy.exp())
    }

    fn expect_indices(&self, function: &str, numbers: &Tensor) {
        expect::shape(function, numbers, &[-1]);
        let whole = matches!(numbers.kind(), Kind::Int64 | Kind::Int);
        assert!(whole, "{function} takes indices of kind Int64 or Int, not {:?}", numbers.kind());
        if numbers.numel() > 0 && !numbers.device().is_cuda() {
            let (least, most) = (numbers.min().int64_value(&[]), numbers.max().int64_value(&[]));
            let codes = self.config.codes;
            assert!(least >= 0 && most < codes, "{function} takes indices below {codes}, not {least} to {most}");
        }
    }
}
