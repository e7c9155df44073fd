//! The built-in paths, chosen by name.

use super::{Coefficients, End, ProbPath};
use crate::Error;
use crate::choice;
use crate::choice::{Choice, Domain};
use std::f64::consts::FRAC_PI_2;

choice! {
    /// A built-in path.
    ///
    /// | name | alpha(t), sigma(t) | ends | source |
    /// |---|---|---|---|
    /// | `linear` | t, 1 - t | | Liu et al. 2023, "Flow Straight and Fast" |
    /// | `linear-sigma-min` | t, 1 - (1 - s) t | sigma(1) = s | Lipman et al. 2023 |
    /// | `constant-noise` | t, 1 - t, gamma = s | x_t keeps noise s | Tong et al. 2024 |
    /// | `trigonometric` | sin(pi t / 2), cos(pi t / 2) | | Albergo et al. 2023 |
    /// | `vp` | exp(-T/2), sqrt(1 - exp(-T)), T = (1-t)^2 (B-b)/2 + (1-t) b | alpha(0) > 0; sigma' singular at 1 | Song et al. 2021 |
    /// | `linear-vp` | t, sqrt(1 - t^2) | sigma' singular at 1 | data schedule |
    /// | `linear-vp-noise` | sqrt(1 - (1-t)^2), 1 - t | alpha' singular at 0 | noise schedule |
    /// | `polynomial` | t^n, 1 - t^n | singular at 0 for n < 1 | Lipman et al. 2024, "Flow Matching Guide and Code" |
    /// | `schroedinger-bridge` | t, 1 - t, gamma = s sqrt(t (1 - t)) | gamma' singular at both | Tong et al. 2024, "Simulation-free Schrödinger Bridges" |
    ///
    /// Unless the `ends` column says otherwise, alpha goes from 0 to 1 and sigma from 1 to 0.
    #[derive(Default)]
    pub enum PathKind("path") {
        /// The straight path at constant speed: u = x1 - x0. Rectified flow, CondOT.
        #[default]
        #[doc(alias = "CondOTProbPath")]
        #[doc(alias = "CondOTScheduler")]
        Linear = "linear" | "cond-ot" | "rectified-flow",
        /// The straight path to a small ball around the data point: u = x1 - (1 - sigma_min) x0.
        #[doc(alias = "TargetConditionalFlowMatcher")]
        LinearSigmaMin = "linear-sigma-min" | "target" {
            /// Standard deviation left at t = 1.
            sigma_min = 0.001, Domain::within(0.0, 0.99)
        },
        /// The straight path blurred by noise of constant size: x_t = t x1 + (1 - t) x0 + sigma
        /// eps, u = x1 - x0.
        ConstantNoise = "constant-noise" {
            /// Standard deviation of the blur.
            sigma = 0.1, Domain::within(0.0, 100.0)
        },
        /// The quarter circle, which preserves the variance when source and data have equal
        /// variance.
        #[doc(alias = "CosineScheduler")]
        #[doc(alias = "VariancePreservingConditionalFlowMatcher")]
        Trigonometric = "trigonometric" | "cosine" | "gvp",
        /// The variance-preserving diffusion with a linear noise rate between `beta_min` and
        /// `beta_max`.
        #[doc(alias = "VPScheduler")]
        Vp = "vp" {
            /// Noise rate at the data end.
            beta_min = 0.1, Domain::above(0.0, 1000.0);
            /// Noise rate at the source end.
            beta_max = 20.0, Domain::above(0.0, 1000.0)
        },
        /// Variance preserving, with the data weight linear in time.
        #[doc(alias = "LinearVPScheduler")]
        LinearVp = "linear-vp",
        /// Variance preserving, with the noise level linear in time.
        LinearVpNoise = "linear-vp-noise",
        /// The straight line at power-law speed: slow at the source for n > 1.
        #[doc(alias = "ConvexScheduler")]
        #[doc(alias = "PolynomialConvexScheduler")]
        Polynomial = "polynomial" {
            /// The power.
            n = 2.0, Domain::above(0.0, 100.0)
        },
        /// The Brownian bridge between x0 and x1; with an entropic coupling of regularisation 2
        /// sigma^2 it is the Schrödinger bridge.
        #[doc(alias = "SchrodingerBridgeConditionalFlowMatcher")]
        Bridge = "schroedinger-bridge" | "bridge" {
            /// Diffusion of the Brownian motion.
            sigma = 1.0, Domain::above(0.0, 100.0)
        },
    }
}

