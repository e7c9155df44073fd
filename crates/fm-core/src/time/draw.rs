//! Drawing the times of a batch.

use super::{LossAware, TimeDistribution, TimeKind, confined};
use crate::Error;
use crate::choice;
use crate::rng::{Key, Stream};
use rand::Rng;
use rand_distr::Open01;
use serde::{Deserialize, Serialize};

choice! {
    /// How the values of u for a batch's rows are drawn together.
    #[derive(Default, Eq)]
    pub enum Draw("draw") {
        /// Independent rows.
        #[default]
        Independent = "independent",
        /// Row i of n in the i-th of n equal parts: the same distribution, with less variance of
        /// the batch mean.
        Stratified = "stratified",
        /// Pairs of rows at u and 1 - u.
        Antithetic = "antithetic",
    }
}

/// A distribution of times, its restriction to a range, and how batches draw from it. The serde
/// fields are `time`, `time_draw`, `time_clip` and `importance`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Times<T = TimeKind> {
    /// The distribution.
    #[serde(rename = "time")]
    pub distribution: T,
    /// How the values of u for a batch's rows are drawn together.
    #[serde(rename = "time_draw")]
    pub draw: Draw,
    /// The clip eps: times are restricted to [eps, 1 - eps] by truncating the distribution, so
    /// nothing accumulates at the bounds. 0 means no restriction.
    #[serde(rename = "time_clip")]
    pub clip: f64,
    /// Weight every draw by 1 / p(t), so that the distribution changes the variance of the loss but
    /// not its expectation.
    pub importance: bool,
}

/// The times of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampledTimes {
    /// t of each row.
    pub times: Vec<f64>,
    /// Importance weight of each row.
    pub weights: Vec<f64>,
    /// u of each row, which determines its bin of a [`LossAware`].
    pub positions: Vec<f64>,
}

impl Default for Times {
    /// Independent uniform times.
    fn default() -> Self {
        Self::of(TimeKind::default())
    }
}

impl<T> Times<T> {
    /// Independent draws from the whole distribution.
    pub fn of(distribution: T) -> Self {
        Self { distribution, draw: Draw::Independent, clip: 0.0, importance: false }
    }
}

impl<T: TimeDistribution> Times<T> {
    /// The interval that times are restricted to, [eps, 1 - eps].
    pub fn range(&self) -> (f64, f64) {
        (self.clip, 1.0 - self.clip)
    }

    /// The smallest and largest time that can be drawn.
    pub fn support(&self) -> (f64, f64) {
        if self.distribution.is_discrete() {
            return (self.distribution.quantile(0.0), self.distribution.quantile(1.0));
        }
        self.range()
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// A parameter outside its domain, a clip outside [0, 0.5), a discrete distribution with a clip
    /// or importance weights.
    pub fn validate(&self) -> Result<(), Error> {
        self.distribution.check()?;
        if !(0.0..0.5).contains(&self.clip) {
            return Err(Error::Value { name: "the time clip", domain: "at least 0 and below 0.5", value: self.clip });
        }
        let discrete =
            |what: &str, why| Err(Error::Combination { what: what.into(), with: self.distribution.name(), why });
        let mass = self.mass();
        if mass.is_nan() || mass < 1e-6 {
            let why = "hardly any time of the distribution lies in the range; lower the clip";
            return Err(Error::Combination { what: "this time clip".into(), with: self.distribution.name(), why });
        }
        if !self.distribution.is_discrete() {
            return Ok(());
        }
        if self.clip > 0.0 {
            return discrete("a time clip", "a discrete distribution has its own times; drop the clip");
        }
        if self.importance {
            return discrete("importance weights", "a discrete distribution has no density; drop them");
        }
        Ok(())
    }

    /// The density of the truncated distribution at t in its range.
    pub fn density(&self, t: f64) -> f64 {
        let (low, high) = self.range();
        if t < low || t > high { 0.0 } else { self.distribution.density(t) / self.mass() }
    }

    /// The cdf of the truncated distribution.
    pub fn cdf(&self, t: f64) -> f64 {
        let (low, high) = self.range();
        if self.clip == 0.0 {
            self.distribution.cdf(t)
        } else {
            (self.distribution.cdf(confined(t, low, high)) - self.distribution.cdf(low)) / self.mass()
        }
    }

    /// The quantile function of the truncated distribution, kept within its range despite rounding;
    /// NaN unless 0 <= u <= 1.
    pub fn quantile(&self, u: f64) -> f64 {
        let (low, high) = self.range();
        if self.clip == 0.0 || !(0.0..=1.0).contains(&u) {
            return confined(self.distribution.quantile(u), low, high);
        }
        let inner = confined(self.distribution.cdf(low) + u * self.mass(), 0.0, 1.0);
        confined(self.distribution.quantile(inner), low, high)
    }

    /// The weight of a draw at t: 1 / p(t) with importance weights, otherwise 1.
    pub fn weight(&self, t: f64) -> f64 {
        if self.importance { 1.0 / self.density(t) } else { 1.0 }
    }

    /// The times of the rows from `key.first_row` on, `rows` in number, in one step of a run. They
    /// come from [`Stream::Time`], so that one key of a step serves all its draws. `adaptive`
    /// redistributes u and corrects the weights for it. Independent and antithetic draws of a row
    /// do not depend on how the rows are split; stratified times divide \[0, 1\] among the rows of
    /// one call, so draw them for the whole batch.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and more rows than memory can hold.
    pub fn draw(&self, key: Key, rows: usize, adaptive: Option<&LossAware>) -> Result<SampledTimes, Error> {
        self.validate()?;
        let mut drawn = SampledTimes::default();
        for values in [&mut drawn.times, &mut drawn.weights, &mut drawn.positions] {
            values.try_reserve_exact(rows).map_err(|_| Error::Memory { rows, dim: 3 })?;
        }
        for row in 0..rows {
            let unit = self.unit(key, row, rows);
            let (u, bend) = adaptive.map_or((unit, 1.0), |a| a.quantile(unit));
            // Keep u inside the open interval despite rounding: quantiles may be infinite at its
            // ends.
            let u = u.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
            let t = self.quantile(u);
            drawn.times.push(t);
            drawn.weights.push(self.weight(t) * bend);
            drawn.positions.push(u);
        }
        Ok(drawn)
    }

    /// The u of row `i` of `rows`.
    fn unit(&self, key: Key, i: usize, rows: usize) -> f64 {
        let row = key.first_row.wrapping_add(i as u64);
        let key = key.with_stream(Stream::Time);
        let uniform = |row: u64| key.from_row(row).generator(0).sample::<f64, _>(Open01);
        match self.draw {
            Draw::Independent => uniform(row),
            Draw::Stratified => (i as f64 + uniform(row)) / rows as f64,
            Draw::Antithetic if row % 2 == 1 => 1.0 - uniform(row - 1),
            Draw::Antithetic => uniform(row),
        }
    }

    fn mass(&self) -> f64 {
        let (low, high) = self.range();
        if self.clip == 0.0 { 1.0 } else { self.distribution.cdf(high) - self.distribution.cdf(low) }
    }
}
