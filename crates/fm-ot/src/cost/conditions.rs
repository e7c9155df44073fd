//! Conditions in a cost: pairs with different conditions cost more.
//!
//! The cost is C_ij + w mean(C) D_ij. For classes D_ij is 1 if they differ and 0 otherwise; for
//! condition vectors D_ij = |a_i - a_j|^2 divided by its mean. The weight w is in units of the mean
//! cost. Source: Cheng and Schwing, "The curse of conditions" (2025).

use crate::OtError;
use crate::scalar::Scalar;
use fm_core::coupling::Conditions;
use ndarray::{Array2, ArrayView2, Zip};

/// Adds to each entry `weight`, in units of the mean cost, times the distance between the
/// conditions of its row and column: for classes 1 if they differ and 0 otherwise; for vectors the
/// squared Euclidean distance divided by its mean.
///
/// # Errors
/// [`OtError::Weight`] for a weight that is negative, not finite or too large for these costs,
/// [`OtError::Conditions`] unless there is one condition for each row and each column,
/// [`OtError::Condition`] for a vector that is not finite.
pub fn add_conditions(cost: &mut Array2<f64>, conditions: Conditions<'_>, weight: f64) -> Result<(), OtError> {
    match conditions {
        Conditions::None => check_weight(weight),
        Conditions::Values(values) => add_condition_vectors(cost, values, weight),
        Conditions::Classes(classes) => {
            let Some(scaled) = scaled(cost, classes.len(), weight)? else { return Ok(()) };
            Zip::indexed(cost).for_each(|(i, j), c| *c += if classes[i] == classes[j] { 0.0 } else { scaled });
            Ok(())
        }
    }
}

/// [`add_conditions`] for f32 or f64 vectors, (rows, dimensions).
///
/// # Errors
/// As [`add_conditions`].
pub fn add_condition_vectors<T: Scalar>(
    cost: &mut Array2<f64>,
    values: ArrayView2<'_, T>,
    weight: f64,
) -> Result<(), OtError> {
    let Some(scaled) = scaled(cost, values.nrows(), weight)? else { return Ok(()) };
    let finite = |v: T| -> bool { v.into().is_finite() };
    if let Some(((row, column), _)) = values.indexed_iter().find(|(_, v)| !finite(**v)) {
        return Err(OtError::Condition { row, column });
    }
    crate::memory::check(cost.dim(), 2)?;
    let apart = T::squared_euclidean(values, values)?;
    let mean = apart.mean().unwrap_or(0.0);
    if !mean.is_finite() {
        return Err(OtError::TooLarge);
    }
    if mean > 0.0 {
        cost.scaled_add(scaled / mean, &apart);
    }
    Ok(())
}

/// The weight in the unit of the cost; `None` if the costs are not finite, which the solver
/// reports.
fn scaled(cost: &Array2<f64>, conditions: usize, weight: f64) -> Result<Option<f64>, OtError> {
    check_weight(weight)?;
    let (rows, columns) = cost.dim();
    if (rows, columns) != (conditions, conditions) {
        return Err(OtError::Conditions { conditions, rows, columns });
    }
    let mean = cost.mean().unwrap_or(0.0).abs();
    if !mean.is_finite() {
        return Ok(None);
    }
    let scaled = weight * mean;
    check_weight(scaled).map_err(|_| OtError::Weight { weight })?;
    Ok(Some(scaled))
}

/// Fails unless a condition weight is a finite number, 0 or above.
pub(crate) fn check_weight(weight: f64) -> Result<(), OtError> {
    if weight >= 0.0 && weight.is_finite() { Ok(()) } else { Err(OtError::Weight { weight }) }
}
