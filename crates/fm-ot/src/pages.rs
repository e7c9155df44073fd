//! Memory of large matrices.

use ndarray::Array2;

/// From so many bytes on, as NumPy does.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

/// Zeros, of which large ones ask the system for large pages: each page of fresh memory costs a fault, which for 2048 x 2048 costs takes longer
/// than computing them.
pub(crate) fn zeros(shape: (usize, usize)) -> Array2<f64> {
    let zeros = Array2::<f64>::zeros(shape);
    #[cfg(target_os = "linux")]
    if size_of::<f64>() * zeros.len() >= LARGE {
        const PAGE: usize = 4096;
        let start = zeros.as_ptr().addr();
        let (from, to) = (start.next_multiple_of(PAGE), start + size_of::<f64>() * zeros.len());
        let place = zeros.as_ptr().cast_mut().cast::<u8>().wrapping_add(from - start);
        // SAFETY: advice on whole pages of our own memory, from its first boundary to its end; it changes no content, and a refusal changes nothing.
        #[allow(unsafe_code)]
        unsafe {
            libc::madvise(place.cast(), to - from, libc::MADV_HUGEPAGE);
        }
    }
    zeros
}

#[cfg(test)]
mod tests {
    #[test]
    fn small_and_large_ones_are_zeros() {
        for shape in [(0, 3), (3, 5), (800, 700)] {
            let zeros = super::zeros(shape);
            assert!(zeros.dim() == shape && zeros.iter().all(|v| *v == 0.0));
        }
    }
}
