//! Input checks that every metric performs before any computation.

use crate::MetricError;
use crate::points::{Points, Scalar, with_view};

/// The maximum number of rows of a set: products of two such numbers fit into 64 bits.
const MOST_ROWS: usize = 1 << 31;

/// The largest coordinate, above the range of f32: sums over many pairs of the cube of its square
/// are finite.
const LARGEST: f64 = 1e48;

/// Fails unless both sets have the same dimension and at least `least` rows each, and all values
/// are finite.
pub(crate) fn comparable(
    what: &'static str,
    least: usize,
    samples: Points<'_>,
    reference: Points<'_>,
) -> Result<(), MetricError> {
    same_space(samples.ncols(), reference.ncols())?;
    at_least(what, "samples", least, samples.nrows())?;
    at_least(what, "reference rows", least, reference.nrows())?;
    usable("samples", samples)?;
    usable("reference", reference)
}

/// Fails unless both have the same number of columns.
pub(crate) fn same_space(left: usize, right: usize) -> Result<(), MetricError> {
    if left == right { Ok(()) } else { Err(MetricError::Dimension { left, right }) }
}

/// Fails unless a set has at least `least` points.
pub(crate) fn at_least(what: &'static str, set: &'static str, least: usize, got: usize) -> Result<(), MetricError> {
    if got < least { Err(MetricError::TooFew { what, set, least, got }) } else { Ok(()) }
}

/// Fails unless a given number lies in its range.
pub(crate) fn count(what: &'static str, least: usize, most: usize, got: usize) -> Result<(), MetricError> {
    if (least..=most).contains(&got) { Ok(()) } else { Err(MetricError::Count { what, least, most, got }) }
}

/// Fails unless a set has columns, not too many rows, and only finite values of at most [`LARGEST`]
/// in magnitude.
pub(crate) fn usable(set: &'static str, rows: Points<'_>) -> Result<(), MetricError> {
    sized(set, rows.dim())?;
    if with_view!(rows, view => view.as_slice().is_some_and(all_in_range)) {
        return Ok(());
    }
    first_bad(set, 0, rows, |value| value.abs() <= LARGEST)
}

/// Fails unless a set has columns, and not too many rows.
pub(crate) fn sized(set: &'static str, (rows, columns): (usize, usize)) -> Result<(), MetricError> {
    if columns == 0 {
        return Err(MetricError::NoColumns { set });
    }
    count("the number of rows", 0, MOST_ROWS, rows)
}

/// Fails at the first invalid value in row order.
pub(crate) fn first_bad(
    set: &'static str,
    first_row: usize,
    rows: Points<'_>,
    legal: impl Fn(f64) -> bool,
) -> Result<(), MetricError> {
    for i in 0..rows.nrows() {
        if let Some((column, value)) = rows.row(i).into_iter().enumerate().find(|(_, value)| !legal(*value)) {
            return Err(MetricError::NotFinite { set, row: first_row + i, column, value });
        }
    }
    Ok(())
}

/// A sum of zero times each value is NaN exactly if a product is not finite, and needs no branch.
fn all_in_range<T: Scalar>(values: &[T]) -> bool {
    let mut sums = [0.0; 16];
    for block in values.chunks(16) {
        for (sum, value) in sums.iter_mut().zip(block) {
            let value: f64 = (*value).into();
            *sum += 0.0 * (value * (f64::MAX / LARGEST));
        }
    }
    sums.iter().all(|sum| *sum == 0.0)
}

/// The largest matrix of f64, in bytes: 8 GiB. It does not depend on the machine, whose operating
/// system may promise more than it has.
pub(crate) const MOST_BYTES: usize = 8 << 30;

/// Fails unless an f64 matrix of this shape is within [`MOST_BYTES`] and can be allocated; ndarray
/// would abort the program.
pub(crate) fn fits(rows: usize, columns: usize) -> Result<(), MetricError> {
    const SMALL: usize = 1 << 22;
    let free = |len: usize| len <= SMALL || Vec::<f64>::new().try_reserve_exact(len).is_ok();
    let fits = |len: usize| len <= MOST_BYTES / size_of::<f64>() && free(len);
    if rows.checked_mul(columns).is_some_and(fits) { Ok(()) } else { Err(MetricError::Memory { rows, columns }) }
}

/// The size of an f64 matrix in GiB.
pub(crate) fn gibibytes(rows: usize, columns: usize) -> f64 {
    8.0 * rows as f64 * columns as f64 / (1u64 << 30) as f64
}

/// A text on one line, cut to a maximum length.
pub(crate) fn brief(text: &str, most: usize) -> String {
    let line: String = fm_core::message::line(text).chars().take(most + 1).collect();
    if line.chars().count() <= most {
        line
    } else {
        line.chars().take(most.saturating_sub(3)).chain("...".chars()).collect()
    }
}

/// A path on one line, shortened to its end.
pub(crate) fn brief_path(path: &std::path::Path, most: usize) -> String {
    let line = brief(&path.display().to_string(), usize::MAX - 1);
    let length = line.chars().count();
    if length <= most { line } else { "...".chars().chain(line.chars().skip(length + 3 - most)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn usable<T: Scalar>(set: &'static str, rows: ndarray::ArrayView2<'_, T>) -> Result<(), MetricError> {
        super::usable(set, rows.into())
    }

    #[test]
    fn the_first_bad_value_is_named() {
        let mut rows = Array2::<f32>::zeros((40, 3));
        assert!(usable("samples", rows.view()).is_ok());
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            rows[[37, 2]] = 1.0;
            rows[[31, 1]] = value;
            rows[[38, 0]] = value;
            let error = usable("samples", rows.view()).unwrap_err();
            assert!(matches!(error, MetricError::NotFinite { set: "samples", row: 31, column: 1, .. }), "{error}");
            // Also for views that are not contiguous.
            let error = usable("samples", rows.t()).unwrap_err();
            assert!(matches!(error, MetricError::NotFinite { row: 0, column: 38, .. }), "{error}");
        }
        assert!(usable("samples", array![[f32::MAX, -f32::MAX]].view()).is_ok());
        for (value, legal) in [(1e47, true), (-1e47, true), (1e49, false), (-f64::MAX, false), (f64::NAN, false)] {
            assert_eq!(usable("samples", array![[0.0, value]].view()).is_ok(), legal, "{value}");
        }
        assert!(usable("samples", array![[u8::MAX]].view()).is_ok());
    }

    #[test]
    fn sets_of_absurd_shapes_are_errors() {
        let rows = Array2::<f32>::zeros((isize::MAX as usize, 0));
        assert!(matches!(usable("samples", rows.view()), Err(MetricError::NoColumns { set: "samples" })));
        let one = array![[1f32]];
        let many = one.broadcast((1 << 40, 1)).unwrap();
        assert!(matches!(usable("samples", many), Err(MetricError::Count { .. })));
        assert!(matches!(fits(usize::MAX, 2), Err(MetricError::Memory { .. })) && fits(3, 4).is_ok());
        // Features of 256 x 256 x 3 pixels have a covariance of 288 GiB.
        let text = fits(256 * 256 * 3, 256 * 256 * 3).unwrap_err().to_string();
        assert!(text.contains("288.0 GiB") && fits((1 << 16) + 1, 1 << 14).is_err(), "{text}");
        assert_eq!((brief("a\nb", 10), brief("abcdefgh", 6)), ("a b".into(), "abc...".into()));
        assert_eq!(brief_path("/some/long/file.npz".as_ref(), 11), "...file.npz");
    }
}
