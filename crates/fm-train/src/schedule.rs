//! The learning rate as a pure function of the step.
//!
//! ```
//! use fm_train::schedule::{Decay, Schedule};
//! let s = Schedule { lr: 2e-4, warmup_steps: 4, decay: Decay::Cosine, total_steps: 104 };
//! assert_eq!((s.at(0), s.at(3)), (5e-5, 2e-4)); // step n is the (n + 1)-th of the warm-up
//! assert!((s.at(54) - 1e-4).abs() < 1e-12); // halfway down
//! assert_eq!(Schedule { decay: Decay::Constant, ..s }.at(90), 2e-4);
//! ```

use serde::{Deserialize, Serialize};

/// What follows the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Stays at the peak.
    #[default]
    Constant,
    /// Falls to 0 along half a cosine.
    Cosine,
}

/// Linear warm-up, then constant or cosine.
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
        if step < self.warmup_steps {
            return self.lr * (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.decay {
            Decay::Constant => self.lr,
            Decay::Cosine => {
                let length = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
                let done = ((step - self.warmup_steps) as f64 / length).min(1.0);
                self.lr * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }
}
