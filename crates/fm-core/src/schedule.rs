//! Sampling a network along another path than it was trained on.
//!
//! Two affine paths pass through the same points up to scale where their signal-to-noise ratios are
//! equal. For a network trained on (alpha, sigma) and sampled along (alpha-bar, sigma-bar), time r
//! of the new path corresponds to the time t of the old path at which alpha / sigma = alpha-bar /
//! sigma-bar, and x-bar = s x with s = sigma-bar(r) / sigma(t). The velocity is
//!
//! u-bar(x, r) = (s' / s) x + s t' u(x / s, t), t' = (sigma alpha-bar' - alpha sigma-bar') /
//! (alpha' sigma-bar - sigma' alpha-bar).
//!
//! The end points of trajectories do not change if both paths end at the data, but the errors of a
//! solver do.
//!
//! Source: Lipman et al., "Flow Matching Guide and Code" (2024), section 4.6.2; Pokle et al.,
//! "Training-free Linear Image Inverses via Flows" (2023).
//!
//! ```
//! use fm_core::path::PathKind;
//! use fm_core::schedule::change;
//! // On the quarter circle tan(pi t / 2) = r / (1 - r); both paths reach their midpoint at the same time, at different scales.
//! let c = change(&PathKind::Trigonometric, &PathKind::Linear, 0.5)?;
//! assert!((c.t - 0.5).abs() < 1e-15);
//! assert!((c.scale - 0.5f64.sqrt()).abs() < 1e-15); // (0.5, 0.5) is 0.707 (0.707, 0.707)
//! # Ok::<(), fm_core::Error>(())
//! ```

use crate::Error;
use crate::field::{RowField, VelocityField};
use crate::path::{Coefficients, ProbPath};
use crate::state::{OdeState, RowState};

/// How a time on the new path maps to the old path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The time on the old path.
    pub t: f64,
    /// dt / dr.
    pub d_t: f64,
    /// s, the ratio of the new path's point to the old path's.
    pub scale: f64,
    /// s' / s.
    pub d_log_scale: f64,
}

/// The change from the `trained` path to the `sampled` path at time r of the sampled path.
///
/// # Errors
/// An invalid path, a path with extra noise, a singular end, and a signal-to-noise ratio that the
/// trained path never reaches.
pub fn change(trained: &impl ProbPath, sampled: &impl ProbPath, r: f64) -> Result<Change, Error> {
    let noisy = [(trained.has_extra_noise(), trained.name()), (sampled.has_extra_noise(), sampled.name())];
    if let Some((_, what)) = noisy.into_iter().find(|(noisy, _)| *noisy) {
        let why = "it has noise of its own; only affine paths can stand in for each other";
        return Err(Error::Combination { what, with: "a change of schedule".into(), why });
    }
    trained.check()?;
    sampled.check()?;
    let new = sampled.at(r)?;
    let Some(t) = locate(trained, &new) else {
        let end = |t: f64, otherwise: f64| locate(sampled, &trained.coefficients(t)).unwrap_or(otherwise);
        let (path, name) = (trained.name(), sampled.name());
        return Err(Error::UnreachableRatio { path, sampled: name, t: r, first: end(0.0, 0.0), last: end(1.0, 1.0) });
    };
    let old = trained.at(t)?;
    let d_t = (old.sigma * new.d_alpha - old.alpha * new.d_sigma) / (old.d_alpha * new.sigma - old.d_sigma * new.alpha);
    // Computed from the larger of the two weights, because the other may be zero.
    let (scale, d_log_scale) = if new.sigma >= new.alpha {
        (new.sigma / old.sigma, new.d_sigma / new.sigma - old.d_sigma * d_t / old.sigma)
    } else {
        (new.alpha / old.alpha, new.d_alpha / new.alpha - old.d_alpha * d_t / old.alpha)
    };
    let change = Change { t, d_t, scale, d_log_scale };
    let finite = [d_t, scale, d_log_scale].iter().all(|v| v.is_finite());
    let what = || format!("sampling path {} along path {}", trained.name(), sampled.name());
    if finite { Ok(change) } else { Err(Error::SingularPrediction { what: what(), t: r }) }
}

/// The time at which the noise level sigma / alpha of an affine path, which falls with t, is
/// `level`; `None` if the path does not have this level.
///
/// ```
/// use fm_core::path::PathKind;
/// use fm_core::schedule::time_of_level;
/// assert!(time_of_level(&PathKind::Linear, 3.0).is_some_and(|t| (t - 0.25).abs() < 1e-15)); // (1 - t) / t = 3
/// assert_eq!(time_of_level(&"linear-sigma-min:0.5".parse::<PathKind>()?, 0.1), None);
/// # Ok::<(), fm_core::choice::ChoiceError>(())
/// ```
pub fn time_of_level(path: &impl ProbPath, level: f64) -> Option<f64> {
    locate(path, &Coefficients { alpha: 1.0, sigma: level, ..Coefficients::default() })
}

