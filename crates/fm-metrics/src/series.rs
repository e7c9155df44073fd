//! Statistics of sequences: autocorrelation and power spectrum, and how far those of two sets are
//! apart.
//!
//! A set is (n, L C): n sequences of L places with C channels, place by place. With the mean m and
//! the variance s^2 of a channel over all sequences and places, the autocorrelation at lag k is
//! r_k = mean of (x_i - m) (x_{i+k} - m) / s^2 over all sequences and all pairs of places at this
//! distance. The spectrum is the mean periodogram of x - m, one-sided, at the frequencies j / L per
//! place. Units: r has none; the spectrum has that of x^2 per frequency.
//!
//! Two sets are compared by the root mean square of the difference of r over the lags 1 to L / 2,
//! and by that of 10 log10(S_a / S_b) over all frequencies above 0, in decibels. Source of the
//! latter: the log-spectral distance of Gray and Markel, "Distance measures for speech processing"
//! (1976).
//!
//! ```
//! use fm_metrics::series::{autocorrelation, spectrum};
//! use ndarray::array;
//! // One sequence that alternates: r_1 = -1, and all power is at frequency 1/2.
//! let x = array![[1.0, -1.0, 1.0, -1.0]];
//! assert_eq!(autocorrelation(x.view(), 4, 2)?.into_raw_vec_and_offset().0, [1.0, -1.0, 1.0]);
//! let s = spectrum(x.view(), 4)?.into_raw_vec_and_offset().0;
//! assert!(s[0].abs() < 1e-15 && s[1].abs() < 1e-15 && (s[2] - 4.0).abs() < 1e-12);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{at_least, comparable, count, usable};
use crate::points::Points;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// The least power of a spectrum relative to its largest: below, decibels measure rounding.
const FLOOR: f64 = 1e-12;

/// How far two sets of sequences are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apart {
    /// Root mean square difference of the autocorrelations.
    pub autocorrelation: f64,
    /// Log-spectral distance, in decibels.
    pub spectrum: f64,
}

/// Compares two sets of sequences of `length` places.
///
/// # Errors
/// Sets of different widths, empty ones, values that are not finite, and a length of less than 2
/// places or that does not divide the width.
pub fn compare(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>, length: usize) -> Result<Apart, MetricError> {
    comparable("the comparison of sequences", 1, Points::from(x), Points::from(y))?;
    count("the number of places", 2, 1 << 20, length)?;
    let lags = length / 2;
    let (r, s) = (
        autocorrelation(x, length, lags)? - autocorrelation(y, length, lags)?,
        [spectrum(x, length)?, spectrum(y, length)?],
    );
    let rms = |values: &mut dyn Iterator<Item = f64>| {
        let (sum, n) = values.fold((0.0, 0usize), |(sum, n), v| (sum + v * v, n + 1));
        (sum / n.max(1) as f64).sqrt()
    };
    let floors = s.each_ref().map(|s| s.iter().copied().fold(f64::MIN_POSITIVE, f64::max) * FLOOR);
    let level = |value: f64, floor: f64| 10.0 * value.max(floor).log10();
    let above = |s: &Array2<f64>| s.slice_axis(Axis(0), (1..).into()).to_owned();
    let (a, b) = (above(&s[0]), above(&s[1]));
    let levels = a.iter().zip(&b).map(|(a, b)| level(*a, floors[0]) - level(*b, floors[1]));
    Ok(Apart {
        autocorrelation: rms(&mut r.slice_axis(Axis(0), (1..).into()).iter().copied()),
        spectrum: rms(&mut { levels }),
    })
}

/// The autocorrelation at the lags 0 to `lags`, (lags + 1, channels); 0 for a constant channel.
///
/// # Errors
/// As [`compare`], and a lag of `length` or more.
pub fn autocorrelation(x: ArrayView2<'_, f64>, length: usize, lags: usize) -> Result<Array2<f64>, MetricError> {
    let x = centred(x, length)?;
    count("the largest lag", 0, length - 1, lags)?;
    let (_, _, channels) = x.dim();
    let mut found = Array2::zeros((lags + 1, channels));
    for c in 0..channels {
        let channel = x.index_axis(Axis(2), c);
        let at = |lag: usize| {
            let (early, late) =
                (channel.slice_axis(Axis(1), (..length - lag).into()), channel.slice_axis(Axis(1), (lag..).into()));
            (&early * &late).mean().unwrap_or(0.0)
        };
        let variance = at(0);
        for lag in 0..=lags {
            found[[lag, c]] = if variance > 0.0 { at(lag) / variance } else { 0.0 };
        }
    }
    Ok(found)
}

/// The one-sided power spectrum, (length / 2 + 1, channels).
///
/// # Errors
/// As [`compare`].
pub fn spectrum(x: ArrayView2<'_, f64>, length: usize) -> Result<Array2<f64>, MetricError> {
    let x = centred(x, length)?;
    let (rows, _, channels) = x.dim();
    let transform = FftPlanner::new().plan_fft_forward(length);
    let mut found = Array2::zeros((length / 2 + 1, channels));
    let mut buffer = vec![Complex::new(0.0, 0.0); length];
    for row in x.outer_iter() {
        for c in 0..channels {
            buffer.iter_mut().zip(row.column(c)).for_each(|(to, value)| *to = Complex::new(*value, 0.0));
            transform.process(&mut buffer);
            for (j, power) in found.column_mut(c).iter_mut().enumerate() {
                // Negative frequencies count at positive ones, except those that have none.
                let sides = if j == 0 || 2 * j == length { 1.0 } else { 2.0 };
                *power += sides * buffer[j].norm_sqr() / (length * rows) as f64;
            }
        }
    }
    Ok(found)
}

/// The set as (n, length, channels), without the mean of each channel.
fn centred(x: ArrayView2<'_, f64>, length: usize) -> Result<ndarray::Array3<f64>, MetricError> {
    at_least("the statistics of sequences", "sequences", 1, x.nrows())?;
    usable("sequences", Points::from(x))?;
    count("the number of places", 1, x.ncols(), length)?;
    let channels = x.ncols() / length;
    if channels * length != x.ncols() {
        return Err(MetricError::Dimension { left: x.ncols(), right: channels * length });
    }
    let x = x.to_owned();
    let view = ArrayView3::from_shape((x.nrows(), length, channels), x.as_slice().unwrap_or_default());
    let view = view.map_err(|_| MetricError::Dimension { left: x.ncols(), right: channels * length })?;
    let means = view.mean_axis(Axis(0)).and_then(|places| places.mean_axis(Axis(0)));
    Ok(means.map_or_else(|| view.to_owned(), |means| &view - &means))
}
