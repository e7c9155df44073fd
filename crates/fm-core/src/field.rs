//! Velocity fields: what a solver integrates.
//!
//! ```
//! use fm_core::field::VelocityField;
//! // A closure is a field: dx/dt = -x.
//! let decay = |x: &Vec<f64>, _t: f64| x.iter().map(|v| -v).collect::<Vec<_>>();
//! assert_eq!(decay.velocity(&vec![2.0], 0.0), [-2.0]);
//! ```

/// A velocity dx/dt = v(x, t) over states `S`; t runs from 0 (source) to 1 (data).
pub trait VelocityField<S> {
    /// v(x, t), of the shape and unit of x per unit time.
    fn velocity(&self, x: &S, t: f64) -> S;
}

impl<S, F: Fn(&S, f64) -> S> VelocityField<S> for F {
    fn velocity(&self, x: &S, t: f64) -> S {
        self(x, t)
    }
}
