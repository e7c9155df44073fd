//! Sinusoidal embeddings of time and position.
//!
//! A time t maps to cosines and sines of s t f_k with f_k = exp(-ln(10000) k / d), k = 0..half,
//! where d is half the width (or half - 1, which reaches 1/10000 exactly). The scale s matters:
//! with raw t in [0, 1] (s = 1), a 128-wide embedding has numerical rank 3; with s = 1000 it has
//! rank 61. Scale, order and divisor are part of a network's configuration, because weights are
//! only valid with the values they were trained with.
//!
//! ```
//! use fm_models::embedding::{Order, TimeEmbedding};
//! use tch::Tensor;
//! let (t, raw) = (Tensor::from_slice(&[0.5f32]), TimeEmbedding::raw());
//! let close = |e: TimeEmbedding, want: [f64; 4]| {
//!     let e = e.embed(&t, 4);
//!     want.iter().enumerate().all(|(i, w)| (e.double_value(&[0, i as i64]) - w).abs() < 1e-6)
//! };
//! assert!(close(raw, [0.5f64.cos(), 0.005f64.cos(), 0.5f64.sin(), 0.005f64.sin()])); // f = 1, 0.01
//! let swapped = TimeEmbedding { order: Order::SinCos, ..raw };
//! assert!(close(swapped, [0.5f64.sin(), 0.005f64.sin(), 0.5f64.cos(), 0.005f64.cos()]));
//! ```

use crate::error::{ModelError, require};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Which half of the embedding comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Cosines first: guided diffusion, DiT, torchcfm.
    #[default]
    CosSin,
    /// Sines first: DDPM and tutorials based on it.
    SinCos,
}

/// The divisor of k in the exponent of the frequencies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divisor {
    /// Half the width: guided diffusion, DiT, torchcfm.
    #[default]
    Half,
    /// Half the width minus one: DDPM and tutorials based on it.
    HalfMinusOne,
}

/// Embedding of a time in [0, 1] as a vector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeEmbedding {
    /// Factor on t.
    pub scale: f64,
    /// Whether s t is rounded to an integer, for networks that were trained on integer steps
    /// 0..=scale.
    pub integer: bool,
    /// Which half comes first.
    pub order: Order,
    /// Divisor in the exponent of the frequencies.
    pub divisor: Divisor,
}

impl Default for TimeEmbedding {
    fn default() -> Self {
        Self { scale: 1000.0, integer: false, order: Order::CosSin, divisor: Divisor::Half }
    }
}

impl TimeEmbedding {
    /// Unscaled time, as in torchcfm and SiT.
    pub fn raw() -> Self {
        Self { scale: 1.0, ..Self::default() }
    }

    /// The embedding of times t (B) as (B, width), f32.
    ///
    /// # Panics
    /// On a width that is odd or below 2.
    pub fn embed(&self, t: &Tensor, width: i64) -> Tensor {
        assert!(width >= 2 && width % 2 == 0, "a time embedding needs an even width of at least 2, not {width}");
        let half = width / 2;
        let divisor = match self.divisor {
            Divisor::Half => half,
            Divisor::HalfMinusOne => (half - 1).max(1),
        };
        let k = Tensor::arange(half, (Kind::Float, t.device()));
        let frequencies = (k * (-(10_000f64.ln()) / divisor as f64)).exp();
        let scaled = t.to_kind(Kind::Float) * self.scale;
        let scaled = if self.integer { scaled.round() } else { scaled };
        let angles = scaled.unsqueeze(1) * frequencies.unsqueeze(0);
        let halves = match self.order {
            Order::CosSin => [angles.cos(), angles.sin()],
            Order::SinCos => [angles.sin(), angles.cos()],
        };
        Tensor::cat(&halves, 1)
    }

    pub(crate) fn validate(&self, model: &'static str, interval: bool) -> Result<(), ModelError> {
        let smooth = !(interval && self.integer);
        let remedy = "use time.integer false, because integer times have no derivative";
        require(smooth, model, "an interval and integer times".to_owned(), remedy)?;
        let good = self.scale.is_finite() && self.scale != 0.0;
        require(good, model, format!("time.scale {}", self.scale), "use 1 or 1000")
    }
}

/// Fixed embeddings of the positions of a sequence as (1, length, channels), f32: [sin, cos] with
/// frequencies 10000^(-k / (channels / 2)), computed in f64.
///
/// # Errors
/// Sizes below 1, an odd number of channels, and more than 2^31 values.
pub fn positions_1d(length: i64, channels: i64, device: Device) -> Result<Tensor, ModelError> {
    let good = length >= 1 && channels >= 2 && channels % 2 == 0;
    let good = good && length.checked_mul(channels).is_some_and(|count| count <= 1 << 31);
    let remedy = "use a length of at least 1, an even number of channels, and at most 2^31 values";
    require(good, "position table", format!("{length} places of {channels} channels"), remedy)?;
    Ok(table_1d(length, channels, device))
}

/// [`positions_1d`] of valid sizes.
pub(crate) fn table_1d(length: i64, channels: i64, device: Device) -> Tensor {
    let half = (channels / 2) as usize;
    let mut table = Vec::with_capacity((length * channels) as usize);
    for position in 0..length {
        let angle = |k: usize| position as f64 * 10_000f64.powf(-(k as f64) / half as f64);
        table.extend((0..half).map(|k| angle(k).sin() as f32));
        table.extend((0..half).map(|k| angle(k).cos() as f32));
    }
    Tensor::from_slice(&table).view([1, length, channels]).to_device(device)
}

/// Fixed embeddings of the positions of a `height` x `width` grid as (1, height width, channels),
/// f32: [sin, cos] with frequencies 10000^(-k / (channels / 4)), computed in f64. The first half of
/// the channels encodes the column, the second half the row.
///
/// # Errors
/// Sizes below 1, a number of channels that is not divisible by 4, and more than 2^31 values.
pub fn positions_2d([height, width]: [i64; 2], channels: i64, device: Device) -> Result<Tensor, ModelError> {
    let sizes = [height, width, channels];
    let count = sizes.iter().try_fold(1i64, |product, n| product.checked_mul(*n)).unwrap_or(i64::MAX);
    let good = sizes.iter().all(|n| *n >= 1) && channels % 4 == 0 && count <= 1 << 31;
    let remedy = "use sizes of at least 1, channels divisible by 4, and at most 2^31 values";
    require(good, "position table", format!("{height} x {width} places of {channels} channels"), remedy)?;
    let quarter = (channels / 4) as usize;
    let mut table = Vec::with_capacity(count as usize);
    for row in 0..height {
        for column in 0..width {
            for position in [column as f64, row as f64] {
                let angle = |k: usize| position * 10_000f64.powf(-(k as f64) / quarter as f64);
                table.extend((0..quarter).map(|k| angle(k).sin() as f32));
                table.extend((0..quarter).map(|k| angle(k).cos() as f32));
            }
        }
    }
    Ok(Tensor::from_slice(&table).view([1, height * width, channels]).to_device(device))
}
