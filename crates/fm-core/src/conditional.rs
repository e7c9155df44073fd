//! Conditional flows: the position and the velocity of a row at time t on a curve from x0 to x1.
//!
//! A [`ConditionalFlow`] is a function psi_t(x0, x1), smooth in t, with psi_0 = x0 and psi_1 = x1,
//! exactly or nearly. A network is trained on the positions x_t = psi_t(x0, x1) and the velocities
//! u_t = d psi_t / dt. Three cases:
//!
//! - an affine [path](crate::path), x_t = alpha(t) x1 + sigma(t) x0: [`Affine`], for a [`ProbPath`]
//!   without extra noise
//! - a Gaussian path N(mu(x1, t), sigma(x1, t)^2): psi_t = mu(x1, t) + sigma(x1, t) x0
//! - a geodesic of a manifold
//!
//! Rows are vectors of f32; u has the unit of x, per unit of time.
//!
//! [`FlowMatching::along`](crate::FlowMatching::along) trains a network, which predicts velocities,
//! on such a flow. This one follows great circles of the unit sphere:
//!
//! ```
//! use fm_core::FlowMatching;
//! use fm_core::conditional::{ConditionalFlow, positions};
//! struct GreatCircle;
//! impl ConditionalFlow for GreatCircle {
//!     fn at(&self, [x0, x1]: [&[f32]; 2], t: f64, x: &mut [f32], u: &mut [f32]) {
//!         let dot: f64 = x0.iter().zip(x1).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
//!         let angle = dot.clamp(-1.0, 1.0).acos();
//!         // x_t = (sin((1 - t) angle) x0 + sin(t angle) x1) / sin(angle)
//!         let part = |s: f64| if angle > 0.0 { (s * angle).sin() / angle.sin() } else { s };
//!         let speed = |s: f64| if angle > 0.0 { angle * (s * angle).cos() / angle.sin() } else { 1.0 };
//!         for (k, (x, u)) in x.iter_mut().zip(u).enumerate() {
//!             let (a, b) = (f64::from(x0[k]), f64::from(x1[k]));
//!             *x = (part(1.0 - t) * a + part(t) * b) as f32;
//!             *u = (speed(t) * b - speed(1.0 - t) * a) as f32;
//!         }
//!     }
//! }
//! // A third of the way along a quarter of the equator.
//! let [x, u] = positions(&GreatCircle, &[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0], &[1.0 / 3.0], 3)?;
//! let quarter = std::f32::consts::FRAC_PI_2;
//! let close = |a: &[f32], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
//! assert!(close(&x, [0.75f32.sqrt(), 0.5, 0.0]));
//! assert!(close(&u, [-quarter * 0.5, quarter * 0.75f32.sqrt(), 0.0]));
//! let flow = FlowMatching::default().along(GreatCircle);
//! assert_eq!(flow.validate(), Ok(()));
//! # Ok::<(), fm_core::Error>(())
//! ```
//!
//! Source: Chen and Lipman, "Flow Matching on General Geometries" (2024); Lipman et al., "Flow
//! Matching for Generative Modeling" (2023).

use crate::Error;
use crate::path::ProbPath;

/// The position and the velocity of a row between its two ends. Shared between threads.
#[doc(alias = "conditional_probability_path")]
#[doc(alias = "GeodesicProbPath")]
pub trait ConditionalFlow: Send + Sync {
    /// Writes the position x_t and the velocity u_t at time t of the row that goes from the first
    /// of `ends` to the second. All rows have the same number of values.
    fn at(&self, ends: [&[f32]; 2], t: f64, x: &mut [f32], u: &mut [f32]);

    /// The name used in messages.
    fn name(&self) -> String {
        crate::message::type_name::<Self>()
    }
}

/// An affine path: x_t = alpha(t) x1 + sigma(t) x0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine<P>(pub P);

