//! The guided field.

use super::momentum::Momentum;
use super::options::GuidanceOptions;
use super::pair::{FieldPair, number_of};
use super::rules::{project, rescale, subtract, zero_star};
use fm_core::Error;
use fm_core::field::RowField;
use fm_core::path::Coefficients;
use fm_core::prediction::Prediction;
use fm_core::state::{RowProducts, RowState};

/// A pair of fields under guidance, as a field over states S.
///
/// An evaluation evaluates both fields, or only the main one at times without guidance.
///
/// With momentum the field has state: the average at time t is computed from the average at the
/// latest evaluated time before t, or from nothing if there is none. So repeated times and new
/// solves are handled correctly. In a solve backwards in time, momentum has no effect.
#[derive(Debug)]
pub struct Guider<P, S> {
    pair: P,
    options: GuidanceOptions,
    momentum: Momentum<S>,
}

impl<P, S> Guider<P, S> {
    /// Guides fields that predict `prediction`.
    ///
    /// # Errors
    /// As [`GuidanceOptions::check`].
    pub fn new(pair: P, options: GuidanceOptions, prediction: Prediction) -> Result<Self, Error> {
        options.check(prediction)?;
        Ok(Self { pair, options, momentum: Momentum::default() })
    }

    /// The two fields.
    pub fn pair(&self) -> &P {
        &self.pair
    }

    /// The rules.
    pub fn options(&self) -> &GuidanceOptions {
        &self.options
    }

    /// The time before which v = 0.
    fn zero_until(&self) -> f64 {
        self.options.zero_star.map_or(0.0, |rule| rule.zero_until)
    }

    /// The weights of v_c and of the difference at t.
    fn weights(&self, t: f64) -> (f64, f64) {
        let (from, to) = self.options.interval;
        match t {
            t if t < self.zero_until() => (0.0, 0.0),
            t if (from..=to).contains(&t) => (1.0, self.options.scale - 1.0),
            _ => (1.0, 0.0),
        }
    }
}

impl<S: RowState + RowProducts, P: FieldPair<S>> Guider<P, S> {
    /// v_c at t, and the difference that is added to it; `Err` for a prediction of another shape.
    fn difference(&self, x: &S, t: &[f64], rows: &[usize]) -> Result<(S, S), S> {
        if let Some(time) = self.options.look_ahead {
            let main = shaped(x, self.pair.main(x, t, rows))?;
            let ahead: Vec<f64> = t.iter().map(|t| (t + time).min(t.max(1.0))).collect();
            let steps: Vec<f64> = ahead.iter().zip(t).map(|(ahead, t)| ahead - t).collect();
            let there = S::row_combination(&[(&vec![1.0; steps.len()], x), (&steps, &main)]);
            let (c, u) = self.pair.both(&there, &ahead, rows);
            return Ok((main, subtract(&shaped(x, c)?, &shaped(x, u)?)));
        }
        let (c, u) = self.pair.both(x, t, rows);
        let (c, u) = (shaped(x, c)?, shaped(x, u)?);
        let difference = match (&self.options.zero_star, &self.options.projection) {
            (Some(_), _) => zero_star(&c, &u),
            (None, Some(rule)) => project(&self.momentum.average(subtract(&c, &u), t, rule.momentum), &c, rule),
            (None, None) => subtract(&c, &u),
        };
        Ok((c, difference))
    }

    fn guided(&self, x: &S, t: &[f64], rows: &[usize]) -> Result<S, S> {
        let (main, scale): (Vec<f64>, Vec<f64>) = t.iter().map(|t| self.weights(*t)).unzip();
        if main.iter().all(|weight| *weight == 0.0) {
            return Ok(S::row_combination(&[(&main, x)]));
        }
        if scale.iter().all(|weight| *weight == 0.0) {
            let v = shaped(x, self.pair.main(x, t, rows))?;
            let whole = main.iter().all(|weight| *weight == 1.0);
            return Ok(if whole { v } else { S::row_combination(&[(&main, &v)]) });
        }
        let (c, difference) = self.difference(x, t, rows)?;
        let v = S::row_combination(&[(&main, &c), (&scale, &difference)]);
        Ok(if self.options.rescale > 0.0 { rescale(&v, &c, self.options.rescale) } else { v })
    }
}

/// A prediction of the shape of x; `Err` for another, which a solver rejects.
fn shaped<S: RowState>(x: &S, v: S) -> Result<S, S> {
    if v.same_shape(x) { Ok(v) } else { Err(v) }
}

impl<S: RowState + RowProducts, P: FieldPair<S>> RowField<S> for Guider<P, S> {
    fn velocities(&self, x: &S, t: &[f64], rows: &[usize]) -> S {
        self.guided(x, t, rows).unwrap_or_else(|other| other)
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        let values: usize = x.shape().iter().skip(1).product();
        if self.options.rescale > 0.0 && values < 2 {
            let (what, with) = ("the rescale of guidance".into(), "rows of fewer than two values".into());
            return Err(Error::Combination { what, with, why: "they have no deviation; set it to 0" });
        }
        self.pair.check(x)
    }

    /// The pieces of the pair, and those before and after the zero velocity and the interval.
    fn segment(&self, t: f64) -> usize {
        let (from, to) = self.options.interval;
        let own = usize::from(t >= self.zero_until()) + usize::from(t >= from) + usize::from(t > to);
        number_of(self.pair.segment(t), own)
    }

    fn path_at(&self, t: f64) -> Option<Coefficients> {
        self.pair.path_at(t)
    }
}