/// The time at which `path` has the ratio alpha / sigma of `wanted`: the zero of alpha(t) sigma -
/// sigma(t) alpha, which increases with t.
fn locate(path: &impl ProbPath, wanted: &Coefficients) -> Option<f64> {
    let excess = |t: f64| {
        let c = path.coefficients(t);
        c.alpha * wanted.sigma - c.sigma * wanted.alpha
    };
    let (mut low, mut high) = (0.0, 1.0);
    match (excess(low), excess(high)) {
        (at_low, at_high) if at_low > 0.0 || at_high < 0.0 => return None,
        (0.0, _) => return Some(0.0),
        (_, 0.0) => return Some(1.0),
        _ => {}
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return Some(middle);
        }
        *(if excess(middle) < 0.0 { &mut low } else { &mut high }) = middle;
    }
}

/// The field along another path. A velocity of another shape than x is returned unchanged, so that
/// a solver rejects it with an error that names both shapes.
#[derive(Debug, Clone)]
#[doc(alias = "ScheduleTransformedModel")]
pub struct Rescheduled<F, P, Q> {
    field: F,
    trained: P,
    sampled: Q,
}

impl<F, P: ProbPath, Q: ProbPath> Rescheduled<F, P, Q> {
    /// Converts `field`, a velocity on the `trained` path, to the `sampled` path, for times in
    /// `span` only.
    ///
    /// # Errors
    /// As [`change`], at either end of the span.
    pub fn new(field: F, trained: P, sampled: Q, span: (f64, f64)) -> Result<Self, Error> {
        change(&trained, &sampled, span.0)?;
        change(&trained, &sampled, span.1)?;
        Ok(Self { field, trained, sampled })
    }
}

impl<S: OdeState, F: VelocityField<S>, P: ProbPath, Q: ProbPath> VelocityField<S> for Rescheduled<F, P, Q> {
    /// NaN outside the span if the change fails there; a solver reports it.
    fn velocity(&self, x: &S, r: f64) -> S {
        let Ok(Change { t, d_t, scale, d_log_scale }) = change(&self.trained, &self.sampled, r) else {
            return S::linear_combination(&[(f64::NAN, x)]);
        };
        let u = self.field.velocity(&S::linear_combination(&[(1.0 / scale, x)]), t);
        if !u.same_shape(x) {
            return u;
        }
        S::linear_combination(&[(d_log_scale, x), (scale * d_t, &u)])
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        self.field.check(x)
    }

    fn segment(&self, r: f64) -> usize {
        change(&self.trained, &self.sampled, r).map_or(0, |at| self.field.segment(at.t))
    }

    fn path_at(&self, r: f64) -> Option<Coefficients> {
        Some(self.sampled.coefficients(r))
    }
}

impl<S: RowState, F: RowField<S>, P: ProbPath, Q: ProbPath> RowField<S> for Rescheduled<F, P, Q> {
    fn velocities(&self, x: &S, r: &[f64], rows: &[usize]) -> S {
        const NOWHERE: Change = Change { t: f64::NAN, d_t: f64::NAN, scale: f64::NAN, d_log_scale: f64::NAN };
        let at = |r: f64| change(&self.trained, &self.sampled, r).unwrap_or(NOWHERE);
        let mut known: Vec<Change> = Vec::with_capacity(r.len());
        for (i, time) in r.iter().enumerate() {
            // Rows that share a time reuse its conversion, because solving for t is the only costly
            // step.
            known.push(if i > 0 && r[i - 1] == *time { known[i - 1] } else { at(*time) });
        }
        let column = |of: fn(&Change) -> f64| known.iter().map(of).collect::<Vec<_>>();
        let u = self.field.velocities(&S::row_combination(&[(&column(|c| 1.0 / c.scale), x)]), &column(|c| c.t), rows);
        if !u.same_shape(x) {
            return u;
        }
        S::row_combination(&[(&column(|c| c.d_log_scale), x), (&column(|c| c.scale * c.d_t), &u)])
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        self.field.check(x)
    }

    fn segment(&self, r: f64) -> usize {
        change(&self.trained, &self.sampled, r).map_or(0, |at| self.field.segment(at.t))
    }

    fn path_at(&self, r: f64) -> Option<Coefficients> {
        Some(self.sampled.coefficients(r))
    }
}
