//! The values of black and white in an array of images.

use crate::DataError;
use std::fmt;
use std::str::FromStr;

/// The values of an array that are black and white: the byte of a value v is
/// 255 (v - low) / (high - low), rounded and clamped to 0 to 255.
///
/// Without a given range,
///
/// | values | range |
/// |---|---|
/// | uint8, and other integers from 0 to 255 | 0 to 255 |
/// | bool | 0 to 1 |
/// | floats from 0 to 1 (up to 0.001 outside) | 0 to 1 |
/// | floats from below -0.5 to 1; outside [-1.25, 1.25] lie at most 1 % of them, and none outside [-3, 3] | -1 to 1 |
///
/// and other values are an error.
///
/// ```
/// use fm_data::npy::ValueRange;
/// let range: ValueRange = "-1..1".parse()?;
/// assert_eq!((range.byte(-1.0), range.byte(0.0), range.byte(1.1)), (0, 128, 255));
/// assert_eq!(ValueRange::new(0.0, 16.0).unwrap().to_string(), "0..16");
/// assert!("1..1".parse::<ValueRange>().is_err());
/// # Ok::<(), fm_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueRange {
    low: f64,
    high: f64,
}

// Both ends are finite.
impl Eq for ValueRange {}

impl ValueRange {
    /// Bytes.
    pub(super) const BYTES: Self = Self { low: 0.0, high: 255.0 };
    /// Values of [0, 1].
    pub(super) const UNIT: Self = Self { low: 0.0, high: 1.0 };
    /// Values of [-1, 1].
    const SYMMETRIC: Self = Self { low: -1.0, high: 1.0 };

    /// The range from black to white; `None` unless both are finite, and black is below white.
    pub fn new(low: f64, high: f64) -> Option<Self> {
        (low < high && (high - low).is_finite()).then_some(Self { low, high })
    }

    /// The nearest byte of a value.
    #[inline]
    pub fn byte(&self, value: f64) -> u8 {
        // The cast to u8 clamps.
        ((value - self.low) / (self.high - self.low) * 255.0).round() as u8
    }

    /// Whether a value lies in the range.
    #[inline]
    pub(super) fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Whether a value lies outside the range by more than half its width.
    #[inline]
    pub(super) fn is_far(&self, value: f64) -> bool {
        (value - 0.5 * (self.low + self.high)).abs() > self.high - self.low
    }
}

impl fmt::Display for ValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.low, self.high)
    }
}

impl FromStr for ValueRange {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let ends = text.split_once("..").or_else(|| text.split_once(',')).and_then(|(low, high)| {
            let end = |text: &str| text.trim().trim_start_matches('=').parse().ok();
            Self::new(end(low)?, end(high)?)
        });
        ends.ok_or_else(|| DataError::Option {
            what: "a range of values",
            given: text.into(),
            remedy: "give black and white, as in 0..1, -1..1 or 0..255".into(),
        })
    }
}

/// A value in few digits: those of f32, if they suffice.
pub(super) fn shown(value: f64) -> String {
    let narrow = value as f32;
    let few = value == 0.0 || (1e-5..1e9).contains(&value.abs());
    match (few, f64::from(narrow) == value) {
        (true, true) => narrow.to_string(),
        (true, false) => value.to_string(),
        (false, _) => format!("{narrow:e}"),
    }
}

/// Statistics from which the range of floats is recognised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) least: f64,
    pub(super) most: f64,
    count: usize,
    far: usize,
}

impl Extent {
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let none = Self { least: f64::INFINITY, most: f64::NEG_INFINITY, count: 0, far: 0 };
        values.fold(none, |all, v| Self {
            least: all.least.min(v),
            most: all.most.max(v),
            count: all.count + 1,
            far: all.far + usize::from(v.abs() > 1.25),
        })
    }

    /// The range of floats with this extent, if it is one of the usual ones.
    pub(super) fn recognise(&self) -> Option<ValueRange> {
        let (least, most) = (self.least, self.most);
        if least >= -1e-3 && most <= 1.0 + 1e-3 {
            Some(ValueRange::UNIT)
        } else if (-3.0..-0.5).contains(&least) && most <= 3.0 && self.far * 100 <= self.count {
            Some(ValueRange::SYMMETRIC)
        } else {
            None
        }
    }

    /// Why a range must be given, and how, for values of this extent.
    pub(super) fn advice(&self) -> (String, String) {
        let (least, most) = (self.least, self.most);
        let problem = format!("its values are {} to {}, not in [0, 1] or [-1, 1]", shown(least), shown(most));
        let remedy = if least >= 0.0 && most <= 255.0 {
            "name what is white: range=0..255 after a colon, or 0..1 or 0..16".into()
        } else if least >= 0.0 {
            let white = if most > 4095.0 && most <= 65535.0 { 65535.0 } else { most };
            format!("name black and white after a colon: range=0..{}", shown(white))
        } else if least >= -0.5 && most <= 1.5 {
            "name black and white after a colon: range=0..1 or range=-1..1".into()
        } else {
            "add :range=-1..1 to samples of a network, or undo the standardisation first (x * std + mean)".into()
        };
        (problem, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognise(values: &[f64]) -> Option<ValueRange> {
        Extent::of(values.iter().copied()).recognise()
    }

    #[test]
    fn usual_ranges_are_recognised_and_others_not() {
        assert_eq!(recognise(&[0.0, 1.0]), Some(ValueRange::UNIT));
        assert_eq!(recognise(&[0.2, 0.7, 1.0005]), Some(ValueRange::UNIT));
        assert_eq!(recognise(&[-1.0, 0.3, 1.0]), Some(ValueRange::SYMMETRIC));
        assert_eq!(recognise(&[-1.2, 0.3, 1.1]), Some(ValueRange::SYMMETRIC));
        let mut samples = vec![-1.01; 1000];
        samples[7] = 1.9;
        assert_eq!(recognise(&samples), Some(ValueRange::SYMMETRIC));
        for other in
            [&[0.0, 255.0][..], &[-2.1, 0.0, 0.1, 2.6], &[-0.02, 1.03], &[-0.42, 2.82], &[0.0, 1.5], &[-9.0, 0.0]]
        {
            assert_eq!(recognise(other), None, "{other:?}");
        }
    }

    #[test]
    fn advice_fits_the_values() {
        let advice = |values: &[f64]| Extent::of(values.iter().copied()).advice();
        assert!(advice(&[0.0, 255.0]).1.contains("range=0..255"));
        assert!(advice(&[0.0, 60000.0]).1.contains("range=0..65535"));
        assert!(advice(&[-2.1, 2.6]).1.contains("x * std + mean"));
        assert!(advice(&[-0.1, 1.0]).1.contains("range=0..1 or range=-1..1"));
        assert!(advice(&[-2.1, 2.6]).0.contains("-2.1 to 2.6"));
    }
}
