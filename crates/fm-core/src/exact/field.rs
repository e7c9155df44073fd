//! The exact velocity as a field that solvers integrate.

use super::Mixture;
use crate::Error;
use crate::field::{RowField, VelocityField};
use crate::path::{Coefficients, ProbPath};
use crate::prediction::Prediction;
use ndarray::{Array2, Axis};

/// The marginal velocity of a mixture along a path, which a perfect network would predict. States
/// are (rows, dimensions).
///
/// ```
/// use fm_core::exact::{ExactField, Mixture};
/// use fm_core::field::VelocityField;
/// use fm_core::path::PathKind;
/// // With a single data point, the velocity points straight at it from everywhere.
/// let point = Mixture::empirical(ndarray::array![[3.0, 1.0]].view())?;
/// let field = ExactField::new(&point, PathKind::Linear, (0.0, 0.5))?;
/// let v = field.velocity(&ndarray::array![[1.0, 0.0]], 0.5);
/// assert_eq!(v, ndarray::array![[4.0, 2.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ExactField<'a, P> {
    mixture: &'a Mixture,
    path: P,
}

impl<'a, P: ProbPath> ExactField<'a, P> {
    /// The field, for times in `span` only.
    ///
    /// # Errors
    /// An invalid path, a singular end of the path, and a path without noise at its end for a
    /// mixture with points, where the velocity has no limit.
    pub fn new(mixture: &'a Mixture, path: P, span: (f64, f64)) -> Result<Self, Error> {
        path.check()?;
        for t in [span.0, span.1] {
            let c = path.at(t)?;
            if mixture.has_points() && c.noise_variance() == 0.0 {
                return Err(Error::SingularPrediction { what: "the exact velocity to single points".into(), t });
            }
        }
        Ok(Self { mixture, path })
    }
}

impl<P: ProbPath> VelocityField<Array2<f64>> for ExactField<'_, P> {
    fn velocity(&self, x: &Array2<f64>, t: f64) -> Array2<f64> {
        self.velocities(x, &vec![t; x.nrows()], &[])
    }

    fn check(&self, x: &Array2<f64>) -> Result<(), Error> {
        RowField::check(self, x)
    }

    fn path_at(&self, t: f64) -> Option<Coefficients> {
        Some(self.path.coefficients(t))
    }
}

impl<P: ProbPath> RowField<Array2<f64>> for ExactField<'_, P> {
    /// NaN where the path is singular, and for rows whose width is not that of the mixture; a
    /// solver reports both.
    fn velocities(&self, x: &Array2<f64>, t: &[f64], _: &[usize]) -> Array2<f64> {
        let mut out = Array2::from_elem(x.dim(), f64::NAN);
        if x.ncols() != self.mixture.dim() {
            return out;
        }
        for ((mut out, row), t) in out.axis_iter_mut(Axis(0)).zip(x.axis_iter(Axis(0))).zip(t) {
            let Ok((c, target)) = self.path.at(*t).and_then(|c| Ok((c, Prediction::Velocity.target(&c)?))) else {
                continue;
            };
            let mean = self.mixture.posterior_of(&row.to_vec(), &c, &target).mean;
            out.iter_mut().zip(mean).for_each(|(out, v)| *out = v);
        }
        out
    }

    fn check(&self, x: &Array2<f64>) -> Result<(), Error> {
        let (expected, got) = (self.mixture.dim(), x.ncols());
        if expected == got { Ok(()) } else { Err(Error::Width { what: "rows of the state", expected, got }) }
    }

    fn path_at(&self, t: f64) -> Option<Coefficients> {
        Some(self.path.coefficients(t))
    }
}
