//! The learning rate as a pure function of the step.
//!
//! A linear warm-up, lr (n + 1) / w for step n of w, followed by a decay. T is the total number of
//! steps of the run.
//!
//! | decay | learning rate of step n >= w |
//! |---|---|
//! | `constant` | lr |
//! | `cosine` | lr (1 + cos(pi (n - w) / (T - w))) / 2 |
//! | `linear` | lr (T - n) / (T - w) |
//! | `inverse-sqrt` | lr sqrt(s / (n - w + s)), s = max(w, 1) |
//!
//! After the warm-up these schedules equal those of `transformers` and `diffusers`. Their warm-up
//! starts with a step at rate 0; this one does not.
//!
//! ```
//! use fm_train::schedule::{Decay, Schedule};
//! let s = Schedule { lr: 2e-4, warmup_steps: 4, decay: Decay::Cosine };
//! let total = 104;
//! assert_eq!((s.at(0, total), s.at(3, total)), (5e-5, 2e-4)); // step n is the (n + 1)-th of the warm-up
//! assert!((s.at(54, total) - 1e-4).abs() < 1e-12); // halfway down
//! assert_eq!(Schedule { decay: Decay::Constant, ..s }.at(90, total), 2e-4);
//! assert_eq!(Schedule { decay: Decay::Linear, ..s }.at(79, total), 5e-5);
//! assert_eq!(Schedule { decay: Decay::InverseSqrt, ..s }.at(16, total), 1e-4);
//! ```

use crate::TrainError;
use fm_core::choice;

choice! {
    /// The decay after the warm-up.
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
#[doc(alias = "lr_scheduler")]
#[doc(alias = "get_scheduler")]
#[doc(alias = "LinearLR")]
#[doc(alias = "LambdaLR")]
#[doc(alias = "CosineAnnealingLR")]
pub struct Schedule {
    /// Peak learning rate.
    pub lr: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// The decay after the warm-up.
    pub decay: Decay,
}

impl Schedule {
    /// Checks the peak rate.
    ///
    /// # Errors
    /// [`TrainError::Setting`]: a learning rate that is negative or not finite.
    pub fn validate(&self) -> Result<(), TrainError> {
        if self.lr >= 0.0 && self.lr.is_finite() {
            return Ok(());
        }
        Err(TrainError::setting("learning rate", self.lr, "give a finite number, 0 or more"))
    }

    /// The learning rate of step n, counted from 0, of a run of `total_steps`.
    pub fn at(&self, step: u64, total_steps: u64) -> f64 {
        let Some(since) = step.checked_sub(self.warmup_steps) else {
            return self.lr * (step + 1) as f64 / self.warmup_steps as f64;
        };
        let length = total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
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
