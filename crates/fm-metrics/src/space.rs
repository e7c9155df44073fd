//! What the numbers of rows mean: the shape of a row and the range of its values.
//!
//! Distances of pixels depend on the scale of the pixels: bytes of 0..255 and digits of 0..16 are
//! arrays of one type, and a distance between them means nothing. Rows of a declared space are
//! checked against it, and compared only with rows of the same space.
//!
//! ```
//! use fm_metrics::evaluation::{Evaluation, energy_distance};
//! use fm_metrics::space::{Labelled, Space};
//! let bytes = ndarray::array![[0.0f32, 255.0, 40.0, 9.0], [13.0, 70.0, 200.0, 255.0]];
//! let digits = ndarray::array![[0.0f32, 16.0, 3.0, 1.0], [16.0, 2.0, 5.0, 7.0]];
//! let of = |high| Space::pixels(&[2, 2], 0.0, high);
//! let (bytes, digits) =
//!     (Labelled::new("samples", bytes.view(), of(255.0)?)?, Labelled::new("reference", digits.view(), of(16.0)?)?);
//! let error = bytes.same_space(&digits).unwrap_err().to_string();
//! assert!(error.starts_with("cannot compare pixels [2, 2] from 0 to 255 with pixels [2, 2] from 0 to 16"), "{error}");
//! assert_eq!(Evaluation::new([energy_distance()]).run_in(&bytes, &digits).errors().count(), 1);
//! // A wrong declaration is an error, too.
//! assert!(Labelled::new("samples", bytes.rows(), of(16.0)?).is_err());
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{self, same_space, usable};
use crate::points::{Points, Scalar};
use ndarray::ArrayView2;
use std::fmt;

/// The largest number of values in a row.
const MOST: usize = 1 << 31;

/// The shape of a row and the range of its values, or the network whose features they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    name: String,
    shape: Vec<usize>,
    range: Option<(f64, f64)>,
}

impl Space {
    /// Pixels of this shape with values from `low` to `high`: 0 and 255 for bytes, -1 and 1 for
    /// the values of a network.
    ///
    /// # Errors
    /// [`MetricError::NoSpace`] for a size of 0, more than 2^31 values, or a range whose ends are
    /// not finite numbers with the lower first.
    pub fn pixels(shape: &[usize], low: f64, high: f64) -> Result<Self, MetricError> {
        let size = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
        let legal = size.is_some_and(|size| (1..=MOST).contains(&size)) && low < high && (high - low).is_finite();
        if legal {
            Ok(Self { name: "pixels".into(), shape: shape.to_vec(), range: Some((low, high)) })
        } else {
            Err(MetricError::NoSpace { shape: shape.to_vec(), low, high })
        }
    }

    /// Features of a network, which have a number and no range.
    pub fn features(network: &str, count: usize) -> Self {
        Self { name: network.into(), shape: vec![count], range: None }
    }

    /// Values per row.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Fails unless both are the same space; different widths come first.
    ///
    /// # Errors
    /// [`MetricError::Dimension`] for different widths, [`MetricError::Space`] for different
    /// shapes, ranges or networks.
    pub fn same(&self, other: &Self) -> Result<(), MetricError> {
        same_space(self.width(), other.width())?;
        if self == other {
            Ok(())
        } else {
            Err(MetricError::Space { left: self.to_string(), right: other.to_string() })
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", checks::brief(&self.name, 40), fm_core::message::shape(&self.shape))?;
        match self.range {
            Some((low, high)) => {
                write!(f, " from {} to {}", fm_core::message::number(&low), fm_core::message::number(&high))
            }
            None => Ok(()),
        }
    }
}

/// Rows (n, d) that lie in a space.
#[derive(Debug, Clone)]
pub struct Labelled<'a, T = f32> {
    rows: ArrayView2<'a, T>,
    space: Space,
}

