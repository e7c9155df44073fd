//! Conditions in a cost: pairs whose conditions differ cost more.
//!
//! C_ij + w mean(C) D_ij, with D_ij = 1 for two classes that differ and 0 for equal ones, and for vectors of conditions D_ij = |a_i - a_j|^2 in
//! units of its mean. The weight w is in units of the mean cost. Source: Cheng and Schwing, "The curse of conditions" (2025).

use crate::OtError;
use crate::scalar::Scalar;
use fm_core::coupling::Conditions;
use ndarray::{Array2, ArrayView2, Zip};

/// Adds to each entry `weight`, in units of the mean cost, times the distance of its row's and its column's conditions: 1 where classes
/// differ and 0 where they do not; for vectors the squared Euclidean distance, in units of its mean.
///
/// # Errors
/// [`OtError::Weight`] for a weight that is negative, not finite or too large for these costs, [`OtError::Conditions`] when there is not one
/// condition for each row and each column, [`OtError::Condition`] for a vector that is not finite.
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

/// [`add_conditions`] for vectors of f32 or f64, (rows, dimensions).
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
    let apart = T::squared_euclidean(values, values);
    let mean = apart.mean().unwrap_or(0.0);
    if !mean.is_finite() {
        return Err(OtError::TooLarge);
    }
    if mean > 0.0 {
        cost.scaled_add(scaled / mean, &apart);
    }
    Ok(())
}

/// The weight in the unit of the cost; none where the costs are not finite, which stays for the solver to report.
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

/// Fails unless a weight of conditions is a finite number, 0 or above.
pub(crate) fn check_weight(weight: f64) -> Result<(), OtError> {
    if weight >= 0.0 && weight.is_finite() { Ok(()) } else { Err(OtError::Weight { weight }) }
}
