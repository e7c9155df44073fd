//! Time grids for fixed-step solves, and the same maps as a change of time in the field.
//!
//! | name | n + 1 times from 0 to 1 | source |
//! |---|---|---|
//! | `uniform` | u = i / n | |
//! | `warp` | 4 (1 - s) u^3 + 6 (s - 1) u^2 + (3 - 2 s) u: dense in the middle for s < 1, at the ends for s > 1 | |
//! | `edm` | 1 / (1 + sigma_i) with sigma_i^(1/rho) equally spaced from sigma_max to sigma_min over n values, then 1 | Karras et al. (2022), eq. 5 |
//! | `shift` | u / (s - (s - 1) u): for s > 1 more steps near the noise | Esser et al., "Scaling Rectified Flow Transformers" (2024), 5.3.2 |
//!
//! `shift` is the paper's formula with time reversed, because its time runs from data to noise.
//! `edm` starts at 1 / (1 + sigma_max), 0.0123 by default: the noise is used as the state there, as
//! in flow_matching.
//!
//! ```
//! use fm_solvers::Grid;
//! assert_eq!("shift:s=3".parse::<Grid>().unwrap().times(2)?, [0.0, 0.25, 1.0]);
//! let edm = Grid::Edm { rho: 7.0, sigma_min: 0.002, sigma_max: 80.0 }.times(3)?;
//! assert!((edm[0] - 1.0 / 81.0).abs() < 1e-15 && (edm[2] - 1.0 / 1.002).abs() < 1e-15 && edm[3] == 1.0);
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::SolveError;
use crate::save::check_span;
use fm_core::choice::{Choice, Domain};
use fm_core::field::{RowField, VelocityField};
use fm_core::path::Coefficients;
use fm_core::state::{OdeState, RowState};
use std::ops::Range;

fm_core::choice! {
    /// How n steps divide the interval from 0 to 1.
    #[derive(Default)]
    pub enum Grid("time grid") {
        /// Equal steps.
        #[default]
        Uniform = "uniform",
        /// A cubic; equal steps for s = 1.
        Warp = "warp" {
            /// Below 1, dense in the middle; above 1, dense at the ends.
            s = 0.5, Domain::within(0.0, 1.5)
        },
        /// Equal steps of sigma^(1/rho), where sigma is the ratio of noise to data.
        Edm = "edm" | "karras" {
            /// The power.
            rho = 7.0, Domain::above(0.0, 100.0);
            /// The last sigma before the final time.
            sigma_min = 0.002, Domain::above(0.0, 1e6);
            /// The first sigma.
            sigma_max = 80.0, Domain::above(0.0, 1e6)
        },
        /// Time shifted toward the noise, as used for large images.
        Shift = "shift" | "sd3" {
            /// Above 1, more steps near the noise.
            s = 3.0, Domain::above(0.0, 1e6)
        },
    }
}

impl Grid {
    /// The maximum number of steps of a grid.
    pub const MAX_STEPS: usize = 10_000_000;

    /// The n + 1 times of n steps, increasing from 0 (for `edm`, from 1 / (1 + sigma_max)) to 1.
    ///
    /// # Errors
    /// An invalid parameter, [`SolveError::Steps`] for 0 or more than
    /// [`MAX_STEPS`](Self::MAX_STEPS) steps, [`SolveError::Grid`] if the times do not increase
    /// (`edm` with sigma_min >= sigma_max).
    pub fn times(&self, steps: usize) -> Result<Vec<f64>, SolveError> {
        self.validate()?;
        if !(1..=Self::MAX_STEPS).contains(&steps) {
            return Err(SolveError::Steps { steps, most: Self::MAX_STEPS });
        }
        let n = steps as f64;
        let mut times: Vec<f64> = match *self {
            Self::Edm { rho, sigma_min, sigma_max } => {
                let (from, to) = (sigma_max.powf(1.0 / rho), sigma_min.powf(1.0 / rho));
                let sigma = |i: usize| (from + i as f64 / (n - 1.0).max(1.0) * (to - from)).powf(rho);
                (0..steps).map(|i| 1.0 / (1.0 + sigma(i))).collect()
            }
            _ => (0..steps).map(|i| self.map(i as f64 / n).0).collect(),
        };
        times.push(1.0);
        crate::fixed::check_grid(&times)?;
        Ok(times)
    }