impl<'a, T: Scalar> Labelled<'a, T> {
    /// Rows of a set (samples, reference) in their space.
    ///
    /// # Errors
    /// [`MetricError::Dimension`] for rows of another width, [`MetricError::NotFinite`],
    /// [`MetricError::Range`] for a value outside the range.
    pub fn new(set: &'static str, rows: ArrayView2<'a, T>, space: Space) -> Result<Self, MetricError> {
        let points = Points::from(rows);
        same_space(points.ncols(), space.width())?;
        usable(set, points)?;
        if let Some((low, high)) = space.range {
            let outside = rows.indexed_iter().map(|(place, v)| (place, (*v).into()));
            let found = outside.into_iter().find(|(_, v): &(_, f64)| !(low..=high).contains(v));
            if let Some(((row, column), value)) = found {
                return Err(MetricError::Range { set, space: space.to_string(), row, column, value });
            }
        }
        Ok(Self { rows, space })
    }

    /// The rows.
    pub fn rows(&self) -> ArrayView2<'a, T> {
        self.rows
    }

    /// Their space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Fails unless both sets lie in one space; a metric of both is then meaningful.
    ///
    /// # Errors
    /// As [`Space::same`].
    pub fn same_space<S>(&self, other: &Labelled<'_, S>) -> Result<(), MetricError> {
        self.space.same(&other.space)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn widths_shapes_ranges_and_networks_are_told_apart() {
        let of = |shape: &[usize], low, high| Space::pixels(shape, low, high).unwrap();
        let (wide, small) = (of(&[28, 28], 0.0, 255.0), of(&[8, 8], 0.0, 16.0));
        assert!(matches!(wide.same(&small), Err(MetricError::Dimension { left: 784, right: 64 })));
        for (a, b) in [
            (of(&[8, 8], 0.0, 255.0), small.clone()),
            (of(&[8, 8], 0.0, 1.0), of(&[8, 8], -1.0, 1.0)),
            (of(&[4, 16], 0.0, 16.0), small.clone()),
            (Space::features("inception", 64), small.clone()),
            (Space::features("inception", 64), Space::features("resnet20", 64)),
        ] {
            assert!(matches!(a.same(&b), Err(MetricError::Space { .. })), "{a} {b}");
            assert!(a.same(&a.clone()).is_ok());
        }
    }

    #[test]
    fn declarations_that_do_not_hold_are_errors() {
        let rows = Array2::from_shape_fn((3, 4), |(i, j)| (10 * i + j) as f32);
        let space = |high| Space::pixels(&[2, 2], 0.0, high).unwrap();
        assert!(Labelled::new("samples", rows.view(), space(23.0)).is_ok());
        let found = Labelled::new("samples", rows.view(), space(16.0)).unwrap_err();
        assert!(matches!(found, MetricError::Range { row: 2, column: 0, value: 20.0, .. }), "{found}");
        let found = Labelled::new("samples", rows.view(), Space::features("x", 5));
        assert!(matches!(found, Err(MetricError::Dimension { left: 4, right: 5 })));
        let broken = rows.mapv(|v| if v == 21.0 { f32::NAN } else { v });
        let found = Labelled::new("samples", broken.view(), space(255.0));
        assert!(matches!(found, Err(MetricError::NotFinite { row: 2, column: 1, .. })));
        let bytes = rows.mapv(|v| v as u8);
        assert!(Labelled::new("samples", bytes.view(), space(22.0)).is_err());
        for (shape, low, high) in [
            (&[0, 2][..], 0.0, 1.0),
            (&[usize::MAX, 2], 0.0, 1.0),
            (&[2], 1.0, 1.0),
            (&[2], 1.0, 0.0),
            (&[2], f64::NAN, 1.0),
            (&[2], 0.0, f64::INFINITY),
            (&[2], -f64::MAX, f64::MAX),
        ] {
            assert!(matches!(Space::pixels(shape, low, high), Err(MetricError::NoSpace { .. })), "{shape:?}");
        }
    }
}
