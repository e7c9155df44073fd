//! Products with small matrices that are in the cache already, without the packing step of general
//! routines.

use multiversion::multiversion;

/// A matrix: its values and its row and column strides.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Row-major rows with this number of columns.
    pub(super) fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, strides: [columns, 1] }
    }

    /// The transpose of such rows.
    pub(super) fn columns(values: &'a [f32], columns: usize) -> Self {
        Self { values, strides: [1, columns] }
    }
}

/// The rows of a x b + `start` (a row, or nothing). b is row-major with `width` columns.
pub(super) fn product(a: Matrix<'_>, rows: usize, b: &[f32], width: usize, start: Option<&[f32]>) -> Vec<f32> {
    let mut c = vec![0.0; rows * width];
    let whole = Place { b, width, column: 0, start };
    // Fused multiply-add is one instruction on processors that have it, and a slow function on
    // others.
    match instructions() {
        Instructions::Wide => wide(a, rows, whole, &mut c),
        Instructions::Fused => fused(a, rows, whole, &mut c),
        Instructions::Plain => strips::<16, false>(a, rows, whole, &mut c),
    }
    c
}

/// Whether the processor has a fused multiply-add instruction.
pub(super) fn fuses() -> bool {
    !matches!(instructions(), Instructions::Plain)
}