    /// The times of n steps over a span; those of a falling span are the times of the rising one in
    /// reverse.
    ///
    /// # Errors
    /// As [`times`](Self::times), and [`SolveError::Span`] for a span without length.
    pub fn divide(&self, steps: usize, span: &Range<f64>) -> Result<Vec<f64>, SolveError> {
        let Range { start, end } = *span;
        check_span((start, end))?;
        let (low, high) = (start.min(end), start.max(end));
        // This form is exact at both ends, and everywhere for the span 0..1.
        let mut times: Vec<f64> = self.times(steps)?.iter().map(|u| low * (1.0 - u) + high * u).collect();
        if end < start {
            times.reverse();
        }
        Ok(times)
    }

    /// t(u) and its derivative. `edm` is a list of times rather than a map; here it counts as
    /// uniform.
    fn map(&self, u: f64) -> (f64, f64) {
        match *self {
            Self::Uniform | Self::Edm { .. } => (u, 1.0),
            Self::Warp { s } => {
                let t = ((4.0 * (1.0 - s) * u + 6.0 * (s - 1.0)) * u + 3.0 - 2.0 * s) * u;
                (t, 12.0 * (1.0 - s) * u * u + 12.0 * (s - 1.0) * u + 3.0 - 2.0 * s)
            }
            Self::Shift { s } => {
                let below = s - (s - 1.0) * u;
                (u / below, s / (below * below))
            }
        }
    }
}

/// The coefficients of a path in the time u, from those at t(u) and dt/du.
fn in_time(c: Coefficients, u: f64, slope: f64) -> Coefficients {
    let [d_alpha, d_sigma, d_gamma] = [c.d_alpha, c.d_sigma, c.d_gamma].map(|d| d * slope);
    Coefficients { t: u, d_alpha, d_sigma, d_gamma, ..c }
}

/// A field in another time: dx/du = t'(u) v(x, t(u)), for grids that are maps. Adaptive steps in u
/// adapt to the field in the new time; solutions pass through the same states.
///
/// ```
/// use fm_core::field::VelocityField;
/// use fm_solvers::{Grid, SaveAt, fixed, grid::Shifted, tableau::RK4};
/// let field = |x: &f64, t: f64| -2.0 * t * x;
/// let shifted = Shifted::new(field, "shift:s=3".parse().unwrap())?;
/// assert!((shifted.velocity(&1.0, 0.5) - 3.0 / 4.0 * -0.5).abs() < 1e-15); // t = 1/4, t' = 3 / 2^2
/// let x = fixed::solve(&shifted, 1.0, &Grid::Uniform.times(40)?, &RK4, SaveAt::End)?.x;
/// assert!((x - (-1.0f64).exp()).abs() < 1e-6);
/// # Ok::<(), fm_solvers::SolveError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Shifted<F> {
    field: F,
    map: Grid,
}

impl<F> Shifted<F> {
    /// The field in the time that `map` defines.
    ///
    /// # Errors
    /// An invalid parameter, and [`SolveError::NotAMap`] for `edm`, which is not a map from \[0,
    /// 1\].
    pub fn new(field: F, map: Grid) -> Result<Self, SolveError> {
        map.validate()?;
        if matches!(map, Grid::Edm { .. }) {
            return Err(SolveError::NotAMap { grid: map.entry().name().into() });
        }
        Ok(Self { field, map })
    }
}

impl<S: OdeState, F: VelocityField<S>> VelocityField<S> for Shifted<F> {
    fn velocity(&self, x: &S, u: f64) -> S {
        let (t, slope) = self.map.map(u);
        S::linear_combination(&[(slope, &self.field.velocity(x, t))])
    }

    fn check(&self, x: &S) -> Result<(), fm_core::Error> {
        self.field.check(x)
    }

    fn segment(&self, u: f64) -> usize {
        self.field.segment(self.map.map(u).0)
    }

    fn path_at(&self, u: f64) -> Option<Coefficients> {
        let (t, slope) = self.map.map(u);
        self.field.path_at(t).map(|c| in_time(c, u, slope))
    }
}

impl<S: RowState, F: RowField<S>> RowField<S> for Shifted<F> {
    fn velocities(&self, x: &S, u: &[f64], rows: &[usize]) -> S {
        let (t, slopes): (Vec<_>, Vec<_>) = u.iter().map(|u| self.map.map(*u)).unzip();
        let v = self.field.velocities(x, &t, rows);
        // A wrong number of rows is returned unchanged; a solver rejects it.
        if v.rows() == slopes.len() { S::row_combination(&[(&slopes, &v)]) } else { v }
    }

    fn check(&self, x: &S) -> Result<(), fm_core::Error> {
        self.field.check(x)
    }

    fn segment(&self, u: f64) -> usize {
        self.field.segment(self.map.map(u).0)
    }

    fn path_at(&self, u: f64) -> Option<Coefficients> {
        let (t, slope) = self.map.map(u);
        self.field.path_at(t).map(|c| in_time(c, u, slope))
    }
}
