//! Source distributions: what x0 is drawn from.
//!
//! | name | x0 | score prediction |
//! |---|---|---|
//! | `gaussian` | N(0, 1) in every dimension | yes |
//! | `matched` | N(0, d^2), d the standard deviation of the data | no |
//! | `sparse` | N(0, 1) with probability 1 - rate, else 0: gene expression with drop-out | no |
//!
//! Any data set can be a source as well ([`Source::Rows`]): data to data. Row r of step n is a pure function of (seed, n, r).
//!
//! ```
//! use fm_core::rng::Stream;
//! use fm_core::source::{Source, SourceKind};
//! let sparse: SourceKind = "sparse:rate=0.75".parse()?;
//! let x0 = Source::from(sparse).sample(0, 0, Stream::Noise, 0, 1000, 10)?;
//! let zeros = x0.iter().filter(|x| **x == 0.0).count();
//! assert!((zeros as f64 - 7500.0).abs() < 4.0 * (10_000.0f64 * 0.75 * 0.25).sqrt());
//! # Ok::<(), fm_core::Error>(())
//! ```

use crate::Error;
use crate::choice;
use crate::choice::{Choice, Domain};
use crate::rng::{Stream, fill_normal, stream, zeros};
use ndarray::Array2;
use rand::Rng;

choice! {
    /// A source distribution by its name.
    #[derive(Default)]
    pub enum SourceKind("source") {
        /// A standard normal.
        #[default]
        Gaussian = "gaussian" | "normal",
        /// A normal with the standard deviation of the data.
        Matched = "matched" {
            /// The standard deviation; 0 stands for the data's own, measured when training starts.
            deviation = 0.0, Domain::within(0.0, 1e6)
        },
        /// A standard normal of which a share is zero.
        Sparse = "sparse" {
            /// The share of zeros.
            rate = 0.5, Domain::within(0.0, 1.0)
        },
    }
}

impl SourceKind {
    /// Puts the data's own standard deviation, over all its values, where the choice asks for it.
    pub fn measured(self, deviation: impl FnOnce() -> f64) -> Self {
        match self {
            SourceKind::Matched { deviation: 0.0 } => SourceKind::Matched { deviation: deviation() },
            other => other,
        }
    }
}

/// The standard deviation of some values about their mean, in their unit; 0 of none, NaN when a value is not finite.
pub fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / n;
    (values.map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// Where x0 comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A named distribution.
    Kind(SourceKind),
    /// The rows of another data set, drawn with replacement.
    Rows(Array2<f32>),
}

impl From<SourceKind> for Source {
    fn from(kind: SourceKind) -> Self {
        Source::Kind(kind)
    }
}

impl Default for Source {
    fn default() -> Self {
        SourceKind::default().into()
    }
}

impl Source {
    /// Whether this is the standard normal that score prediction and exact fields assume.
    pub fn is_standard_normal(&self) -> bool {
        matches!(self, Source::Kind(SourceKind::Gaussian))
    }

    /// Checks the parameters, or the rows of the data set.
    ///
    /// # Errors
    /// A parameter outside its domain, a data set without rows or with a value that is not finite.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Source::Kind(kind) => Ok(kind.validate()?),
            Source::Rows(data) if data.nrows() == 0 => {
                Err(Error::Rows { what: "rows of the source's data set", expected: 1, got: 0 })
            }
            Source::Rows(data) => match data.outer_iter().position(|row| row.iter().any(|v| !v.is_finite())) {
                Some(row) => Err(Error::NotFinite { what: "the source's data set", row }),
                None => Ok(()),
            },
        }
    }

    /// `rows` x `dim` draws; row r comes from its own generator (seed, step, stream, first_row + r). Row numbers wrap.
    ///
    /// # Errors
    /// A parameter outside its domain, a `matched` source whose deviation has not been [measured](SourceKind::measured), a data set without
    /// rows or of another width than `dim`, and more values than memory can hold.
    pub fn sample(
        &self,
        seed: u64,
        step: u64,
        purpose: Stream,
        first_row: u64,
        rows: usize,
        dim: usize,
    ) -> Result<Vec<f32>, Error> {
        self.can_draw(dim)?;
        let mut out = zeros(rows, dim).ok_or(Error::Memory { rows, dim })?;
        for (r, row) in out.chunks_exact_mut(dim.max(1)).enumerate() {
            let mut rng = stream(seed, step, purpose, first_row.wrapping_add(r as u64));
            match self {
                Source::Rows(data) => {
                    let chosen = data.row(rng.random_range(0..data.nrows()));
                    row.iter_mut().zip(chosen).for_each(|(x, v)| *x = *v);
                }
                Source::Kind(kind) => {
                    fill_normal(&mut rng, row);
                    shape(*kind, row, &mut rng);
                }
            }
        }
        Ok(out)
    }

    /// Whether rows of `dim` values can be drawn, without a pass over a data set.
    fn can_draw(&self, dim: usize) -> Result<(), Error> {
        match self {
            Source::Kind(SourceKind::Matched { deviation: 0.0 }) => {
                let domain = "measured from the data before it is drawn from, and above 0";
                Err(Error::Value { name: "the deviation of a matched source", domain, value: 0.0 })
            }
            Source::Rows(data) if data.nrows() > 0 && data.ncols() != dim => {
                Err(Error::Width { what: "rows of the source's data set", expected: dim, got: data.ncols() })
            }
            Source::Rows(data) if data.nrows() > 0 => Ok(()),
            source => source.check(),
        }
    }
}

/// Turns standard normals into draws of another kind.
fn shape(kind: SourceKind, row: &mut [f32], rng: &mut impl Rng) {
    match kind {
        SourceKind::Gaussian => {}
        SourceKind::Matched { deviation } => row.iter_mut().for_each(|x| *x *= deviation as f32),
        SourceKind::Sparse { rate } => row.iter_mut().filter(|_| rng.random::<f64>() < rate).for_each(|x| *x = 0.0),
    }
}