enum Instructions {
    Wide,
    Fused,
    Plain,
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> Instructions {
    match (std::is_x86_feature_detected!("avx512f"), std::is_x86_feature_detected!("fma")) {
        (true, _) => Instructions::Wide,
        (false, true) => Instructions::Fused,
        (false, false) => Instructions::Plain,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> Instructions {
    if cfg!(target_arch = "aarch64") { Instructions::Fused } else { Instructions::Plain }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq"))]
fn wide(a: Matrix<'_>, rows: usize, whole: Place<'_>, c: &mut [f32]) {
    strips::<32, true>(a, rows, whole, c);
}

#[multiversion(targets("x86_64+avx2+fma"))]
fn fused(a: Matrix<'_>, rows: usize, whole: Place<'_>, c: &mut [f32]) {
    strips::<16, true>(a, rows, whole, c);
}

/// All columns, W at a time while at least W remain.
#[inline(always)]
fn strips<const W: usize, const FUSED: bool>(a: Matrix<'_>, rows: usize, whole: Place<'_>, c: &mut [f32]) {
    let mut column = 0;
    while column < whole.width {
        let at = Place { column, ..whole };
        column += match whole.width - column {
            left if left >= W => strip::<W, FUSED>(a, rows, at, c),
            8.. => strip::<8, FUSED>(a, rows, at, c),
            4.. => strip::<4, FUSED>(a, rows, at, c),
            2.. => strip::<2, FUSED>(a, rows, at, c),
            _ => strip::<1, FUSED>(a, rows, at, c),
        };
    }
}

/// The range of columns to compute, and the inputs.
#[derive(Clone, Copy)]
struct Place<'a> {
    b: &'a [f32],
    width: usize,
    column: usize,
    start: Option<&'a [f32]>,
}

/// Computes W columns of all rows. Returns W.
#[inline(always)]
fn strip<const W: usize, const FUSED: bool>(a: Matrix<'_>, rows: usize, at: Place<'_>, c: &mut [f32]) -> usize {
    let mut row = 0;
    while row + 8 <= rows {
        tile::<8, W, FUSED>(a, row, at, c);
        row += 8;
    }
    while row < rows {
        tile::<1, W, FUSED>(a, row, at, c);
        row += 1;
    }
    W
}

/// R rows of W columns, with their sums in registers.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "a counted loop over the array itself keeps its sums in registers")]
fn tile<const R: usize, const W: usize, const FUSED: bool>(a: Matrix<'_>, row: usize, at: Place<'_>, c: &mut [f32]) {
    let start: [f32; W] = at.start.and_then(|s| s[at.column..].first_chunk::<W>()).copied().unwrap_or([0.0; W]);
    let mut sums = [start; R];
    let [down, along] = a.strides;
    for (k, b) in at.b.chunks_exact(at.width).enumerate() {
        let Some(b) = b[at.column..].first_chunk::<W>() else { break };
        for r in 0..R {
            sums[r] = add::<W, FUSED>(sums[r], a.values[(row + r) * down + k * along], b);
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        let first = (row + r) * at.width + at.column;
        c[first..first + W].copy_from_slice(sums);
    }
}

/// sums + factor b. A function of arrays, because compilers vectorise it, but not a loop over
/// indices.
#[inline(always)]
fn add<const W: usize, const FUSED: bool>(sums: [f32; W], factor: f32, b: &[f32; W]) -> [f32; W] {
    std::array::from_fn(|j| if FUSED { factor.mul_add(b[j], sums[j]) } else { factor * b[j] + sums[j] })
}

/// A linear layer: weight and bias, and the transposed weight, computed once for all rows.
pub(super) struct Linear {
    pub(super) weight: Vec<f32>,
    transposed: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Linear {
    pub(super) fn new(weight: Vec<f32>, bias: Vec<f32>) -> Self {
        let transposed = if bias.len() >= NARROW { transposed(&weight, weight.len() / bias.len()) } else { Vec::new() };
        Self { weight, transposed, bias }
    }

    /// Number of inputs.
    pub(super) fn fan_in(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// h w' + bias.
    pub(super) fn apply(&self, h: &[f32]) -> Vec<f32> {
        let (fan_in, width) = (self.fan_in(), self.bias.len());
        if width >= NARROW {
            return product(Matrix::rows(h, fan_in), h.len() / fan_in, &self.transposed, width, Some(&self.bias));
        }
        let mut out = Vec::with_capacity(h.len() / fan_in * width);
        for row in h.chunks_exact(fan_in) {
            out.extend(self.weight.chunks_exact(fan_in).zip(&self.bias).map(|(w, b)| dot(row, w) + b));
        }
        out
    }
}

/// The weight gradient of a linear layer: a' b for gradients a of its outputs and its inputs b.
pub(super) fn outer(a: &[f32], out: usize, b: &[f32], fan_in: usize) -> Vec<f32> {
    if fan_in >= NARROW || out < NARROW {
        return product(Matrix::columns(a, out), out, b, fan_in, None);
    }
    transposed(&product(Matrix::columns(b, fan_in), fan_in, a, out, None), out)
}

/// With fewer columns than this, the strips of a product are too narrow for vector instructions.
const NARROW: usize = 8;

/// Dot product of two rows, in eight parallel sums.
#[inline]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.0.iter().zip(b.0) {
        sums = std::array::from_fn(|j| sums[j] + a[j] * b[j]);
    }
    let rest: f32 = a.1.iter().zip(b.1).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// The transpose of a row-major matrix.
pub(super) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    let mut out = vec![0.0; values.len()];
    for (r, row) in values.chunks_exact(columns.max(1)).enumerate() {
        row.iter().enumerate().for_each(|(c, v)| out[c * rows + r] = *v);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_shapes_are_sums_of_products() {
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 64.0;
        for (m, k, n) in [(1, 1, 1), (4, 3, 2), (5, 7, 67), (130, 64, 63), (3, 128, 33), (64, 9, 31)] {
            let (a, b): (Vec<f32>, Vec<f32>) =
                ((0..m * k).map(value).collect(), (0..k * n).map(|i| value(i + 7)).collect());
            let start: Vec<f32> = (0..n).map(|i| value(i + 3)).collect();
            let plain = product(Matrix::rows(&a, k), m, &b, n, Some(&start));
            let a_t = transposed(&a, k);
            assert_eq!(plain, product(Matrix::columns(&a_t, m), m, &b, n, Some(&start)));
            let close = |x: &[f32], y: &[f32]| x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-5) && x.len() == y.len();
            assert!(close(&outer(&a_t, m, &b, n), &product(Matrix::rows(&a, k), m, &b, n, None)), "{m} {k} {n}");
            assert!(close(&Linear::new(transposed(&b, n), start.clone()).apply(&a), &plain), "{m} {k} {n}");
            for (i, got) in plain.iter().enumerate() {
                let exact: f64 = (0..k).map(|j| f64::from(a[i / n * k + j]) * f64::from(b[j * n + i % n])).sum();
                let want = exact + f64::from(start[i % n]);
                assert!((f64::from(*got) - want).abs() < 1e-5, "{m} {k} {n}: {got} {want}");
            }
        }
    }
}
