//! Coordinates in the cost computations: values are converted to f64 before any arithmetic.

/// A coordinate that converts to f64.
pub(crate) trait Element: Copy + Into<f64> + Send + Sync {}

impl<T: Copy + Into<f64> + Send + Sync> Element for T {}

/// A coordinate in f64.
#[inline(always)]
pub(crate) fn f64_of<T: Element>(value: T) -> f64 {
    value.into()
}
