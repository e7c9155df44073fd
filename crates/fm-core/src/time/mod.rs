//! Distributions of training times on [0, 1], and how a batch draws from them.
//!
//! | module | idea |
//! |---|---|
//! | [`TimeDistribution`] | a distribution *is* its quantile function Q: a draw is t = Q(u) with u uniform on (0, 1) |
//! | [`TimeKind`] | the named distributions |
//! | [`Times`] | a distribution clipped to a range, drawn independently, stratified or antithetic, with importance weights |
//! | [`LossAware`] | a density over u that adapts to the loss |
//!
//! Because a distribution is its quantile function, how u is drawn and how t is distributed are
//! independent choices.
//!
//! ```
//! use fm_core::rng::{Key, Stream};
//! use fm_core::time::{Draw, TimeKind, Times};
//! let times = Times { distribution: TimeKind::Arcsine, draw: Draw::Stratified, ..Times::default() };
//! let drawn = times.draw(Key::new(0, 0, Stream::Time), 4, None)?;
//! // One draw in each quarter of the distribution, every one with weight 1.
//! let quarters: Vec<f64> = drawn.times.iter().map(|t| (4.0 * times.distribution.cdf(*t)).floor()).collect();
//! assert_eq!(quarters, [0.0, 1.0, 2.0, 3.0]);
//! assert_eq!(drawn.weights, [1.0; 4]);
//! # Ok::<(), fm_core::Error>(())
//! ```

mod distribution;
mod draw;
mod kinds;
mod loss_aware;

pub use distribution::TimeDistribution;
pub use draw::{Draw, SampledTimes, Times};
pub use kinds::TimeKind;
pub use loss_aware::LossAware;

/// x clamped to [low, high]; unlike `clamp`, it does not panic on reversed bounds. NaN stays NaN.
fn confined(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}
