//! Numbers, vectors and arrays as states.

use super::{OdeState, RowCombination, RowProducts, RowState, Shaped, Tolerance};
use super::{demand_shape, demand_shapes, demand_terms, refuse_term};
use ndarray::{Array, Axis, Dimension, NdFloat, RemoveAxis};
use num_traits::cast::cast;

/// A value of an array in f64.
fn wide<A: NdFloat>(value: A) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

/// A coefficient in the precision of an array.
fn narrow<A: NdFloat>(value: f64) -> A {
    cast(value).unwrap_or_else(A::nan)
}

impl Shaped for f64 {
    fn shape(&self) -> Vec<usize> {
        Vec::new()
    }
}

impl OdeState for f64 {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        terms.iter().map(|(c, s)| c * **s).sum()
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64 {
        tol.norm(std::iter::once((*error, *before, *after)))
    }

    fn dimension(&self) -> Option<usize> {
        Some(1)
    }
}

impl<A: NdFloat> Shaped for Vec<A> {
    fn shape(&self) -> Vec<usize> {
        vec![self.len()]
    }

    fn same_shape(&self, other: &Self) -> bool {
        self.len() == other.len()
    }
}

impl<A: NdFloat> OdeState for Vec<A> {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        let mut out = vec![A::zero(); terms.first().map_or(0, |(_, s)| s.len())];
        out.assign_combination(terms);
        out
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64 {
        demand_shapes(error, before, after);
        tol.norm(error.iter().zip(before).zip(after).map(|((e, a), b)| (*e, *a, *b)))
    }

    fn assign_combination(&mut self, terms: &[(f64, &Self)]) {
        let Some(((c, first), rest)) = terms.split_first() else { return };
        let c = narrow::<A>(*c);
        self.clear();
        self.extend(first.iter().map(|v| c * *v));
        for (c, s) in rest {
            if s.len() != self.len() {
                refuse_term(*first, rest);
            }
            let c = narrow::<A>(*c);
            self.iter_mut().zip(*s).for_each(|(o, v)| *o += c * *v);
        }
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// Zeros shaped as the first of some terms.
fn zeros_like<A: NdFloat, D: Dimension>(first: Option<&Array<A, D>>) -> Array<A, D> {
    Array::zeros(first.map_or_else(|| D::zeros(D::NDIM.unwrap_or(1)), Array::raw_dim))
}

impl<A: NdFloat, D: Dimension> Shaped for Array<A, D> {
    fn shape(&self) -> Vec<usize> {
        Array::shape(self).to_vec()
    }

    fn same_shape(&self, other: &Self) -> bool {
        Array::shape(self) == Array::shape(other)
    }
}

impl<A: NdFloat, D: Dimension> OdeState for Array<A, D> {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        let mut out = zeros_like(terms.first().map(|(_, s)| *s));
        out.assign_combination(terms);
        out
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64 {
        demand_shapes(error, before, after);
        tol.norm(error.iter().zip(before).zip(after).map(|((e, a), b)| (*e, *a, *b)))
    }

    fn assign_combination(&mut self, terms: &[(f64, &Self)]) {
        let Some(((c, first), rest)) = terms.split_first() else { return };
        if !self.same_shape(first) {
            *self = zeros_like(Some(*first));
        }
        let c = narrow::<A>(*c);
        self.zip_mut_with(first, |o, v| *o = c * *v);
        for (c, s) in rest {
            if !s.same_shape(first) {
                refuse_term(*first, rest);
            }
            self.scaled_add(narrow(*c), s);
        }
    }

    fn dimension(&self) -> Option<usize> {
        Some(Array::shape(self).iter().skip(1).product())
    }
}

impl<A: NdFloat, D: RemoveAxis> RowCombination for Array<A, D> {
    fn rows(&self) -> usize {
        Array::shape(self).first().copied().unwrap_or(0)
    }

    fn row_combination(terms: &[(&[f64], &Self)]) -> Self {
        let mut out = zeros_like(terms.first().map(|(_, s)| *s));
        out.assign_row_combination(terms);
        out
    }

    fn assign_row_combination(&mut self, terms: &[(&[f64], &Self)]) {
        let Some(((c, first), rest)) = terms.split_first() else { return };
        demand_terms(terms, first);
        if !self.same_shape(first) {
            *self = zeros_like(Some(*first));
        }
        if self.ndim() == 0 {
            return;
        }
        for ((mut out, row), c) in self.outer_iter_mut().zip(first.outer_iter()).zip(*c) {
            let c = narrow::<A>(*c);
            out.zip_mut_with(&row, |o, v| *o = c * *v);
        }
        for (coefficients, state) in rest {
            let rows = self.outer_iter_mut().zip(state.outer_iter()).zip(*coefficients);
            rows.for_each(|((mut out, row), c)| out.scaled_add(narrow(*c), &row));
        }
    }
}

impl<A: NdFloat, D: RemoveAxis> RowState for Array<A, D> {
    fn row_error_norms(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> Vec<f64> {
        demand_shapes(error, before, after);
        if error.ndim() == 0 {
            return Vec::new();
        }
        let rows = error.outer_iter().zip(before.outer_iter()).zip(after.outer_iter());
        rows.map(|((e, a), b)| tol.norm(e.iter().zip(&a).zip(&b).map(|((e, a), b)| (*e, *a, *b)))).collect()
    }

    fn select_rows(&self, rows: &[usize]) -> Self {
        self.select(Axis(0), rows)
    }

    fn put_rows(&mut self, rows: &[usize], from: &Self) {
        for (row, from) in rows.iter().zip(from.outer_iter()) {
            self.index_axis_mut(Axis(0), *row).assign(&from);
        }
    }
}

impl<A: NdFloat, D: RemoveAxis> RowProducts for Array<A, D> {
    fn row_products(&self, other: &Self) -> Vec<f64> {
        demand_shape(1, self, other);
        if self.ndim() == 0 {
            return Vec::new();
        }
        let rows = self.outer_iter().zip(other.outer_iter());
        rows.map(|(a, b)| a.iter().zip(&b).map(|(a, b)| wide(*a) * wide(*b)).sum()).collect()
    }

    fn row_variances(&self) -> Vec<f64> {
        if self.ndim() == 0 {
            return Vec::new();
        }
        let variance = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
            if values.len() < 2 { f64::NAN } else { squares / (values.len() - 1) as f64 }
        };
        self.outer_iter().map(|row| variance(&row.iter().map(|v| wide(*v)).collect::<Vec<_>>())).collect()
    }
}
