//! The passes over an n^2 matrix of Sinkhorn's iteration, on all cores.
//!
//! Rows are processed in blocks whose size depends only on the matrix, and partial sums are added
//! in the order of the blocks. The result does not depend on the number of threads or the
//! instruction set.

use super::exp::exp;
use multiversion::multiversion;
use rayon::prelude::*;

/// Entries per block, enough work for a thread.
pub(super) const BLOCK: usize = 1 << 17;
const LANES: usize = 16;

/// A matrix, row by row.
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f64],
    pub(super) columns: usize,
}

/// The sums of a pass over the kernel.
pub(super) struct Sweep {
    /// Sum over i of u_i K_ij, with the u of this pass.
    pub(super) columns: Vec<f64>,
    /// Sum over i of |u_i' - u_i| (K v)_i: the L1 error of the rows before this pass.
    pub(super) error: f64,
}

fn block_rows(columns: usize) -> usize {
    (BLOCK / columns.max(1)).max(1)
}

/// K_ij = exp(g_j - C_ij / epsilon - top_i), where top_i is the largest exponent of the row;
/// returns the tops.
pub(super) fn build(kernel: &mut [f64], cost: &Matrix<'_>, g: &[f64], epsilon: f64) -> Vec<f64> {
    let n = cost.columns;
    let size = block_rows(n) * n;
    let block = |(k, c): (&mut [f64], &[f64])| {
        let rows = k.chunks_exact_mut(n).zip(c.chunks_exact(n));
        rows.map(|(k, c)| build_row(k, c, g, 1.0 / epsilon)).collect::<Vec<_>>()
    };
    if cost.values.len() <= size {
        return block((kernel, cost.values));
    }
    kernel.par_chunks_mut(size).zip(cost.values.par_chunks(size)).map(block).collect::<Vec<_>>().concat()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn build_row(kernel: &mut [f64], cost: &[f64], g: &[f64], rate: f64) -> f64 {
    let top = largest_exponent(cost, g, rate);
    for ((k, c), g) in kernel.iter_mut().zip(cost).zip(g) {
        *k = exp(c.mul_add(-rate, g - top));
    }
    top
}

#[inline(always)]
fn largest_exponent(cost: &[f64], g: &[f64], rate: f64) -> f64 {
    let mut top = [f64::NEG_INFINITY; LANES];
    for (c, g) in cost.chunks(LANES).zip(g.chunks(LANES)) {
        for ((t, c), g) in top.iter_mut().zip(c).zip(g) {
            let x = c.mul_add(-rate, *g);
            *t = if x > *t { x } else { *t };
        }
    }
    top.into_iter().fold(f64::NEG_INFINITY, f64::max)
}

/// For each row, ln sum_j exp(g_j - C_ij / epsilon), without overflow.
pub(super) fn log_sums(cost: &Matrix<'_>, g: &[f64], epsilon: f64) -> Vec<f64> {
    let size = block_rows(cost.columns) * cost.columns;
    let block = |c: &[f64]| c.chunks_exact(cost.columns).map(|c| log_sum(c, g, 1.0 / epsilon)).collect::<Vec<_>>();
    cost.values.par_chunks(size).map(block).collect::<Vec<_>>().concat()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn log_sum(cost: &[f64], g: &[f64], rate: f64) -> f64 {
    let top = largest_exponent(cost, g, rate);
    let mut sums = [0.0; LANES];
    for (c, g) in cost.chunks(LANES).zip(g.chunks(LANES)) {
        for ((s, c), g) in sums.iter_mut().zip(c).zip(g) {
            *s += exp(c.mul_add(-rate, g - top));
        }
    }
    top + sums.into_iter().sum::<f64>().ln()
}

/// The sum of |C_ij|, which is not finite if an entry is not.
pub(super) fn absolute_sum(cost: &[f64]) -> f64 {
    cost.par_chunks(BLOCK).map(absolute_sum_of).collect::<Vec<_>>().into_iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn absolute_sum_of(cost: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    for c in cost.chunks(LANES) {
        sums.iter_mut().zip(c).for_each(|(s, c)| *s += c.abs());
    }
    sums.into_iter().sum()
}

/// The largest |C_ij|.
pub(super) fn largest_magnitude(cost: &[f64]) -> f64 {
    cost.par_chunks(BLOCK).map(largest_magnitude_of).collect::<Vec<_>>().into_iter().fold(0.0, f64::max)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn largest_magnitude_of(cost: &[f64]) -> f64 {
    let mut tops = [0.0; LANES];
    for c in cost.chunks(LANES) {
        tops.iter_mut().zip(c).for_each(|(t, c)| *t = if c.abs() > *t { c.abs() } else { *t });
    }
    tops.into_iter().fold(0.0, f64::max)
}

/// One pass: each row's u becomes `update(i, (K v)_i)`, and the columns of diag(u) K are summed.
pub(super) fn sweep(
    kernel: &Matrix<'_>,
    u: &mut [f64],
    v: &[f64],
    update: impl Fn(usize, f64, f64) -> f64 + Sync,
) -> Sweep {
    let n = kernel.columns;
    let rows = block_rows(n);
    let block = |(b, (k, u)): (usize, (&[f64], &mut [f64]))| {
        let mut partial = Sweep { columns: vec![0.0; n], error: 0.0 };
        for (i, (k, u)) in k.chunks_exact(n).zip(u).enumerate() {
            let sum = dot(k, v);
            let next = update(b * rows + i, sum, *u);
            partial.error += (next - *u).abs() * sum;
            *u = next;
            add_scaled(&mut partial.columns, k, next);
        }
        partial
    };
    if kernel.values.len() <= rows * n {
        return block((0, (kernel.values, u)));
    }
    let parts: Vec<Sweep> =
        kernel.values.par_chunks(rows * n).zip(u.par_chunks_mut(rows)).enumerate().map(block).collect();
    let add = |mut sum: Sweep, part: Sweep| {
        add_scaled(&mut sum.columns, &part.columns, 1.0);
        Sweep { error: sum.error + part.error, ..sum }
    };
    parts.into_iter().reduce(add).unwrap_or(Sweep { columns: vec![0.0; n], error: 0.0 })
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 2 * LANES];
    for (a, b) in a.chunks(2 * LANES).zip(b.chunks(2 * LANES)) {
        sums.iter_mut().zip(a).zip(b).for_each(|((s, a), b)| *s = a.mul_add(*b, *s));
    }
    let mut width = LANES;
    while width > 0 {
        (0..width).for_each(|l| sums[l] += sums[l + width]);
        width /= 2;
    }
    sums[0]
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_scaled(sum: &mut [f64], row: &[f64], scale: f64) {
    sum.iter_mut().zip(row).for_each(|(s, r)| *s = r.mul_add(scale, *s));
}

/// Sums over a plan.
pub(super) struct Sums {
    pub(super) rows: Vec<f64>,
    pub(super) columns: Vec<f64>,
    /// Sum of P C.
    pub(super) cost: f64,
}

/// Turns the kernel into the plan diag(u) K diag(v).
pub(super) fn finish(kernel: &mut [f64], cost: &Matrix<'_>, u: &[f64], v: &[f64]) -> Sums {
    let n = cost.columns;
    let rows = block_rows(n);
    let block = |((k, c), u): ((&mut [f64], &[f64]), &[f64])| {
        let mut sums = Sums { rows: Vec::with_capacity(u.len()), columns: vec![0.0; n], cost: 0.0 };
        for ((k, c), u) in k.chunks_exact_mut(n).zip(c.chunks_exact(n)).zip(u) {
            sums.rows.push(scale_row(k, *u, v));
            sums.cost += dot(k, c);
            add_scaled(&mut sums.columns, k, 1.0);
        }
        sums
    };
    let parts: Vec<Sums> = kernel
        .par_chunks_mut(rows * n)
        .zip(cost.values.par_chunks(rows * n))
        .zip(u.par_chunks(rows))
        .map(block)
        .collect();
    let mut all = Sums { rows: Vec::with_capacity(u.len()), columns: vec![0.0; n], cost: 0.0 };
    for part in parts {
        all.rows.extend(part.rows);
        add_scaled(&mut all.columns, &part.columns, 1.0);
        all.cost += part.cost;
    }
    all
}

/// Multiplies a row by u v_j and returns its sum.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn scale_row(row: &mut [f64], u: f64, v: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    for (k, v) in row.chunks_mut(LANES).zip(v.chunks(LANES)) {
        for ((s, k), v) in sums.iter_mut().zip(k).zip(v) {
            *k *= u * v;
            *s += *k;
        }
    }
    sums.into_iter().sum()
}
