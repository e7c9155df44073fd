//! Squared Euclidean distances, computed by matrix products in more than a few dimensions.
//!
//! |x - y|^2 = |x|^2 + |y|^2 - 2 x . y relative to a point amid the rows, in f64 for any type of points. Entries whose terms nearly
//! cancel are recomputed from the definition, so that each has a relative error below 1e-10.

use crate::element::{Element, f64_of};
use crate::{OtError, pages};
use fm_core::product;
use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, Zip, s};
use rayon::prelude::*;

/// Minimum and maximum number of cost rows that are computed together: as many blocks as threads,
/// if each has enough work. The division into blocks does not change any bit of the result.
const BLOCK: (usize, usize) = (32, 512);
/// Dimensions multiplied at a time, so that the points are never in memory as a whole in f64.
pub(super) const PANEL: usize = 512;
/// Number of rows per side from which the centre is estimated.
const SOME: usize = 64;
/// The largest dimension for which distances are computed from the definition: below it, writing
/// the result takes longer.
pub(super) const FEW: usize = 8;
/// A squared distance below this fraction of the sum of the squared norms is recomputed.
const CANCELLED: f64 = 1e-5;

pub(crate) fn squared_euclidean<T: Element>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
) -> Result<Array2<f64>, OtError> {
    if x.ncols() <= FEW {
        return by_definition(x, y);
    }
    let amid = amid(x, y);
    let (mut own, mut others) = (vec![0.0; x.nrows()], vec![0.0; y.nrows()]);
    let mut cost = pages::zeros((x.nrows(), y.nrows()))?;
    let block = rows_of_a_block(x.nrows());
    for start in (0..x.ncols()).step_by(PANEL) {
        let panel = s![.., start..x.ncols().min(start + PANEL)];
        let (x_panel, y_panel, amid) =
            (x.slice(panel), y.slice(panel), amid.slice(s![start..x.ncols().min(start + PANEL)]));
        let q = centred(y_panel, amid, &mut others);
        let blocks = cost.axis_chunks_iter_mut(Axis(0), block).into_par_iter();
        blocks.zip(x_panel.axis_chunks_iter(Axis(0), block)).zip(own.par_chunks_mut(block)).for_each(
            |((cost, x), own)| {
                product::gemm(cost, -2.0, centred(x, amid, own).view(), q.t());
            },
        );
    }
    let blocks = cost.axis_chunks_iter_mut(Axis(0), block).into_par_iter();
    blocks.zip(x.axis_chunks_iter(Axis(0), block)).zip(own.par_chunks(block)).for_each(|((mut cost, x), own)| {
        for ((mut row, a), norm) in cost.rows_mut().into_iter().zip(x.rows()).zip(own) {
            let mut cancelled = false;
            for (c, other) in row.iter_mut().zip(&others) {
                let scale = norm + other;
                *c += scale;
                cancelled |= *c < CANCELLED * scale;
            }
            if cancelled {
                for ((c, other), b) in row.iter_mut().zip(&others).zip(y.rows()) {
                    if *c < CANCELLED * (norm + other) {
                        *c = a.iter().zip(b).map(|(a, b)| (f64_of(*a) - f64_of(*b)).powi(2)).sum();
                    }
                }
            }
        }
    });
    Ok(cost)
}

/// A point amid the points, so that fewer distances cancel for points far from the origin.
fn amid<T: Element>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Array1<f64> {
    let (mut sum, mut rows) = (Array1::zeros(x.ncols()), 0);
    for row in x.rows().into_iter().take(SOME).chain(y.rows().into_iter().take(SOME)) {
        sum.zip_mut_with(&row, |sum, v| *sum += f64_of(*v));
        rows += 1;
    }
    sum / f64::from(rows.max(1))
}

/// Rows relative to a point; adds to each row's squared norm.
fn centred<T: Element>(rows: ArrayView2<'_, T>, point: ArrayView1<'_, f64>, norms: &mut [f64]) -> Array2<f64> {
    let mut centred = pages::block(rows.dim());
    let parts = centred.axis_iter_mut(Axis(0)).into_par_iter().zip(rows.axis_iter(Axis(0))).zip(norms);
    parts.for_each(|((mut to, from), norm)| {
        Zip::from(&mut to).and(&from).and(point).for_each(|to, v, p| *to = f64_of(*v) - p);
        *norm += to.dot(&to);
    });
    centred
}

fn rows_of_a_block(rows: usize) -> usize {
    rows.div_ceil(rayon::current_num_threads()).clamp(BLOCK.0, BLOCK.1)
}

/// A matrix with one row per row of `x`, filled by blocks of rows on all cores.
pub(super) fn by_blocks<T: Element>(
    x: ArrayView2<'_, T>,
    columns: usize,
    fill: impl Fn(ArrayView2<'_, T>, ArrayViewMut2<'_, f64>) + Sync,
) -> Result<Array2<f64>, OtError> {
    let mut cost = pages::zeros((x.nrows(), columns))?;
    let block = rows_of_a_block(x.nrows());
    let blocks = cost.axis_chunks_iter_mut(Axis(0), block).into_par_iter().zip(x.axis_chunks_iter(Axis(0), block));
    blocks.for_each(|(cost, x)| fill(x, cost));
    Ok(cost)
}

fn by_definition<T: Element>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<Array2<f64>, OtError> {
    let columns: Vec<Vec<f64>> = y.columns().into_iter().map(|c| c.iter().map(|v| f64_of(*v)).collect()).collect();
    by_blocks(x, y.nrows(), |x, mut cost| {
        for (mut row, a) in cost.rows_mut().into_iter().zip(x.rows()) {
            if let Some(row) = row.as_slice_mut() {
                a.iter().zip(&columns).for_each(|(a, column)| add_squares(f64_of(*a), column, row));
            }
        }
    })
}

/// Adds the squared difference between a coordinate and that of each point.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_squares(a: f64, column: &[f64], squared: &mut [f64]) {
    squared.iter_mut().zip(column).for_each(|(to, b)| *to += (a - b) * (a - b));
}
