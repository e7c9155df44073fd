//! The data row of least cost minus potential, for each noise row.
//!
//! The costs are computed in blocks of noise rows by data rows, so that memory stays bounded for
//! any number of data rows.

use crate::cost::Cost;
use crate::scalar::Scalar;
use crate::{OtError, memory};
use ndarray::{ArrayView2, Axis, s};
use rayon::prelude::*;

/// Costs per block: 8 MiB.
const ENTRIES: usize = 1 << 20;
/// The most noise rows per block.
pub(crate) const ROWS: usize = 1024;

/// The data row of a noise row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Nearest {
    /// The row number.
    pub(crate) row: usize,
    /// The cost minus the potential of the data row.
    pub(crate) value: f64,
}

/// argmin_j c(x_i, y_j) - g_j for each i; the first of equal ones.
///
/// # Errors
/// [`OtError::Dimension`], [`OtError::CostShape`], and [`OtError::NotFinite`] for a cost minus
/// potential that is not finite.
pub(crate) fn nearest<T: Scalar, C: Cost<T>>(
    cost: &C,
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    potentials: &[f64],
) -> Result<Vec<Nearest>, OtError> {
    memory::check((x.nrows(), 2), 1)?;
    let mut found = vec![Nearest { row: 0, value: f64::INFINITY }; x.nrows()];
    for (start, found) in (0..x.nrows()).step_by(ROWS).zip(found.chunks_mut(ROWS)) {
        let x = x.slice(s![start..start + found.len(), ..]);
        each_block(cost, x, y, |first, costs| {
            let potentials = &potentials[first..first + costs.ncols()];
            let rows = costs.axis_iter(Axis(0)).into_par_iter().zip(&mut *found).enumerate();
            let bad = rows.filter_map(|(i, (costs, best))| {
                let column = closer(costs.as_slice().unwrap_or(&[]), potentials, first, best)?;
                Some(OtError::NotFinite { row: start + i, column })
            });
            // The first, whichever thread found it.
            bad.min_by_key(|error| if let OtError::NotFinite { row, .. } = error { *row } else { 0 })
                .map_or(Ok(()), Err)
        })?;
    }
    Ok(found)
}

/// Updates the best data row by those from `first` on; the first column that is not finite.
fn closer(costs: &[f64], potentials: &[f64], first: usize, best: &mut Nearest) -> Option<usize> {
    let mut sum = 0.0;
    for (j, (cost, potential)) in costs.iter().zip(potentials).enumerate() {
        let value = cost - potential;
        sum += 0.0 * value;
        if value < best.value {
            *best = Nearest { row: first + j, value };
        }
    }
    let finite = |(cost, potential): (&f64, &f64)| (cost - potential).is_finite();
    if sum == 0.0 { None } else { costs.iter().zip(potentials).position(|pair| !finite(pair)).map(|j| first + j) }
}

/// The standard deviation of a noise row's costs over the data rows, as the root of the mean over
/// noise rows of the variance; 1 if all data rows cost the same.
pub(crate) fn spread<T: Scalar, C: Cost<T>>(
    cost: &C,
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
) -> Result<f64, OtError> {
    let x = x.slice(s![..x.nrows().min(64), ..]);
    // Relative to the first data row, so that a common offset does not cancel.
    let mut moments = vec![[0.0, 0.0, 0.0]; x.nrows()];
    each_block(cost, x, y, |first, costs| {
        for (costs, [offset, sum, squares]) in costs.rows().into_iter().zip(&mut moments) {
            if first == 0 {
                *offset = costs[0];
            }
            for cost in costs {
                *sum += cost - *offset;
                *squares += (cost - *offset).powi(2);
            }
        }
        Ok(())
    })?;
    let n = y.nrows() as f64;
    let variances = moments.iter().map(|[_, sum, squares]| (squares / n - (sum / n).powi(2)).max(0.0));
    let unit = (variances.sum::<f64>() / x.nrows().max(1) as f64).sqrt();
    Ok(if unit > 0.0 && unit.is_finite() { unit } else { 1.0 })
}

/// Calls `visit` with the costs between all rows of `x` and a block of rows of `y`, and with the
/// number of the block's first row.
fn each_block<T: Scalar, C: Cost<T>>(
    cost: &C,
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    mut visit: impl FnMut(usize, ArrayView2<'_, f64>) -> Result<(), OtError>,
) -> Result<(), OtError> {
    let columns = (ENTRIES / x.nrows().max(1)).max(1);
    for first in (0..y.nrows()).step_by(columns) {
        let part = y.slice(s![first..y.nrows().min(first + columns), ..]);
        let costs = cost.matrix(x, part)?;
        let (expected, got) = ((x.nrows(), part.nrows()), costs.dim());
        if got != expected {
            return Err(OtError::CostShape { expected, got });
        }
        visit(first, costs.as_standard_layout().view())?;
    }
    Ok(())
}
