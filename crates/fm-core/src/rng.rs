//! Reproducible randomness: every draw is a pure function of (seed, step, stream, row).
//!
//! There is no generator state to save. A run that resumes at step n draws exactly what the
//! uninterrupted run drew at that step, and the draws of a row do not depend on the number of
//! workers. The generator is ChaCha with 8 rounds, keyed by the four numbers themselves, so streams
//! are independent and identical on every platform.
//!
//! ```
//! use fm_core::rng::{Key, Stream};
//! use rand::RngCore;
//! let key = Key::new(0, 100, Stream::Noise);
//! let first = key.generator(3).next_u64();
//! assert_eq!(first, key.from_row(2).generator(1).next_u64());
//! assert_ne!(first, key.generator(4).next_u64());
//! assert_ne!(first, key.with_stream(Stream::Time).generator(3).next_u64());
//! ```

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The purpose of a draw. The numbers are part of the file format of a run: never reuse or renumber
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Initial parameter values.
    Init = 1,
    /// The order of rows in an epoch.
    Order = 2,
    /// Source noise x0 in training.
    Noise = 3,
    /// Training times.
    Time = 4,
    /// Augmentation of a data row.
    Augment = 5,
    /// Whether a row's label is dropped.
    LabelDrop = 6,
    /// Draws made while coupling a batch.
    Coupling = 7,
    /// Draws by libtorch within a step (dropout).
    Torch = 8,
    /// Source noise x0 in sampling.
    Sample = 9,
    /// Synthetic data sets.
    Data = 10,
    /// The extra noise eps of a path.
    PathNoise = 11,
    /// Monte Carlo estimates.
    Estimate = 12,
    /// Increments of stochastic sampling.
    Increment = 13,
    /// Probes of a divergence estimate.
    Probe = 14,
    /// Dequantisation of pixels.
    Dequantise = 15,
    /// Augmentations of a data row other than mirroring.
    Transform = 16,
    /// Intervals of time of flow maps.
    Interval = 17,
}

/// Identifies one stream of one step of a run, starting at a row; every draw is a function of it.
///
/// ```
/// use fm_core::rng::{Key, Stream, normal_rows};
/// let key = Key::new(0, 7, Stream::Noise);
/// let rows = normal_rows(key, 3, 2);
/// assert_eq!(rows[4..], normal_rows(key.from_row(2), 1, 2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The run's seed.
    pub seed: u64,
    /// The step.
    pub step: u64,
    /// The purpose of the draws.
    pub stream: Stream,
    /// The first row.
    pub first_row: u64,
}

impl Key {
    /// The key of the rows from 0 on.
    pub fn new(seed: u64, step: u64, stream: Stream) -> Self {
        Self { seed, step, stream, first_row: 0 }
    }

    /// The key of the rows from `first_row` on.
    pub fn from_row(self, first_row: u64) -> Self {
        Self { first_row, ..self }
    }

    /// The same rows in another stream.
    pub fn with_stream(self, stream: Stream) -> Self {
        Self { stream, ..self }
    }

    /// The generator of row `first_row + i`. Row numbers wrap around.
    pub fn generator(self, i: usize) -> ChaCha8Rng {
        let mut key = [0; 32];
        let row = self.first_row.wrapping_add(i as u64);
        for (bytes, word) in key.chunks_exact_mut(8).zip([self.seed, self.step, self.stream as u64, row]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }

    /// A non-negative seed for libtorch's generator, from the first row.
    #[doc(alias = "manual_seed")]
    pub fn torch_seed(self) -> i64 {
        (self.generator(0).next_u64() >> 1) as i64
    }
}

/// Fills `out` with standard normal draws.
pub fn fill_normal(rng: &mut ChaCha8Rng, out: &mut [f32]) {
    out.iter_mut().for_each(|x| *x = StandardNormal.sample(rng));
}

/// `rows` x `dim` standard normals, each row from its own [generator](Key::generator).
///
/// # Panics
/// When memory cannot hold `rows` x `dim` values.
pub fn normal_rows(key: Key, rows: usize, dim: usize) -> Vec<f32> {
    let zeros = zeros(rows, dim);
    assert!(zeros.is_some(), "memory cannot hold {rows} rows of {dim} values");
    let mut out = zeros.unwrap_or_default();
    for (r, row) in out.chunks_exact_mut(dim.max(1)).enumerate() {
        fill_normal(&mut key.generator(r), row);
    }
    out
}

/// Number of values up to which [`zeros`] allocates without a trial reservation: 1 GiB.
const UNTRIED: usize = 1 << 28;

/// `rows` x `dim` zeros, or `None` if memory cannot hold them.
pub(crate) fn zeros(rows: usize, dim: usize) -> Option<Vec<f32>> {
    let count = rows.checked_mul(dim)?;
    if count > UNTRIED {
        // `vec![0.0; n]` gets zeroed memory cheaply but aborts on failure, so large sizes are
        // reserved first as a test.
        Vec::<f32>::new().try_reserve_exact(count).ok()?;
    }
    Some(vec![0.0; count])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_fixed_for_all_time() {
        // Guards reproducibility of old runs: these values must never change.
        let words = [Stream::Noise, Stream::Time].map(|s| Key::new(42, 7, s).generator(5).next_u64());
        assert_eq!(words, [9_868_465_889_930_528_483, 786_531_199_779_159_762]);
        let seed = Key::new(42, 7, Stream::Noise).from_row(5).torch_seed();
        assert_eq!(seed, 4_934_232_944_965_264_241);
    }

    #[test]
    fn rows_do_not_depend_on_how_they_are_split() {
        let whole = normal_rows(Key::new(1, 2, Stream::Noise), 6, 5);
        let parts = [
            normal_rows(Key::new(1, 2, Stream::Noise), 2, 5),
            normal_rows(Key::new(1, 2, Stream::Noise).from_row(2), 4, 5),
        ]
        .concat();
        assert_eq!(whole, parts);
    }

    #[test]
    fn rows_after_the_last_number_wrap() {
        let rows = normal_rows(Key::new(1, 2, Stream::Noise).from_row(u64::MAX), 2, 3);
        assert_eq!(rows[3..], normal_rows(Key::new(1, 2, Stream::Noise), 1, 3));
    }

    #[test]
    #[should_panic(expected = "memory cannot hold 18446744073709551615 rows of 2 values")]
    fn more_normals_than_memory_holds_are_refused() {
        let _ = normal_rows(Key::new(0, 0, Stream::Noise), usize::MAX, 2);
    }

    #[test]
    fn normals_have_mean_zero_and_unit_variance() {
        let x = normal_rows(Key::new(3, 0, Stream::Noise), 1000, 100);
        let n = x.len() as f64;
        let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let var = x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
        assert!(mean.abs() < 4.0 / n.sqrt() && (var - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "{mean} {var}");
    }
}
