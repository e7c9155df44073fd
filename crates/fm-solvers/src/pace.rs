//! Modes and controllers of adaptive steps, chosen by name.

use crate::PidController;
use fm_core::choice;

choice! {
    /// Which samples share an adaptive step size.
    #[derive(Default)]
    pub enum Pace("pace") {
        /// Each sample has its own, so a sample does not depend on its batch.
        #[default]
        PerSample = "per-sample",
        /// The whole batch shares one, from its mean error.
        PerBatch = "per-batch",
    }
}

choice! {
    /// The step-size controller.
    #[derive(Default)]
    pub enum Controller("controller") {
        /// Integral: uses the last error.
        #[default]
        I = "i",
        /// Proportional-integral: uses the last two errors; smoother where the problem is stiff.
        Pi = "pi",
        /// Proportional-integral-derivative: uses the last three errors.
        Pid = "pid",
    }
}

impl Controller {
    /// The gains of the controller.
    pub fn pid(self) -> PidController {
        match self {
            Self::I => PidController::I,
            Self::Pi => PidController::PI,
            Self::Pid => PidController::PID,
        }
    }
}