impl PathKind {
    /// The weight lambda(t) = 2 gamma(t) / sigma^2 of the score loss of a bridge. It scales the
    /// regression of the bridge's conditional score -eps / gamma to unit size. Zero for any other
    /// path.
    pub fn score_weight(&self, t: f64) -> f64 {
        self.bridge_diffusion().map_or(0.0, |sigma| self.coefficients(t).score_weight(sigma))
    }
}

impl ProbPath for PathKind {
    fn coefficients(&self, t: f64) -> Coefficients {
        let noise = 1.0 - t;
        let affine =
            |alpha, sigma, d_alpha, d_sigma| Coefficients { t, alpha, sigma, d_alpha, d_sigma, ..Default::default() };
        let linear = affine(t, noise, 1.0, -1.0);
        match *self {
            PathKind::Linear => linear,
            PathKind::LinearSigmaMin { sigma_min } => {
                let slope = 1.0 - sigma_min;
                affine(t, 1.0 - slope * t, 1.0, -slope)
            }
            PathKind::ConstantNoise { sigma } => Coefficients { gamma: sigma, ..linear },
            PathKind::Trigonometric => {
                // cos(pi t / 2), computed as sin(pi (1 - t) / 2) so that it is exactly 0 at t = 1
                // and not 6e-17.
                let (sin, cos) = ((FRAC_PI_2 * t).sin(), (FRAC_PI_2 * noise).sin());
                affine(sin, cos, FRAC_PI_2 * cos, -FRAC_PI_2 * sin)
            }
            PathKind::Vp { beta_min, beta_max } => {
                let integral = 0.5 * noise * noise * (beta_max - beta_min) + noise * beta_min;
                let rate = -noise * (beta_max - beta_min) - beta_min;
                let (alpha, sigma) = ((-0.5 * integral).exp(), (-(-integral).exp_m1()).sqrt());
                affine(alpha, sigma, -0.5 * rate * alpha, 0.5 * rate * alpha * alpha / sigma)
            }
            PathKind::LinearVp => {
                let sigma = (noise * (1.0 + t)).sqrt();
                affine(t, sigma, 1.0, -t / sigma)
            }
            PathKind::LinearVpNoise => {
                let alpha = (t * (1.0 + noise)).sqrt();
                affine(alpha, noise, noise / alpha, -1.0)
            }
            PathKind::Polynomial { n } => {
                let (power, slope) = (t.powf(n), n * t.powf(n - 1.0));
                affine(power, 1.0 - power, slope, -slope)
            }
            PathKind::Bridge { sigma } => {
                let root = (t * noise).sqrt();
                Coefficients { gamma: sigma * root, d_gamma: sigma * (noise - t) / (2.0 * root), ..linear }
            }
        }
    }

    fn singular_ends(&self) -> &[End] {
        match *self {
            PathKind::Vp { .. } | PathKind::LinearVp => &[End::Data],
            PathKind::LinearVpNoise => &[End::Source],
            PathKind::Polynomial { n } if n < 1.0 => &[End::Source],
            PathKind::Bridge { .. } => &[End::Source, End::Data],
            _ => &[],
        }
    }

    fn name(&self) -> String {
        self.to_string()
    }

    fn has_extra_noise(&self) -> bool {
        match *self {
            PathKind::ConstantNoise { sigma } => sigma > 0.0,
            PathKind::Bridge { .. } => true,
            _ => false,
        }
    }

    fn bridge_diffusion(&self) -> Option<f64> {
        if let PathKind::Bridge { sigma } = *self { Some(sigma) } else { None }
    }

    fn check(&self) -> Result<(), Error> {
        Ok(self.validate()?)
    }
}
