//! Element types of point arrays.
//!
//! Points may be f32 or f64. Both are converted to f64 before any arithmetic.

use crate::OtError;
use crate::cost::{cosine, euclidean};
use ndarray::{Array2, ArrayView2};

/// The type of a coordinate: f32 or f64.
pub trait Scalar: Copy + Into<f64> + Send + Sync + Kernels {}

/// Functions compiled and optimised once per type in this crate, rather than in each crate that
/// calls them.
pub trait Kernels: Sized {
    #[doc(hidden)]
    fn squared_euclidean(x: ArrayView2<'_, Self>, y: ArrayView2<'_, Self>) -> Result<Array2<f64>, OtError>;
    #[doc(hidden)]
    fn cosine(x: ArrayView2<'_, Self>, y: ArrayView2<'_, Self>) -> Result<Array2<f64>, OtError>;
    #[doc(hidden)]
    fn of(value: f64) -> Self;
}

macro_rules! scalar {
    ($type:ty) => {
        impl Scalar for $type {}

        impl Kernels for $type {
            fn squared_euclidean(x: ArrayView2<'_, Self>, y: ArrayView2<'_, Self>) -> Result<Array2<f64>, OtError> {
                euclidean::squared_euclidean(x, y)
            }

            fn cosine(x: ArrayView2<'_, Self>, y: ArrayView2<'_, Self>) -> Result<Array2<f64>, OtError> {
                cosine::cosine(x, y)
            }

            fn of(value: f64) -> Self {
                value as Self
            }
        }
    };
}

scalar!(f32);
scalar!(f64);
