//! Averages of the weights whose length is chosen after the training.
//!
//! The average after update t with the exponent g is
//!
//! a_t = b_t a_(t-1) + (1 - b_t) w_t, b_t = (1 - 1/t)^(g + 1),
//!
//! so update s <= t has a weight of about p(s) = (g + 1) s^g / t^(g + 1). The standard deviation of
//! p, relative to t, is the relative width sigma_rel. Its square is
//! (g + 1) / ((g + 2)^2 (g + 3)).
//!
//! A run tracks a few widths and keeps snapshots of their averages. The average of any width, after
//! any update T up to the last snapshot, is then a combination of the snapshots whose p is the
//! nearest to the wanted p in least squares, among combinations whose coefficients sum to 1. Their
//! coefficients x solve
//!
//! | A 1 | | x |   | b |
//! | 1 0 | | l | = | 1 |,
//!
//! where A has the inner products of the p of any two snapshots, and b those with the wanted p:
//!
//! <p, q> = (g + 1) (k + 1) r / ((g + k + 1) max(s, t)), r = (s/t)^k if s < t, else (t/s)^g,
//!
//! for the exponents g, k of averages after the updates s, t.
//!
//! Source: Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models"
//! (EDM2, 2024), without the sum of 1; with it, the average of equal weights is these weights.
//!
//! ```
//! use fm_train::power_average::{Profile, decay, exponent, fit};
//! let g = exponent(0.1)?;
//! assert!((g - 6.9373).abs() < 1e-3);
//! // After 100 updates with w_t = t, from snapshots after 25, 50, 75 and 100 of them.
//! let tracked = |sigma_rel: f64, updates: u64| {
//!     let g = exponent(sigma_rel).unwrap();
//!     (1..=updates).fold(0.0, |a, t| a + (1.0 - decay(g, t)) * (t as f64 - a))
//! };
//! let snapshots: Vec<Profile> = [0.05, 0.1]
//!     .into_iter()
//!     .flat_map(|sigma_rel| [25, 50, 75, 100].map(|updates| Profile { sigma_rel, updates }))
//!     .collect();
//! let x = fit(&snapshots, Profile { sigma_rel: 0.08, updates: 100 })?.coefficients;
//! let found: f64 = x.iter().zip(&snapshots).map(|(x, s)| x * tracked(s.sigma_rel, s.updates)).sum();
//! assert!((found - tracked(0.08, 100)).abs() < 0.1, "{found}");
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use tch::Tensor;

/// The largest relative width; that of equal weights is 0.289.
pub const WIDEST: f64 = 0.28;
/// The smallest relative width.
pub const NARROWEST: f64 = 0.001;

/// An average: its relative width, and the number of updates after which it is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// The relative width.
    #[doc(alias = "std")]
    pub sigma_rel: f64,
    /// Number of updates, from 1.
    pub updates: u64,
}

/// A combination of snapshots.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// One coefficient per snapshot; they sum to 1.
    pub coefficients: Vec<f64>,
    /// Distance of its p from the wanted p, relative to the norm of the wanted p.
    pub error: f64,
}

/// The exponent g of a relative width.
///
/// # Errors
/// [`TrainError::Average`]: a width outside [`NARROWEST`] to [`WIDEST`].
#[doc(alias = "std_to_exp")]
pub fn exponent(sigma_rel: f64) -> Result<f64, TrainError> {
    if !(NARROWEST..=WIDEST).contains(&sigma_rel) {
        let remedy = format!("give {NARROWEST} to {WIDEST}, for example 0.05");
        return Err(TrainError::average("its relative width (sigma_rel)", sigma_rel, remedy));
    }
    // The width falls with g from 0.289 at 0, and is below 1 / g.
    let (mut low, mut high) = (0.0, 1.0 / sigma_rel);
    for _ in 0..100 {
        let g: f64 = 0.5 * (low + high);
        let wider = (g + 1.0) / ((g + 2.0).powi(2) * (g + 3.0)) > sigma_rel * sigma_rel;
        if wider { low = g } else { high = g }
    }
    Ok(low)
}

