//! Source distributions: what x0 is drawn from.
//!
//! | name | x0 | score prediction |
//! |---|---|---|
//! | `gaussian` | N(0, 1) in every dimension | yes |
//! | `matched` | N(0, d^2), d the standard deviation of the data | no |
//! | `sparse` | N(0, 1) with probability 1 - rate, else 0 (such as gene expression with dropout) | no |
//!
//! Any data set can be a source ([`Source::Rows`]), for flows from data to data. Row r of step n is
//! a pure function of (seed, n, r).
//!
//! ```
//! use fm_core::rng::{Key, Stream};
//! use fm_core::source::{Source, SourceKind};
//! let sparse: SourceKind = "sparse:rate=0.75".parse()?;
//! let x0 = Source::from(sparse).sample(Key::new(0, 0, Stream::Noise), 1000, 10)?;
//! let zeros = x0.iter().filter(|x| **x == 0.0).count();
//! assert!((zeros as f64 - 7500.0).abs() < 4.0 * (10_000.0f64 * 0.75 * 0.25).sqrt());
//! # Ok::<(), fm_core::Error>(())
//! ```

use crate::Error;
use crate::choice;
use crate::choice::{Choice, Domain};
use crate::rng::{Key, fill_normal, zeros};
use ndarray::Array2;
use rand::{Rng, RngCore};
use std::sync::Arc;

choice! {
    /// A built-in source distribution.
    #[derive(Default)]
    pub enum SourceKind("source") {
        /// A standard normal.
        #[default]
        Gaussian = "gaussian" | "normal",
        /// A normal with the standard deviation of the data.
        Matched = "matched" {
            /// The standard deviation; 0 means the standard deviation of the data, measured when
            /// training starts.
            deviation = 0.0, Domain::within(0.0, 1e6)
        },
        /// A standard normal with a fraction of values set to zero.
        Sparse = "sparse" {
            /// The fraction of zeros.
            rate = 0.1, Domain::within(0.0, 1.0)
        },
    }
}

impl SourceKind {
    /// Replaces a `matched` deviation of 0 by the standard deviation over all values of the data.
    pub fn measured(self, deviation: impl FnOnce() -> f64) -> Self {
        match self {
            SourceKind::Matched { deviation: 0.0 } => SourceKind::Matched { deviation: deviation() },
            other => other,
        }
    }
}

/// The standard deviation of the values, in their unit; 0 for an empty iterator, NaN when a value
/// is not finite.
pub fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / n;
    (values.map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// A source distribution of your own. Shared between threads.
///
/// ```
/// use fm_core::rng::{Key, Stream};
/// use fm_core::source::{Source, SourceDistribution};
/// use rand::{Rng, RngCore};
/// /// Uniform on the unit cube.
/// struct Cube;
/// impl SourceDistribution for Cube {
///     fn fill(&self, rng: &mut dyn RngCore, row: &mut [f32]) {
///         row.iter_mut().for_each(|x| *x = rng.random());
///     }
/// }
/// let x0 = Source::from(Cube).sample(Key::new(0, 0, Stream::Noise), 1000, 3)?;
/// let mean = x0.iter().sum::<f32>() / 3000.0;
/// assert!((mean - 0.5).abs() < 0.03 && x0.iter().all(|x| (0.0..1.0).contains(x)));
/// # Ok::<(), fm_core::Error>(())
/// ```
pub trait SourceDistribution: Send + Sync {
    /// Fills one row of x0. Each row has its own generator.
    fn fill(&self, rng: &mut dyn RngCore, row: &mut [f32]);

    /// The name used in messages.
    fn name(&self) -> String {
        crate::message::type_name::<Self>()
    }
}

/// The source of x0.
#[derive(Clone)]
pub enum Source {
    /// A built-in distribution.
    Kind(SourceKind),
    /// The rows of another data set, drawn with replacement.
    Rows(Array2<f32>),
    /// A distribution of your own.
    Custom(Arc<dyn SourceDistribution>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Kind(kind) => write!(f, "Kind({kind})"),
            Source::Rows(rows) => write!(f, "Rows({rows:?})"),
            Source::Custom(own) => write!(f, "Custom({})", own.name()),
        }
    }
}

