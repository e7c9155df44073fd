//! The error of a palette of K colours: the mean squared error of k-means, a baseline for image
//! codecs of a known rate.
//!
//! Every pixel is replaced by the nearest of K colours; the rate is log2 K bits per pixel. The
//! initial colours are farthest points, followed by Lloyd's iteration until convergence. Error:
//! mean over pixels and channels, in squared units of the data. Source: Lloyd (1982).
//!
//! ```
//! use fm_metrics::palette::palette_error;
//! use ndarray::array;
//! let grey = array![[0.0f32], [0.2], [1.0], [1.2]];
//! assert!((palette_error(grey.view(), 2)? - 0.01).abs() < 1e-6); // colours 0.1 and 1.1
//! assert!(palette_error(grey.view(), 4)? < 1e-12);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{at_least, count, usable};
use crate::points::{Points, Scalar};
use ndarray::{Array2, ArrayView1, ArrayView2, s};

/// Maximum number of Lloyd iterations.
const ITERATIONS: usize = 100;

/// The error of the best K colours found for pixels (n, channels).
///
/// # Errors
/// No colours, fewer pixels than colours, no channels, values that are not finite.
pub fn palette_error<T: Scalar>(pixels: ArrayView2<'_, T>, colours: usize) -> Result<f64, MetricError> {
    match pixels.into() {
        Points::F32(pixels) => error_of(pixels, colours),
        Points::F64(pixels) => error_of(pixels, colours),
        // Colours lie between pixels.
        Points::U8(pixels) => error_of(pixels.mapv(f32::from).view(), colours),
    }
}

fn error_of<T: Scalar>(pixels: ArrayView2<'_, T>, colours: usize) -> Result<f64, MetricError> {
    count("the number of colours", 1, usize::MAX, colours)?;
    at_least("a palette of that many colours", "pixels", colours, pixels.nrows())?;
    usable("pixels", pixels.into())?;
    let mut palette = farthest(pixels, colours);
    let mut error = f64::INFINITY;
    for _ in 0..ITERATIONS {
        let mut sums = Array2::<f64>::zeros(palette.raw_dim());
        let (mut counts, mut total) = (vec![0usize; colours], 0.0);
        for pixel in pixels.rows() {
            let (k, squared) = closest(pixel, palette.view());
            total += squared;
            counts[k] += 1;
            sums.row_mut(k).zip_mut_with(&pixel, |sum, p| *sum += (*p).into());
        }
        let now = total / pixels.len() as f64;
        if now >= error * (1.0 - 1e-6) {
            return Ok(now);
        }
        error = now;
        for (k, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            palette.row_mut(k).zip_mut_with(&sums.row(k), |c, sum| *c = T::of(*sum / count as f64));
        }
    }
    Ok(error)
}

/// Initial colours: the first pixel, then repeatedly the pixel farthest from the chosen ones.
fn farthest<T: Scalar>(pixels: ArrayView2<'_, T>, colours: usize) -> Array2<T> {
    let mut palette = Array2::from_elem((colours, pixels.ncols()), T::of(0.0));
    let mut nearest = vec![f64::INFINITY; pixels.nrows()];
    let mut next = 0;
    for k in 0..colours {
        palette.row_mut(k).assign(&pixels.row(next));
        for (i, pixel) in pixels.rows().into_iter().enumerate() {
            nearest[i] = nearest[i].min(closest(pixel, palette.slice(s![k..=k, ..])).1);
        }
        next = (0..nearest.len()).max_by(|a, b| nearest[*a].total_cmp(&nearest[*b])).unwrap_or(0);
    }
    palette
}

/// The index of the nearest colour and its squared distance.
fn closest<T: Scalar>(pixel: ArrayView1<'_, T>, palette: ArrayView2<'_, T>) -> (usize, f64) {
    let apart = |(p, c): (&T, &T)| -> f64 {
        let (p, c): (f64, f64) = ((*p).into(), (*c).into());
        (p - c).powi(2)
    };
    let squared = |c: ArrayView1<'_, T>| pixel.iter().zip(c).map(apart).sum::<f64>();
    palette
        .rows()
        .into_iter()
        .map(squared)
        .enumerate()
        .fold((0, f64::INFINITY), |best, now| if now.1 < best.1 { now } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    /// For uniform values on [0, 1), K levels have the error 1/(12 K^2).
    #[test]
    fn uniform_grey_loses_what_theory_says() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let grey = Array2::from_shape_simple_fn((20_000, 1), || rng.random::<f32>());
        for k in [1, 4, 16] {
            let want = 1.0 / (12.0 * (k * k) as f64);
            let got = palette_error(grey.view(), k).unwrap();
            assert!((got / want - 1.0).abs() < 0.1, "{k} colours: {got} against {want}");
        }
        assert!(palette_error(grey.slice(s![..3, ..]), 4).is_err());
    }

    #[test]
    fn pixels_and_palettes_without_meaning_are_errors() {
        let pixels = ndarray::array![[0f32, 1.0], [2.0, f32::NAN]];
        assert!(matches!(palette_error(pixels.view(), 0), Err(MetricError::Count { least: 1, got: 0, .. })));
        assert!(matches!(palette_error(pixels.view(), usize::MAX), Err(MetricError::TooFew { .. })));
        assert!(matches!(palette_error(pixels.view(), 1), Err(MetricError::NotFinite { row: 1, column: 1, .. })));
        assert!(matches!(palette_error(Array2::<f32>::zeros((3, 0)).view(), 1), Err(MetricError::NoColumns { .. })));
        let far = ndarray::array![[f32::MAX], [-f32::MAX]];
        assert!(palette_error(far.view(), 1).unwrap().is_finite());
    }
}
