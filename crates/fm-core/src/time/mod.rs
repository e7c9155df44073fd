//! Distributions of training times on [0, 1], and how a batch draws from them.
//!
//! | module | idea |
//! |---|---|
//! | [`TimeDistribution`] | a distribution *is* its quantile function Q: a draw is t = Q(u) with u uniform on (0, 1) |
//! | [`TimeKind`] | the named distributions |
//! | [`Times`] | a law clipped to a range, drawn row by row, stratified or antithetic, with importance weights |
//! | [`LossAware`] | a density over u that follows the loss |
//!
//! Since a law is its quantile, how u is drawn and how t is distributed are independent choices.
//!
//! ```
//! use fm_core::time::{Draw, TimeKind, Times};
//! let times = Times { distribution: TimeKind::Arcsine, draw: Draw::Stratified, ..Times::default() };
//! let drawn = times.draw(0, 0, 4, None)?;
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
mod normal;

pub use distribution::TimeDistribution;
pub use draw::{Draw, SampledTimes, Times};
pub use kinds::TimeKind;
pub use loss_aware::LossAware;

/// x moved into [low, high]; NaN stays NaN, and bounds in the wrong order do not panic.
fn confined(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}