/// b_t, the share of the average that remains at update t >= 1.
#[doc(alias = "power_function_beta")]
pub fn decay(exponent: f64, update: u64) -> f64 {
    (1.0 - 1.0 / update as f64).powf(exponent + 1.0)
}

/// The combination of snapshots that is nearest to the wanted average.
///
/// # Errors
/// [`TrainError::Average`]: a width outside the domain, 0 updates, no snapshot, a snapshot that is
/// given twice or nearly so, or one after the wanted update.
#[doc(alias = "solve_posthoc_coefficients")]
pub fn fit(snapshots: &[Profile], wanted: Profile) -> Result<Fit, TrainError> {
    let refuse = |what, value: String, remedy: &str| Err(TrainError::average(what, value, remedy));
    if wanted.updates == 0 {
        return refuse("its number of updates", "0".into(), "give at least 1");
    }
    if snapshots.is_empty() {
        return refuse("the number of snapshots", "0".into(), "give at least 1");
    }
    for (k, snapshot) in snapshots.iter().enumerate() {
        if !(1..=wanted.updates).contains(&snapshot.updates) {
            let remedy = "give snapshots from update 1 to that of the wanted average";
            return refuse("the update of a snapshot", snapshot.updates.to_string(), remedy);
        }
        if snapshots[..k].contains(snapshot) {
            let text = format!("{} at update {}", snapshot.sigma_rel, snapshot.updates);
            return refuse("a repeated snapshot", text, "give each snapshot once");
        }
    }
    let point = |profile: &Profile| Ok((exponent(profile.sigma_rel)?, profile.updates as f64));
    let points = snapshots.iter().map(point).collect::<Result<Vec<_>, TrainError>>()?;
    let target = point(&wanted)?;
    let n = points.len();
    // The equations of all unknowns, each with its right-hand side; scaled to a diagonal near 1.
    let norm = inner(target, target);
    let row = |p: &(f64, f64)| points.iter().chain([&target]).map(|q| inner(*p, *q) / norm).collect::<Vec<_>>();
    let mut equations: Vec<Vec<f64>> = points.iter().map(row).collect();
    equations.iter_mut().for_each(|equation| equation.insert(n, 1.0));
    equations.push((0..n + 2).map(|k| f64::from(u8::from(k != n))).collect());
    let products: Vec<Vec<f64>> = equations[..n].to_vec();
    let Some(mut coefficients) = solve(&equations) else {
        return refuse("the distance of two snapshots", "0".into(), "give widths and updates that differ");
    };
    coefficients.truncate(n);
    let quadratic: f64 = coefficients.iter().zip(&products).map(|(x, row)| x * dot(row, &coefficients)).sum();
    let linear: f64 = coefficients.iter().zip(&products).map(|(x, row)| x * row[n + 1]).sum();
    Ok(Fit { coefficients, error: (1.0 - 2.0 * linear + quadratic).max(0.0).sqrt() })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// <p, q> for (exponent, update) of each.
#[doc(alias = "p_dot_p")]
fn inner((g, s): (f64, f64), (k, t): (f64, f64)) -> f64 {
    let ratio = if s < t { (s / t).powf(k) } else { (t / s).powf(g) };
    (g + 1.0) * (k + 1.0) * ratio / ((g + k + 1.0) * s.max(t))
}

/// The solution of linear equations, each with its right-hand side last, if there is one.
fn solve(equations: &[Vec<f64>]) -> Option<Vec<f64>> {
    let n = equations.len() as i64;
    let all = Tensor::from_slice(&equations.concat()).view([n, n + 1]);
    let x = Tensor::f_linalg_solve(&all.narrow(1, 0, n), &all.narrow(1, n, 1), true).ok()?;
    let x = Vec::<f64>::try_from(x.view(-1)).ok()?;
    x.iter().all(|x| x.is_finite()).then_some(x)
}