impl<P: ProbPath> ConditionalFlow for Affine<P> {
    fn at(&self, [x0, x1]: [&[f32]; 2], t: f64, x: &mut [f32], u: &mut [f32]) {
        let c = self.0.coefficients(t);
        // Extra noise is not a function of the ends.
        let noise = if self.0.has_extra_noise() { f64::NAN } else { 0.0 };
        for ((x, u), (x0, x1)) in x.iter_mut().zip(u).zip(x0.iter().zip(x1)) {
            let (x0, x1) = (f64::from(*x0), f64::from(*x1));
            *x = (c.alpha * x1 + c.sigma * x0 + noise) as f32;
            *u = (c.d_alpha * x1 + c.d_sigma * x0) as f32;
        }
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

/// The positions and the velocities of rows of `dim` values, one time per row.
///
/// # Errors
/// [`Error::Rows`] for another number of values or times; [`Error::PathNotFinite`] where the flow
/// gives a value that is not finite.
pub fn positions(
    flow: &(impl ConditionalFlow + ?Sized),
    x0: &[f32],
    x1: &[f32],
    times: &[f64],
    dim: usize,
) -> Result<[Vec<f32>; 2], Error> {
    let expected = times.len().saturating_mul(dim);
    for (what, got) in [("values of the source rows", x0.len()), ("values of the data rows", x1.len())] {
        if got != expected {
            return Err(Error::Rows { what, expected, got });
        }
    }
    let (mut x, mut u) = (vec![0.0; expected], vec![0.0; expected]);
    let width = dim.max(1);
    let ends = x0.chunks_exact(width).zip(x1.chunks_exact(width));
    let out = x.chunks_exact_mut(width).zip(u.chunks_exact_mut(width));
    for ((t, (x0, x1)), (x, u)) in times.iter().zip(ends).zip(out) {
        flow.at([x0, x1], *t, x, u);
        if !x.iter().chain(u.iter()).all(|value| value.is_finite()) {
            return Err(Error::PathNotFinite { path: flow.name(), t: *t });
        }
    }
    Ok([x, u])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FlowMatching;
    use crate::path::PathKind;
    use crate::prediction::Prediction;
    use ndarray::array;

    #[test]
    fn an_affine_path_is_a_conditional_flow() {
        let (x0, x1) = (array![[1.0f32, -2.0], [0.5, 3.0]], array![[4.0f32, 0.0], [-1.0, 2.0]]);
        for path in ["linear", "trigonometric", "polynomial:3", "linear-sigma-min:0.1"] {
            let path: PathKind = path.parse().unwrap();
            let times = [0.2, 0.7];
            let want = FlowMatching::new(path).sample(&x0, &x1, &times).unwrap();
            let [x, u] = positions(&Affine(path), x0.as_slice().unwrap(), x1.as_slice().unwrap(), &times, 2).unwrap();
            let close = |a: &[f32], b: &ndarray::Array2<f32>| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(close(&x, &want.x_t) && close(&u, &want.target), "{path}");
        }
        let noisy: PathKind = "constant-noise:sigma=0.1".parse().unwrap();
        let error = positions(&Affine(noisy), &[0.0], &[1.0], &[0.5], 1).unwrap_err();
        assert!(error.to_string().contains("constant-noise"), "{error}");
        assert!(matches!(
            positions(&Affine(noisy), &[0.0], &[1.0], &[0.5], 2),
            Err(Error::Rows { expected: 2, got: 1, .. })
        ));
    }

    #[test]
    fn a_flow_along_it_predicts_velocities_and_takes_batches_of_rows() {
        let along = || FlowMatching::default().along(Affine(PathKind::Trigonometric));
        assert_eq!(along().validate(), Ok(()));
        let error = along().prediction(Prediction::Data).validate().unwrap_err().to_string();
        assert!(error.contains("predict the velocity"), "{error}");
        let error = along().sample(&array![[0.0f32]], &array![[1.0]], &[0.5]).unwrap_err().to_string();
        assert!(error.contains("conditional::positions"), "{error}");
        assert_eq!(crate::named_flow::NamedFlow::of(&along()), None);
    }
}
