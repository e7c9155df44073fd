//! Probability paths: scalar functions of time that say where a point is and how fast it moves.
//!
//! An affine path puts x_t = alpha(t) x1 + sigma(t) x0, so its velocity is u_t = alpha'(t) x1 + sigma'(t) x0. The source x0
//! lives at t = 0 and the data x1 at t = 1. Time has no unit; u has the unit of x.
//!
//! Source: Lipman et al., "Flow Matching for Generative Modeling" (2023), with time as written above.
//!
//! ```
//! use fm_core::path::{Linear, ProbPath};
//! let c = Linear.coefficients(0.25);
//! assert_eq!((c.alpha, c.sigma, c.d_alpha, c.d_sigma), (0.25, 0.75, 1.0, -1.0));
//! ```

/// The values of a path and their time derivatives at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// Weight of the data x1.
    pub alpha: f64,
    /// Weight of the source x0.
    pub sigma: f64,
    /// d alpha / dt.
    pub d_alpha: f64,
    /// d sigma / dt.
    pub d_sigma: f64,
}

/// A path between source and data, evaluated on the host in f64.
pub trait ProbPath {
    /// The coefficients at time t in [0, 1].
    fn coefficients(&self, t: f64) -> Coefficients;
    /// The name that configurations and checkpoints use.
    fn name(&self) -> &'static str;
}

/// The straight path x_t = t x1 + (1 - t) x0, of velocity x1 - x0: rectified flow, CondOT.
///
/// Source: Liu et al., "Flow Straight and Fast" (2023).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Linear;

impl ProbPath for Linear {
    fn coefficients(&self, t: f64) -> Coefficients {
        Coefficients { alpha: t, sigma: 1.0 - t, d_alpha: 1.0, d_sigma: -1.0 }
    }
    fn name(&self) -> &'static str {
        "linear"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_source_and_data() {
        let (start, end) = (Linear.coefficients(0.0), Linear.coefficients(1.0));
        assert_eq!((start.alpha, start.sigma), (0.0, 1.0));
        assert_eq!((end.alpha, end.sigma), (1.0, 0.0));
    }

    #[test]
    fn derivatives_match_finite_differences() {
        let h = 1e-6;
        for i in 1..100 {
            let t = i as f64 / 100.0;
            let (a, b, c) = (Linear.coefficients(t - h), Linear.coefficients(t + h), Linear.coefficients(t));
            assert!(((b.alpha - a.alpha) / (2.0 * h) - c.d_alpha).abs() < 1e-6);
            assert!(((b.sigma - a.sigma) / (2.0 * h) - c.d_sigma).abs() < 1e-6);
        }
    }
}
