//! A column as a standard normal variable, by its quantiles.
//!
//! z = Phi^-1(F(x)). F(x) is linear between the quantiles of the column at equal probabilities;
//! where quantiles repeat, it is the mean of its limits from both sides. Values at the ends or
//! beyond become Phi^-1(1e-7) = -5.199 and 5.199, and a constant column becomes 0. The inverse
//! takes each z to a value between the least and the greatest of the column.
//!
//! A column has 1000 quantiles, or as many as it has rows; all columns have at most 2^18.
//!
//! Source: scikit-learn's `QuantileTransformer(output_distribution="normal")`.

use fm_core::normal;

/// The probability of the ends.
const END: f64 = 1e-7;

/// The quantile of sorted values for a probability, by linear interpolation.
pub(crate) fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let place = probability * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let (a, b) = (sorted[below], sorted[(below + 1).min(sorted.len() - 1)]);
    a + (b - a) * (place - below as f64)
}

/// At most `most` quantiles of sorted values, from the least to the greatest value.
pub(crate) fn quantiles(sorted: &[f64], most: usize) -> Vec<f64> {
    let count = sorted.len().min(most);
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count).map(|k| quantile(sorted, k as f64 / last)).collect()
}

/// The normal value of `x`.
pub(crate) fn to_normal(quantiles: &[f64], x: f64) -> f64 {
    let (Some(least), Some(greatest)) = (quantiles.first(), quantiles.last()) else { return x };
    let end = normal::quantile(END);
    match x {
        _ if x.is_nan() => x,
        _ if least == greatest => 0.0,
        _ if x <= *least => end,
        _ if x >= *greatest => -end,
        _ => normal::quantile(probability(quantiles, x)).clamp(end, -end),
    }
}

/// F(x) of a value between the quantiles.
fn probability(quantiles: &[f64], x: f64) -> f64 {
    let last = (quantiles.len() - 1) as f64;
    let (from_left, from_right) = (quantiles.partition_point(|q| *q < x), quantiles.partition_point(|q| *q <= x));
    if from_left < from_right {
        return 0.5 * (from_left + from_right - 1) as f64 / last;
    }
    let (a, b) = (quantiles[from_left - 1], quantiles[from_left]);
    ((from_left - 1) as f64 + (x - a) / (b - a)) / last
}

/// The value whose normal value is `z`.
pub(crate) fn from_normal(quantiles: &[f64], z: f64) -> f64 {
    let (Some(least), Some(greatest)) = (quantiles.first(), quantiles.last()) else { return z };
    let probability = normal::cdf(z);
    if probability < END {
        *least
    } else if probability > 1.0 - END {
        *greatest
    } else {
        quantile(quantiles, probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_return_and_repeated_ones_have_the_middle_of_their_probabilities() {
        let column: Vec<f64> = (0..50).map(|k| f64::from(k * k)).collect();
        let own = quantiles(&column, 1000);
        assert!(own.iter().zip(&column).all(|(q, x)| (q - x).abs() < 1e-9), "{own:?}");
        for x in [1.0, 3.7, 400.0, 2400.0] {
            assert!((from_normal(&own, to_normal(&own, x)) - x).abs() < 1e-9 * x, "{x}");
        }
        assert_eq!(to_normal(&[0.0, 1.0, 1.0, 1.0, 2.0], 1.0), 0.0);
        assert_eq!((to_normal(&own, -9.0), to_normal(&own, 1e9)), (normal::quantile(1e-7), -normal::quantile(1e-7)));
        assert_eq!((from_normal(&own, -9.0), from_normal(&own, 9.0)), (0.0, 2401.0));
        // One value, or none.
        assert_eq!((from_normal(&[3.0], 0.4), quantiles(&[], 9).len()), (3.0, 0));
    }
}
