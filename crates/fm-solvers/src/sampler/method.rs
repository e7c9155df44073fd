//! Solver methods and step-size modes, chosen by name.

use crate::PidController;
use crate::tableau::{self, Tableau};
use fm_core::choice;

choice! {
    /// A method, chosen by name.
    #[derive(Default)]
    pub enum SolverName("solver") {
        /// Order 1, one evaluation per step.
        #[default]
        Euler = "euler",
        /// Order 2, two evaluations per step.
        Midpoint = "midpoint",
        /// Order 2, two evaluations per step.
        Heun = "heun",
        /// Classic, order 4, four evaluations per step.
        Rk4 = "rk4",
        /// Kutta's 3/8 rule, order 4, four evaluations per step.
        Rk438 = "rk4-38" | "3/8",
        /// Heun with an error estimate, 2(1). This and the following methods are adaptive unless a
        /// number of steps is given.
        #[doc(alias = "adaptive_heun")]
        HeunEuler = "heun-euler",
        /// Order 3(2).
        #[doc(alias = "RK23")]
        #[doc(alias = "bosh3")]
        BogackiShampine = "bogacki-shampine" | "bosh3",
        /// Dormand-Prince 5(4).
        #[doc(alias = "RK45")]
        Dopri5 = "dopri5",
        /// Tsitouras 5(4).
        Tsit5 = "tsit5",
        /// Dormand-Prince 8(5, 3), twelve evaluations per step: for tight tolerances.
        #[doc(alias = "dopri8")]
        Dop853 = "dop853",
    }
}

impl SolverName {
    /// The Butcher tableau of the method.
    pub fn tableau(self) -> &'static Tableau {
        match self {
            Self::Euler => &tableau::EULER,
            Self::Midpoint => &tableau::MIDPOINT,
            Self::Heun => &tableau::HEUN,
            Self::Rk4 => &tableau::RK4,
            Self::Rk438 => &tableau::RK4_38,
            Self::HeunEuler => &tableau::HEUN_EULER,
            Self::BogackiShampine => &tableau::BOGACKI_SHAMPINE,
            Self::Dopri5 => &tableau::DOPRI5,
            Self::Tsit5 => &tableau::TSIT5,
            Self::Dop853 => &tableau::DOP853,
        }
    }
}

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
