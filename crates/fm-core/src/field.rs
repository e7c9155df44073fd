//! Velocity fields: what a solver integrates, and wrappers that make one from another.
//!
//! A [`VelocityField`] evaluates a whole state at one time. A [`RowField`] evaluates each row of a
//! batch at its own time, as a network does. [`SharedTime`] makes the first from the second.
//!
//! Functions take a field by reference, sized or not. Wrappers take a field by value, in one of
//! these forms:
//!
//! | form | used for |
//! |---|---|
//! | a closure, a reference to a closure, a `Box` of a closure | a function |
//! | `&dyn`, `Box<dyn>`, also with `Send` and `Sync` | a field chosen at run time |
//! | `Arc<F>`, `Rc<F>`, `F` possibly `dyn` | a field with several owners |
//! | [`ByRef`]`(&field)` | a borrowed field of any type (an implementation for `&F` would conflict with the one for closures) |
//!
//! | wrapper | the field it makes |
//! |---|---|
//! | [`Converted`] | the velocity, and the score if there is one, of a network that predicts something else |
//! | [`Rescheduled`](crate::schedule::Rescheduled) | the velocity along another path than the network was trained on |
//! | [`ExactField`](crate::exact::ExactField) | the velocity that a perfect network would predict |
//!
//! ```
//! use fm_core::field::{Converted, VelocityField};
//! use fm_core::path::PathKind;
//! use fm_core::prediction::Prediction;
//! // A closure is a field. This one predicts the data point 3 for every x.
//! let data = |x: &Vec<f64>, _t: f64| vec![3.0; x.len()];
//! let field = Converted::new(data, PathKind::Linear, Prediction::Data, (0.0, 0.5))?;
//! // v = (x1 - x) / (1 - t)
//! assert_eq!(field.velocity(&vec![1.0], 0.5), [4.0]);
//! // At t = 1 the data does not determine the noise.
//! assert!(Converted::new(data, PathKind::Linear, Prediction::Data, (0.0, 1.0)).is_err());
//! # Ok::<(), fm_core::Error>(())
//! ```

mod converted;

pub use converted::Converted;

use crate::Error;
use crate::path::Coefficients;
use crate::state::RowState;
use std::rc::Rc;
use std::sync::Arc;

/// A velocity dx/dt = v(x, t) over states `S`; t runs from 0 (source) to 1 (data).
#[doc(alias = "ODETerm")]
pub trait VelocityField<S> {
    /// v(x, t), with the shape of x and the unit of x per unit time. The result must not share
    /// memory with x, because a solver overwrites x: a field over tensors whose velocity is x
    /// itself returns a copy. A solver rejects a result of another shape.
    fn velocity(&self, x: &S, t: f64) -> S;

    /// Checks that the field accepts this state; a solver calls it once, before the first
    /// evaluation.
    ///
    /// # Errors
    /// The reason that it does not.
    fn check(&self, x: &S) -> Result<(), Error> {
        let _ = x;
        Ok(())
    }

    /// The number of the smooth piece of the field in time that contains t, for fields that are
    /// discontinuous in time; multistep solvers drop values of another piece. It is equal for all
    /// times of a continuous field.
    fn segment(&self, t: f64) -> usize {
        let _ = t;
        0
    }

    /// The coefficients at t of the path that the velocity belongs to, if the field states a path;
    /// solvers with steps in the log-SNR take their weights from it. They may be not finite at a
    /// singular end.
    fn path_at(&self, t: f64) -> Option<Coefficients> {
        let _ = t;
        None
    }

    /// Whether the field has a score beside its velocity, so that
    /// [`velocity_and_score`](Self::velocity_and_score) is defined.
    fn has_score(&self) -> bool {
        false
    }

    /// v(x, t) and the score grad log p_t(x), both shaped as x; of a network's predictions, the
    /// velocity and the [scaled score](crate::bridge), which [`Converted`] makes a score. `None`
    /// for a field without a score, the default.
    fn velocity_and_score(&self, x: &S, t: f64) -> Option<[S; 2]> {
        let _ = (x, t);
        None
    }
}

impl<S, F: Fn(&S, f64) -> S> VelocityField<S> for F {
    fn velocity(&self, x: &S, t: f64) -> S {
        self(x, t)
    }
}

