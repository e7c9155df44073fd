//! Rows of points of any coordinate type, converted to f64 block by block.
//!
//! Metrics are compiled once, for [`Points`], rather than once per type in each calling crate.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use std::ops::Range;

/// The type of a coordinate: f32, f64, or u8 (pixels). Everything is computed in f64.
pub trait Scalar: Copy + Into<f64> + Send + Sync + Sealed + 'static {}

/// A coordinate type that results may also have: f32 or f64.
pub trait Real: Scalar {}

impl Real for f32 {}
impl Real for f64 {}

/// Restricts [`Scalar`] to the types of [`Points`].
pub trait Sealed: Sized {
    #[doc(hidden)]
    fn points(rows: ArrayView2<'_, Self>) -> Points<'_>;
    #[doc(hidden)]
    fn of(value: f64) -> Self;
}

/// Rows of one of the coordinate types.
#[derive(Debug, Clone, Copy)]
pub enum Points<'a> {
    #[doc(hidden)]
    U8(ArrayView2<'a, u8>),
    #[doc(hidden)]
    F32(ArrayView2<'a, f32>),
    #[doc(hidden)]
    F64(ArrayView2<'a, f64>),
}

macro_rules! scalar {
    ($($type:ty, $variant:ident);*) => {
        $(impl Scalar for $type {}

        impl Sealed for $type {
            fn points(rows: ArrayView2<'_, Self>) -> Points<'_> {
                Points::$variant(rows)
            }

            fn of(value: f64) -> Self {
                value as Self
            }
        })*
    };
}

scalar!(u8, U8; f32, F32; f64, F64);

/// Evaluates the same expression for the view of each type.
macro_rules! with_view {
    ($points:expr, $view:ident => $result:expr) => {
        match $points {
            $crate::points::Points::U8($view) => $result,
            $crate::points::Points::F32($view) => $result,
            $crate::points::Points::F64($view) => $result,
        }
    };
}
pub(crate) use with_view;

impl<'a, T: Scalar> From<ArrayView2<'a, T>> for Points<'a> {
    fn from(rows: ArrayView2<'a, T>) -> Self {
        T::points(rows)
    }
}

impl Points<'_> {
    pub(crate) fn dim(&self) -> (usize, usize) {
        with_view!(self, view => view.dim())
    }

    pub(crate) fn nrows(&self) -> usize {
        self.dim().0
    }

    pub(crate) fn ncols(&self) -> usize {
        self.dim().1
    }

    /// A range of rows.
    pub(crate) fn rows(&self, range: Range<usize>) -> Points<'_> {
        match self {
            Points::U8(view) => Points::U8(view.slice(s![range, ..])),
            Points::F32(view) => Points::F32(view.slice(s![range, ..])),
            Points::F64(view) => Points::F64(view.slice(s![range, ..])),
        }
    }

    /// All rows in f64.
    pub(crate) fn to_f64(self) -> Array2<f64> {
        with_view!(self, view => view.mapv(Into::into))
    }

    /// Rows with the given indices, in f64.
    pub(crate) fn select(&self, rows: &[usize]) -> Array2<f64> {
        with_view!(self, view => view.select(Axis(0), rows).mapv(Into::into))
    }

    pub(crate) fn row(&self, i: usize) -> Vec<f64> {
        with_view!(self, view => values(view.row(i)))
    }

    pub(crate) fn columns(&self) -> Vec<Vec<f64>> {
        with_view!(self, view => view.columns().into_iter().map(values).collect())
    }

    /// The dot product of each row with a vector.
    pub(crate) fn dot(&self, vector: &[f64]) -> Vec<f64> {
        with_view!(self, view => view.rows().into_iter().map(|row| product(row, vector)).collect())
    }

    /// The Euclidean distance between row i and row j of `others`.
    pub(crate) fn distance(&self, i: usize, others: &Points<'_>, j: usize) -> f64 {
        with_view!(self, a => with_view!(others, b => distance(a.row(i), b.row(j))))
    }

    /// The mean of all rows.
    pub(crate) fn mean(self) -> Array1<f64> {
        self.to_f64().mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(self.ncols()))
    }

    /// Whether some coordinate cannot be represented in f32; always false for f32 and u8.
    pub(crate) fn beyond_f32(&self) -> bool {
        matches!(self, Points::F64(view) if view.iter().any(|v| f64::from(*v as f32) != *v))
    }
}

fn values<T: Scalar>(line: ArrayView1<'_, T>) -> Vec<f64> {
    line.iter().map(|v| (*v).into()).collect()
}

fn product<T: Scalar>(row: ArrayView1<'_, T>, vector: &[f64]) -> f64 {
    row.iter()
        .zip(vector)
        .map(|(v, t)| {
            let v: f64 = (*v).into();
            v * t
        })
        .sum()
}

fn distance<S: Scalar, T: Scalar>(x: ArrayView1<'_, S>, y: ArrayView1<'_, T>) -> f64 {
    let square = |(a, b): (&S, &T)| -> f64 {
        let (a, b): (f64, f64) = ((*a).into(), (*b).into());
        (a - b).powi(2)
    };
    x.iter().zip(y).map(square).sum::<f64>().sqrt()
}