impl PartialEq for Source {
    /// Two custom distributions are equal if they are the same object.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Source::Kind(a), Source::Kind(b)) => a == b,
            (Source::Rows(a), Source::Rows(b)) => a == b,
            (Source::Custom(a), Source::Custom(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl From<SourceKind> for Source {
    fn from(kind: SourceKind) -> Self {
        Source::Kind(kind)
    }
}

impl From<Array2<f32>> for Source {
    fn from(rows: Array2<f32>) -> Self {
        Source::Rows(rows)
    }
}

impl<D: SourceDistribution + 'static> From<D> for Source {
    fn from(distribution: D) -> Self {
        Source::Custom(Arc::new(distribution))
    }
}

impl Default for Source {
    fn default() -> Self {
        SourceKind::default().into()
    }
}

impl Source {
    /// Whether this is the standard normal, which score prediction and exact fields require.
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
            Source::Custom(_) => Ok(()),
            Source::Rows(data) if data.nrows() == 0 => {
                Err(Error::Rows { what: "rows of the source's data set", expected: 1, got: 0 })
            }
            Source::Rows(data) => match data.outer_iter().position(|row| row.iter().any(|v| !v.is_finite())) {
                Some(row) => Err(Error::NotFinite { what: "the source's data set", row }),
                None => Ok(()),
            },
        }
    }

    /// `rows` x `dim` draws, each row from its own [generator](Key::generator).
    ///
    /// # Errors
    /// A parameter outside its domain, a value that is not finite, a `matched` source whose
    /// deviation has not been [measured](SourceKind::measured), a data set without rows or with
    /// rows of other than `dim` values, and more values than memory can hold.
    pub fn sample(&self, key: Key, rows: usize, dim: usize) -> Result<Vec<f32>, Error> {
        self.can_draw(dim)?;
        let mut out = zeros(rows, dim).ok_or(Error::Memory { rows, dim })?;
        for (r, row) in out.chunks_exact_mut(dim.max(1)).enumerate() {
            let mut rng = key.generator(r);
            match self {
                Source::Rows(data) => {
                    let chosen = data.row(rng.random_range(0..data.nrows()));
                    row.iter_mut().zip(chosen).for_each(|(x, v)| *x = *v);
                }
                Source::Kind(kind) => {
                    fill_normal(&mut rng, row);
                    shape(*kind, row, &mut rng);
                }
                Source::Custom(own) => {
                    own.fill(&mut rng, row);
                    if row.iter().any(|x| !x.is_finite()) {
                        return Err(Error::NotFinite { what: "a row of your source", row: r });
                    }
                }
            }
        }
        Ok(out)
    }

    /// [`sample`](Self::sample) as an array (rows, dim) of f32 or f64. Both have the same values: a
    /// draw is an f32.
    ///
    /// ```
    /// use fm_core::rng::{Key, Stream};
    /// use fm_core::source::Source;
    /// use ndarray::Array2;
    /// let key = Key::new(0, 0, Stream::Sample);
    /// let (single, double): (Array2<f32>, Array2<f64>) =
    ///     (Source::default().sample_array(key, 3, 2)?, Source::default().sample_array(key, 3, 2)?);
    /// assert_eq!((single.dim(), single.mapv(f64::from)), ((3, 2), double));
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_array<T: From<f32>>(&self, key: Key, rows: usize, dim: usize) -> Result<Array2<T>, Error> {
        let values = self.sample(key, rows, dim)?.into_iter().map(T::from).collect();
        Array2::from_shape_vec((rows, dim), values).map_err(|_| Error::Memory { rows, dim })
    }

    /// Checks that rows of `dim` values can be drawn, without reading a whole data set.
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

/// Transforms standard normal values into draws of this distribution.
fn shape(kind: SourceKind, row: &mut [f32], rng: &mut impl Rng) {
    match kind {
        SourceKind::Gaussian => {}
        SourceKind::Matched { deviation } => row.iter_mut().for_each(|x| *x *= deviation as f32),
        SourceKind::Sparse { rate } => row.iter_mut().filter(|_| rng.random::<f64>() < rate).for_each(|x| *x = 0.0),
    }
}
