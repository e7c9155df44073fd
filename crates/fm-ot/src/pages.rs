//! Memory allocation for large matrices.

use crate::OtError;
use ndarray::Array2;

/// Size in bytes from which large pages are requested, as in NumPy.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

/// Number of entries that every machine can allocate.
const SMALL: usize = 1 << 22;

/// Fails unless an f64 matrix of this shape can be allocated; ndarray would abort the program.
pub(crate) fn check((rows, columns): (usize, usize)) -> Result<(), OtError> {
    let fits = |len: usize| len <= SMALL || Vec::<f64>::new().try_reserve_exact(len).is_ok();
    if rows.checked_mul(columns).is_some_and(fits) { Ok(()) } else { Err(OtError::Memory { rows, columns }) }
}

/// Zeros, with large pages requested for large matrices: each page of new memory costs a page
/// fault, which for 2048 x 2048 costs takes longer than computing them.
pub(crate) fn zeros(shape: (usize, usize)) -> Array2<f64> {
    let zeros = Array2::<f64>::zeros(shape);
    #[cfg(target_os = "linux")]
    if size_of::<f64>() * zeros.len() >= LARGE {
        const PAGE: usize = 4096;
        let start = zeros.as_ptr().addr();
        let (from, to) = (start.next_multiple_of(PAGE), start + size_of::<f64>() * zeros.len());
        let place = zeros.as_ptr().cast_mut().cast::<u8>().wrapping_add(from - start);
        // SAFETY: the advice covers whole pages of our own memory, from its first page boundary to
        // its end; it changes no content, and a refusal has no effect.
        #[allow(unsafe_code)]
        unsafe {
            libc::madvise(place.cast(), to - from, libc::MADV_HUGEPAGE);
        }
    }
    zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_ones_are_zeros() {
        for shape in [(0, 3), (3, 5), (800, 700)] {
            let zeros = zeros(shape);
            assert!(zeros.dim() == shape && zeros.iter().all(|v| *v == 0.0));
        }
    }

    #[test]
    fn what_no_machine_holds_is_refused() {
        assert!([(0, usize::MAX), (2000, 2000), (3000, 3000)].into_iter().all(|shape| check(shape).is_ok()));
        for shape in [(usize::MAX, 2), (usize::MAX / 16, 1), (1 << 31, 1 << 31)] {
            assert_eq!(check(shape), Err(OtError::Memory { rows: shape.0, columns: shape.1 }));
        }
    }
}
