//! A codebook that follows the vectors it stands for.
//!
//! A vector is replaced by the nearest of K codes. Codes are not trained by gradient: with n_i vectors at code i in a batch and s_i their sum,
//! N_i <- g N_i + (1 - g) n_i and m_i <- g m_i + (1 - g) s_i, and code i is m_i / N'_i, where N' is N smoothed as (N_i + eps) / (N + K eps) N.
//! A code whose N_i falls below a threshold is dead: it is moved to a random vector of the batch. Source: van den Oord et al., "Neural
//! Discrete Representation Learning" (2017), appendix A.1; revival as in Jukebox (2020).
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
use crate::layers::buffer;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor, no_grad};

/// Sizes and rates of a codebook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodebookConfig {
    /// K.
    pub codes: i64,
    /// Values of a code.
    pub dim: i64,
    /// g.
    pub decay: f64,
    /// The N_i below which a code is dead; 0 revives none.
    pub dead_below: f64,
}

impl Default for CodebookConfig {
    fn default() -> Self {
        Self { codes: 256, dim: 4, decay: 0.99, dead_below: 1.0 }
    }
}

impl CodebookConfig {
    /// Checks sizes and rates.
    ///
    /// # Errors
    /// Fewer than 2 codes, codes without values, a decay outside [0, 1), a negative threshold.
    pub fn validate(&self) -> Result<(), ModelError> {
        let check = |good, problem, remedy| require(good, "codebook", problem, remedy);
        let sizes = (2..=1 << 20).contains(&self.codes) && (1..=1 << 12).contains(&self.dim);
        let given = format!("{} codes of {} values", self.codes, self.dim);
        check(sizes, given, "give at least 2 codes of at least 1 value")?;
        let rates = (0.0..1.0).contains(&self.decay) && self.dead_below >= 0.0;
        let given = format!("decay {} and dead_below {}", self.decay, self.dead_below);
        check(rates, given, "choose the decay in [0, 1) and the threshold from 0")
    }
}

/// Smooths the counts.
const EPS: f64 = 1e-5;

/// K codes, and the averages that they follow.
#[derive(Debug)]
pub struct Codebook {
    config: CodebookConfig,
    embed: Tensor,
    counts: Tensor,
    sums: Tensor,
}

impl Codebook {
    /// Empty counts: the first update moves every code to a vector of its batch.
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

    /// Sets all codes, each as if `count` vectors stood behind it.
    pub fn set(&self, codes: &Tensor, count: f64) {
        no_grad(|| {
            self.embed.shallow_clone().copy_(codes);
            let _ = self.counts.shallow_clone().fill_(count);
            self.sums.shallow_clone().copy_(&(codes * count));
        });
    }

    /// The number of the nearest code of each vector: (N, dim) to (N).
    pub fn nearest(&self, z: &Tensor) -> Tensor {
        // |z - e|^2 less |z|^2, which is the same for every code.
        let squares = self.embed.square().sum_dim_intlist(1, false, Kind::Float);
        let distances = squares.unsqueeze(0) - z.detach().to_kind(Kind::Float).matmul(&self.embed.tr()) * 2.0;
        distances.argmin(1, false)
    }

    /// The codes of these numbers: (N) to (N, dim).
    pub fn look_up(&self, numbers: &Tensor) -> Tensor {
        self.embed.index_select(0, numbers)
    }

    /// Lets the codes follow the vectors (N, dim) whose nearest codes were `numbers`.
    pub fn update(&self, z: &Tensor, numbers: &Tensor) {
        let _guard = tch::no_grad_guard();
        let (z, k, rate) = (z.detach().to_kind(Kind::Float), self.config.codes, 1.0 - self.config.decay);
        let (mut counts, mut sums, mut embed) =
            (self.counts.shallow_clone(), self.sums.shallow_clone(), self.embed.shallow_clone());
        // A product, because index_add adds in no fixed order on a GPU.
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
            // Twice the threshold, so that a revived code has time to be chosen.
            let alive = 2.0 * self.config.dead_below;
            let column = dead.unsqueeze(1);
            embed.copy_(&drawn.where_self(&column, &embed));
            sums.copy_(&(&drawn * alive).where_self(&column, &sums));
            let _ = counts.masked_fill_(&dead, alive);
        }
    }

    /// Share of the codes that these numbers use, and their perplexity exp(-sum p ln p), which is K when all are used alike.
    pub fn usage(&self, numbers: &Tensor) -> (f64, f64) {
        let counts = numbers.bincount::<Tensor>(None, self.config.codes).to_kind(Kind::Double);
        let p = &counts / counts.sum(Kind::Double);
        let entropy = -(&p * p.clamp_min(1e-300).log()).sum(Kind::Double).double_value(&[]);
        (counts.gt(0.0).mean(Kind::Double).double_value(&[]), entropy.exp())
    }
}
