//! The noise and the methods of stochastic sampling, chosen by name.

use fm_core::choice::Domain;
use fm_core::path::Coefficients;

fm_core::choice! {
    /// The noise: g(t)^2, its variance per unit time, where sigma(t) is the path's weight of the
    /// source, or noise between the steps of the ODE (`churn`).
    pub enum Diffusion("diffusion") {
        /// g^2 = scale.
        Constant = "constant" {
            /// Variance per unit time.
            scale = 1.0, Domain::within(0.0, 1e6)
        },
        /// g^2 = scale sigma(t).
        Sigma = "sigma" {
            /// Variance per unit time at the source.
            scale = 1.0, Domain::within(0.0, 1e6)
        },
        /// g^2 = scale sigma(t)^2.
        SigmaSquared = "sigma-squared" {
            /// Variance per unit time at the source.
            scale = 1.0, Domain::within(0.0, 1e6)
        },
        /// Noise before each step of the ODE, which leads back to an earlier time (Karras et al.
        /// 2022, algorithm 2). Noise levels are sigma(t) / alpha(t), of which 0 is the data.
        #[doc(alias = "EDMEulerScheduler")]
        #[doc(alias = "sample_heun")]
        Churn = "churn" {
            /// The sum of all relative increases of the noise level; each step adds at most sqrt(2)
            /// - 1.
            s_churn = 40.0, Domain::within(0.0, 1e6);
            /// The lowest noise level at which noise is added.
            s_min = 0.05, Domain::within(0.0, 1e6);
            /// The highest noise level at which noise is added.
            s_max = 50.0, Domain::within(0.0, 1e6);
            /// Standard deviation of the noise.
            s_noise = 1.003, Domain::within(0.0, 10.0)
        },
    }
}

impl Diffusion {
    /// g(t)^2 at a point of a path; 0 for `churn`, whose noise belongs to the steps of a grid.
    pub fn variance(&self, c: &Coefficients) -> f64 {
        match *self {
            Self::Constant { scale } => scale,
            Self::Sigma { scale } => scale * c.sigma,
            Self::SigmaSquared { scale } => scale * c.sigma * c.sigma,
            Self::Churn { .. } => 0.0,
        }
    }
}

fm_core::choice! {
    /// The stochastic method.
    #[derive(Default)]
    pub enum Method("stochastic method") {
        /// One evaluation per step.
        EulerMaruyama = "euler-maruyama",
        /// Two evaluations per step, second order in distribution.
        #[default]
        Heun = "heun",
    }
}
