//! The velocity of a network that predicts something else.

use super::{RowField, VelocityField};
use crate::path::{Coefficients, ProbPath};
use crate::prediction::{Conversion, Prediction};
use crate::state::{OdeState, RowState};
use crate::{Error, bridge};

/// The velocity of a field that predicts data, noise or score. A prediction of another shape than x
/// is returned unchanged, so that a solver rejects it with an error that names both shapes. Of a
/// field that predicts a velocity and a scaled score, it has the velocity and the score.
#[derive(Debug, Clone)]
pub struct Converted<F, P> {
    field: F,
    path: P,
    prediction: Prediction,
    /// The factor of the field's second prediction that gives a score, if that is what it is.
    score_scale: Option<f64>,
}

impl<F, P: ProbPath> Converted<F, P> {
    /// Interprets the output of `field` as `prediction` on `path`, for times in `span` only.
    ///
    /// # Errors
    /// An invalid path, an end of the span that is singular for the path or the prediction, a path
    /// with extra noise unless the prediction is a velocity, and a velocity and a score on a path
    /// that is not a Brownian bridge.
    pub fn new(field: F, path: P, prediction: Prediction, span: (f64, f64)) -> Result<Self, Error> {
        path.check()?;
        for t in [span.0, span.1] {
            prediction.to(Prediction::Velocity, &path.at(t)?)?;
        }
        let score_scale = prediction.score_weight().map(|_| bridge::score_scale(&path)).transpose()?;
        Ok(Self { field, path, prediction, score_scale })
    }
}

impl<F, P: ProbPath> Converted<F, P> {
    /// The conversion at t; NaN where it fails, which a solver reports.
    fn conversion(&self, t: f64) -> Conversion {
        let conversion = self.path.at(t).and_then(|c| self.prediction.to(Prediction::Velocity, &c));
        conversion.unwrap_or(Conversion { x: f64::NAN, prediction: f64::NAN })
    }
}

impl<S: OdeState, F: VelocityField<S>, P: ProbPath> VelocityField<S> for Converted<F, P> {
    fn velocity(&self, x: &S, t: f64) -> S {
        let predicted = self.field.velocity(x, t);
        if self.prediction.is_velocity() || !predicted.same_shape(x) {
            return predicted;
        }
        let Conversion { x: a, prediction: b } = self.conversion(t);
        S::linear_combination(&[(a, x), (b, &predicted)])
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        self.field.check(x)
    }

    fn segment(&self, t: f64) -> usize {
        self.field.segment(t)
    }

    fn path_at(&self, t: f64) -> Option<Coefficients> {
        Some(self.path.coefficients(t))
    }

    fn has_score(&self) -> bool {
        self.score_scale.is_some() && self.field.has_score()
    }

    fn velocity_and_score(&self, x: &S, t: f64) -> Option<[S; 2]> {
        let scale = self.score_scale?;
        let [v, h] = self.field.velocity_and_score(x, t)?;
        let score = if h.same_shape(x) { S::linear_combination(&[(scale, &h)]) } else { h };
        Some([v, score])
    }
}

impl<S: RowState, F: RowField<S>, P: ProbPath> RowField<S> for Converted<F, P> {
    fn velocities(&self, x: &S, t: &[f64], rows: &[usize]) -> S {
        let predicted = self.field.velocities(x, t, rows);
        if self.prediction.is_velocity() || !predicted.same_shape(x) {
            return predicted;
        }
        let each: Vec<_> = t.iter().map(|t| self.conversion(*t)).collect();
        let (a, b): (Vec<_>, Vec<_>) = each.iter().map(|c| (c.x, c.prediction)).unzip();
        S::row_combination(&[(&a, x), (&b, &predicted)])
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        self.field.check(x)
    }

    fn segment(&self, t: f64) -> usize {
        self.field.segment(t)
    }

    fn path_at(&self, t: f64) -> Option<Coefficients> {
        Some(self.path.coefficients(t))
    }

    fn is_flow_map(&self) -> bool {
        self.prediction == Prediction::Velocity && self.field.is_flow_map()
    }

    fn mean_velocities(&self, x: &S, t: &[f64], h: &[f64], rows: &[usize]) -> Option<S> {
        // The mean of another prediction does not give the mean velocity.
        if self.is_flow_map() { self.field.mean_velocities(x, t, h, rows) } else { None }
    }

    fn has_score(&self) -> bool {
        self.score_scale.is_some() && self.field.has_score()
    }

    fn velocities_and_scores(&self, x: &S, t: &[f64], rows: &[usize]) -> Option<[S; 2]> {
        let scale = self.score_scale?;
        let [v, h] = self.field.velocities_and_scores(x, t, rows)?;
        let score = if h.same_shape(x) { S::row_combination(&[(&vec![scale; t.len()], &h)]) } else { h };
        Some([v, score])
    }
}
