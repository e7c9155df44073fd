//! Allocation of matrices.

use crate::{OtError, memory};
use ndarray::Array2;

/// Size in bytes from which large pages are requested, as in NumPy.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

/// Zeros, if a matrix of this shape is within the limit of memory.
pub(crate) fn zeros(shape: (usize, usize)) -> Result<Array2<f64>, OtError> {
    memory::check(shape, 1)?;
    Ok(block(shape))
}

/// Zeros of a shape that is known to be small or was checked, with large pages requested for large
/// matrices: each page of new memory costs a page fault, which for 2048 x 2048 costs takes longer
/// than computing them.
pub(crate) fn block(shape: (usize, usize)) -> Array2<f64> {
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
            let zeros = zeros(shape).unwrap();
            assert!(zeros.dim() == shape && zeros.iter().all(|v| *v == 0.0));
        }
    }
}