/// A velocity over a batch whose rows have their own times.
pub trait RowField<S> {
    /// Row i of the result is v(x_i, t\[i\]). A solver removes rows that have reached the end:
    /// `rows[i]` is the index of row i in the initial batch, in increasing order, so that a field
    /// can look up the row's label. The result has the shape of x and must not share memory with
    /// it; a solver rejects another shape.
    fn velocities(&self, x: &S, t: &[f64], rows: &[usize]) -> S;

    /// Checks that the field accepts the initial batch x; a solver calls it once, before the first
    /// evaluation.
    ///
    /// # Errors
    /// The reason that it does not.
    fn check(&self, x: &S) -> Result<(), Error> {
        let _ = x;
        Ok(())
    }

    /// The number of the smooth piece of the field in time that contains t, for fields that are
    /// discontinuous in time; multistep solvers drop values of another piece. It is equal for all
    /// times of a continuous field.
    fn segment(&self, t: f64) -> usize {
        let _ = t;
        0
    }

    /// The coefficients at t of the path that the velocity belongs to, if the field states a path;
    /// solvers with steps in the log-SNR take their weights from it. They may be not finite at a
    /// singular end.
    fn path_at(&self, t: f64) -> Option<Coefficients> {
        let _ = t;
        None
    }

    /// Whether the field is a flow map, so that [`mean_velocities`](Self::mean_velocities) is
    /// defined.
    fn is_flow_map(&self) -> bool {
        false
    }

    /// The mean velocity of row i from t\[i\] to t\[i\] + h\[i\] on the trajectory through x_i, so
    /// that x + h u is its point there. Otherwise as [`velocities`](Self::velocities). `None` for a
    /// field that is not a flow map, the default.
    fn mean_velocities(&self, x: &S, t: &[f64], h: &[f64], rows: &[usize]) -> Option<S> {
        let _ = (x, t, h, rows);
        None
    }

    /// Whether the field has a score beside its velocity, so that
    /// [`velocities_and_scores`](Self::velocities_and_scores) is defined.
    fn has_score(&self) -> bool {
        false
    }

    /// v(x, t) and the score grad log p_t(x) of each row; of a network's predictions, the velocity
    /// and the [scaled score](crate::bridge), which [`Converted`] makes a score. Otherwise as
    /// [`velocities`](Self::velocities). `None` for a field without a score, the default.
    fn velocities_and_scores(&self, x: &S, t: &[f64], rows: &[usize]) -> Option<[S; 2]> {
        let _ = (x, t, rows);
        None
    }
}

impl<S, F: Fn(&S, &[f64], &[usize]) -> S> RowField<S> for F {
    fn velocities(&self, x: &S, t: &[f64], rows: &[usize]) -> S {
        self(x, t, rows)
    }
}

/// Passes a borrowed field where a field is taken by value.
///
/// ```
/// use fm_core::field::{ByRef, Converted, VelocityField};
/// use fm_core::path::PathKind;
/// use fm_core::prediction::Prediction;
/// struct Mean(f64);
/// impl VelocityField<f64> for Mean {
///     fn velocity(&self, _: &f64, _: f64) -> f64 {
///         self.0
///     }
/// }
/// let network = Mean(3.0);
/// let field = Converted::new(ByRef(&network), PathKind::Linear, Prediction::Data, (0.0, 0.5))?;
/// assert_eq!(field.velocity(&1.0, 0.5), 4.0); // (x1 - x) / (1 - t)
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ByRef<'a, F: ?Sized>(pub &'a F);

impl<F: ?Sized> Clone for ByRef<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: ?Sized> Copy for ByRef<'_, F> {}

impl<F: ?Sized> std::ops::Deref for ByRef<'_, F> {
    type Target = F;

    fn deref(&self) -> &F {
        self.0
    }
}

/// Pointers to fields implement the field traits.
macro_rules! velocity_fields {
    ($([$($generics:tt)*] $pointer:ty),* $(,)?) => {$(
        impl<$($generics)*> VelocityField<S> for $pointer {
            fn velocity(&self, x: &S, t: f64) -> S {
                (**self).velocity(x, t)
            }

            fn check(&self, x: &S) -> Result<(), Error> {
                (**self).check(x)
            }

            fn segment(&self, t: f64) -> usize {
                (**self).segment(t)
            }

            fn path_at(&self, t: f64) -> Option<Coefficients> {
                (**self).path_at(t)
            }

            fn has_score(&self) -> bool {
                (**self).has_score()
            }

            fn velocity_and_score(&self, x: &S, t: f64) -> Option<[S; 2]> {
                (**self).velocity_and_score(x, t)
            }
        }
    )*};
}

