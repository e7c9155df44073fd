//! The formulas of the rules, per row.

use super::options::Projection;
use fm_core::state::{RowCombination, RowProducts};

/// c - s u with s = <c, u> / |u|^2. As in diffusers, 1e-8 is added to the square, which may be 0.
pub(super) fn zero_star<S: RowProducts>(c: &S, u: &S) -> S {
    let (products, squares) = (c.row_products(u), u.row_products(u));
    let minus: Vec<f64> = products.iter().zip(squares).map(|(p, square)| -p / (square + 1e-8)).collect();
    S::row_combination(&[(&vec![1.0; minus.len()], c), (&minus, u)])
}

/// The difference, at most of the norm limit, with a share of its part parallel to c.
pub(super) fn project<S: RowProducts>(difference: &S, c: &S, rule: &Projection) -> S {
    let limit = |square: f64| rule.norm_limit.map_or(1.0, |limit| (limit / square.sqrt()).min(1.0));
    let scales: Vec<f64> = difference.row_products(difference).into_iter().map(limit).collect();
    let (products, squares) = (difference.row_products(c), c.row_products(c));
    // As in torch's normalize, the norm of c counts as 1e-12 at least.
    let parallel = |((p, square), scale): ((&f64, &f64), &f64)| (rule.eta - 1.0) * scale * p / square.max(1e-24);
    let parallel: Vec<f64> = products.iter().zip(&squares).zip(&scales).map(parallel).collect();
    S::row_combination(&[(&scales, difference), (&parallel, c)])
}

/// v with a share phi of it scaled to the standard deviation of c. Rows without deviation stay.
pub(super) fn rescale<S: RowProducts>(v: &S, c: &S, phi: f64) -> S {
    let factor = |(of_c, of_v): (f64, f64)| {
        if of_v == 0.0 { 1.0 } else { phi * (of_c / of_v).sqrt() + 1.0 - phi }
    };
    let factors: Vec<f64> = c.row_variances().into_iter().zip(v.row_variances()).map(factor).collect();
    S::row_combination(&[(&factors, v)])
}

/// a - b.
pub(super) fn subtract<S: RowCombination>(a: &S, b: &S) -> S {
    let ones = vec![1.0; a.rows()];
    S::row_combination(&[(&ones, a), (&vec![-1.0; ones.len()], b)])
}
