//! Bicubic resampling, bit-identical to that of Pillow for float images.
//!
//! Each output pixel is a weighted mean of the input around its centre. The kernel is Keys' cubic
//! with a = -1/2, widened by the scale when an image shrinks (which prevents aliasing, the purpose
//! of the `clean-fid` protocol), applied first along rows, then along columns. Weights and sums are
//! f64, intermediate values between the passes are f32. Source: Parmar et al., "On aliased resizing
//! and surprising subtleties in GAN evaluation" (2022).
//!
//! ```
//! use fm_metrics::resize::bicubic;
//! // Doubling the width: weights of -9/128, 111/128, 29/128 and -3/128 around each quarter, renormalised at the border.
//! let wide = bicubic(&[0.0, 0.0, 0.0, 128.0, 0.0, 0.0, 0.0], (1, 7), (1, 14))?;
//! assert_eq!(wide[3..11], [-3.0, -9.0, 29.0, 111.0, 111.0, 29.0, -9.0, -3.0]);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{fits, usable};
use ndarray::ArrayView2;

/// Resizes an image of (height, width), in row-major order. Values may exceed the range of the
/// input.
///
/// # Errors
/// [`MetricError::Size`] for an image of another number of values, or a size without pixels; values
/// that are not finite; an image that does not fit into memory.
pub fn bicubic(image: &[f32], from: (usize, usize), to: (usize, usize)) -> Result<Vec<f32>, MetricError> {
    let wrong = |_| MetricError::Size { values: image.len(), from, to };
    let rows = ArrayView2::from_shape(from, image).map_err(wrong)?;
    if rows.len() != image.len() || [from.0, from.1, to.0, to.1].contains(&0) {
        return Err(MetricError::Size { values: image.len(), from, to });
    }
    usable("image", rows.into())?;
    fits(from.0, to.1)?;
    fits(to.0, to.1)?;
    // Memory for the weights of each row and column.
    fits(to.0.saturating_add(to.1), 16)?;
    Ok(resized(image, from, to))
}

fn resized(image: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    let narrow = if from.1 == to.1 { image.to_vec() } else { rows(image, from, &weights(from.1, to.1)) };
    if from.0 == to.0 {
        return narrow;
    }
    columns(&narrow, to.1, &weights(from.0, to.0))
}

/// The input pixels that contribute to an output pixel, starting at the first.
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

fn weights(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let widened = scale.max(1.0);
    let support = 2.0 * widened;
    let taps = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let first = ((centre - support + 0.5) as i64).max(0) as usize;
        let end = ((centre + support + 0.5) as i64).clamp(0, from as i64) as usize;
        let inverse = 1.0 / widened;
        let mut weights: Vec<f64> = (first..end).map(|j| cubic(((j as f64) - centre + 0.5) * inverse)).collect();
        let sum: f64 = weights.iter().sum();
        if sum != 0.0 {
            weights.iter_mut().for_each(|w| *w *= 1.0 / sum);
        }
        Taps { first, weights }
    };
    (0..to).map(taps).collect()
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn rows(image: &[f32], (_, width): (usize, usize), taps: &[Taps]) -> Vec<f32> {
    let mean = |row: &[f32], t: &Taps| {
        let sum = t.weights.iter().zip(&row[t.first..]).fold(0.0, |sum, (w, v)| sum + f64::from(*v) * w);
        sum as f32
    };
    image.chunks_exact(width.max(1)).flat_map(|row| taps.iter().map(move |t| mean(row, t))).collect()
}

fn columns(image: &[f32], width: usize, taps: &[Taps]) -> Vec<f32> {
    let mut out = Vec::with_capacity(taps.len() * width);
    let mut sums = vec![0f64; width];
    for t in taps {
        sums.fill(0.0);
        for (w, row) in t.weights.iter().zip(image[t.first * width..].chunks_exact(width.max(1))) {
            sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v) * w);
        }
        out.extend(sums.iter().map(|sum| *sum as f32));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_another_size_are_errors() {
        let image = [1f32; 6];
        let size = |from, to| matches!(bicubic(&image, from, to), Err(MetricError::Size { values: 6, .. }));
        assert!(size((2, 2), (4, 4)) && size((3, 3), (4, 4)) && size((usize::MAX, usize::MAX), (1, 1)));
        assert!(size((0, 6), (1, 1)) && size((2, 3), (0, 4)) && size((2, 3), (4, 0)));
        assert!(matches!(bicubic(&image, (2, 3), (usize::MAX, 2)), Err(MetricError::Memory { .. })));
        assert!(matches!(bicubic(&[0.0, f32::NAN], (1, 2), (1, 1)), Err(MetricError::NotFinite { column: 1, .. })));
        assert_eq!(bicubic(&image, (2, 3), (1, 1)).unwrap(), [1.0]);
    }
}