velocity_fields! {
    [S] &(dyn VelocityField<S> + '_),
    [S] &(dyn VelocityField<S> + Send + '_),
    [S] &(dyn VelocityField<S> + Sync + '_),
    [S] &(dyn VelocityField<S> + Send + Sync + '_),
    [S] Box<dyn VelocityField<S> + '_>,
    [S] Box<dyn VelocityField<S> + Send + '_>,
    [S] Box<dyn VelocityField<S> + Sync + '_>,
    [S] Box<dyn VelocityField<S> + Send + Sync + '_>,
    [S, F: VelocityField<S> + ?Sized] Arc<F>,
    [S, F: VelocityField<S> + ?Sized] Rc<F>,
    [S, F: VelocityField<S> + ?Sized] ByRef<'_, F>,
}

macro_rules! row_fields {
    ($([$($generics:tt)*] $pointer:ty),* $(,)?) => {$(
        impl<$($generics)*> RowField<S> for $pointer {
            fn velocities(&self, x: &S, t: &[f64], rows: &[usize]) -> S {
                (**self).velocities(x, t, rows)
            }

            fn check(&self, x: &S) -> Result<(), Error> {
                (**self).check(x)
            }

            fn segment(&self, t: f64) -> usize {
                (**self).segment(t)
            }

            fn path_at(&self, t: f64) -> Option<Coefficients> {
                (**self).path_at(t)
            }

            fn is_flow_map(&self) -> bool {
                (**self).is_flow_map()
            }

            fn mean_velocities(&self, x: &S, t: &[f64], h: &[f64], rows: &[usize]) -> Option<S> {
                (**self).mean_velocities(x, t, h, rows)
            }

            fn has_score(&self) -> bool {
                (**self).has_score()
            }

            fn velocities_and_scores(&self, x: &S, t: &[f64], rows: &[usize]) -> Option<[S; 2]> {
                (**self).velocities_and_scores(x, t, rows)
            }
        }
    )*};
}

row_fields! {
    [S] &(dyn RowField<S> + '_),
    [S] &(dyn RowField<S> + Send + '_),
    [S] &(dyn RowField<S> + Sync + '_),
    [S] &(dyn RowField<S> + Send + Sync + '_),
    [S] Box<dyn RowField<S> + '_>,
    [S] Box<dyn RowField<S> + Send + '_>,
    [S] Box<dyn RowField<S> + Sync + '_>,
    [S] Box<dyn RowField<S> + Send + Sync + '_>,
    [S, F: RowField<S> + ?Sized] Arc<F>,
    [S, F: RowField<S> + ?Sized] Rc<F>,
    [S, F: RowField<S> + ?Sized] ByRef<'_, F>,
}

/// A row field with all rows of a batch at the same time.
///
/// ```
/// use fm_core::field::{SharedTime, VelocityField};
/// use fm_core::state::RowCombination;
/// use ndarray::{Array2, array};
/// let growth = |x: &Array2<f64>, t: &[f64], _: &[usize]| Array2::row_combination(&[(t, x)]);
/// assert_eq!(SharedTime(growth).velocity(&array![[1.0], [4.0]], 0.5), array![[0.5], [2.0]]);
/// ```
#[derive(Debug, Clone)]
pub struct SharedTime<F>(pub F);

impl<S: RowState, F: RowField<S>> VelocityField<S> for SharedTime<F> {
    fn velocity(&self, x: &S, t: f64) -> S {
        let rows: Vec<usize> = (0..x.rows()).collect();
        self.0.velocities(x, &vec![t; rows.len()], &rows)
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        self.0.check(x)
    }

    fn segment(&self, t: f64) -> usize {
        self.0.segment(t)
    }

    fn path_at(&self, t: f64) -> Option<Coefficients> {
        self.0.path_at(t)
    }

    fn has_score(&self) -> bool {
        self.0.has_score()
    }

    fn velocity_and_score(&self, x: &S, t: f64) -> Option<[S; 2]> {
        let rows: Vec<usize> = (0..x.rows()).collect();
        self.0.velocities_and_scores(x, &vec![t; rows.len()], &rows)
    }
}
