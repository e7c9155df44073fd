//! The learning rate as a pure function of the step.
//!
//! A linear warm-up, lr (n + 1) / w for step n of w, then with T the steps of the whole run
//!
//! | decay | learning rate of step n >= w |
//! |---|---|
//! | `constant` | lr |
//! | `cosine` | lr (1 + cos(pi (n - w) / (T - w))) / 2 |
//! | `linear` | lr (T - n) / (T - w) |
//! | `inverse-sqrt` | lr sqrt(s / (n - w + s)), s = max(w, 1) |
//!
//! After the warm-up these are `transformers`' and `diffusers`' schedules; in it theirs begin with a step at rate 0, ours do not.
//!
//! ```
//! use fm_train::schedule::{Decay, Schedule};
//! let s = Schedule { lr: 2e-4, warmup_steps: 4, decay: Decay::Cosine, total_steps: 104 };
//! assert_eq!((s.at(0), s.at(3)), (5e-5, 2e-4)); // step n is the (n + 1)-th of the warm-up
//! assert!((s.at(54) - 1e-4).abs() < 1e-12); // halfway down
//! assert_eq!(Schedule { decay: Decay::Constant, ..s }.at(90), 2e-4);
//! assert_eq!(Schedule { decay: Decay::Linear, ..s }.at(79), 5e-5);
//! assert_eq!(Schedule { decay: Decay::InverseSqrt, ..s }.at(16), 1e-4);
//! ```

use fm_core::choice;

choice! {
    /// What follows the warm-up.
    #[derive(Default, Eq)]
    pub enum Decay("decay") {
        /// Stays at the peak.
        #[default]
        Constant = "constant",
        /// Falls to 0 along half a cosine.
        Cosine = "cosine",
        /// Falls to 0 along a line.
        Linear = "linear",
        /// Falls as one over the square root of the step.
        InverseSqrt = "inverse-sqrt",
    }
}

/// Linear warm-up, then a decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The peak.
    pub lr: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// What follows.
    pub decay: Decay,
    /// Where a decay ends.
    pub total_steps: u64,
}

impl Schedule {
    /// The learning rate of step n, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        let Some(since) = step.checked_sub(self.warmup_steps) else {
            return self.lr * (step + 1) as f64 / self.warmup_steps as f64;
        };
        let length = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = (since as f64 / length).min(1.0);
        let scale = self.warmup_steps.max(1) as f64;
        self.lr
            * match self.decay {
                Decay::Constant => 1.0,
                Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
                Decay::Linear => 1.0 - done,
                Decay::InverseSqrt => (scale / (since as f64 + scale)).sqrt(),
            }
    }
}
