//! Polynomial features of the input of a network.
//!
//! All monomials of x of total degree 1 to n, by degree, each degree in lexicographic order: for n
//! = 2 and two dimensions x1, x2, x1^2, x1 x2, x2^2. This is scikit-learn's `PolynomialFeatures`
//! without its constant.

use tch::Tensor;

/// Number of features of `dim` values up to a degree; `None` above 2^20.
pub(crate) fn count(dim: i64, degree: i64) -> Option<i64> {
    // C(dim + degree, degree) - 1.
    let mut all: i64 = 1;
    for k in 1..=degree {
        all = all.checked_mul(dim + k)? / k;
        if all > 1 << 20 {
            return None;
        }
    }
    Some(all - 1)
}

/// The features (B, count) of rows (B, dim).
pub(crate) fn features(x: &Tensor, degree: i64) -> Tensor {
    if degree <= 1 {
        return x.shallow_clone();
    }
    let dim = x.size()[1];
    let column = |k: i64| x.narrow(1, k, 1);
    // Per first variable: the monomials of the last degree that start with it or a later one.
    let mut last: Vec<Tensor> = (0..dim).map(column).collect();
    let mut all: Vec<Tensor> = last.iter().map(Tensor::shallow_clone).collect();
    for _ in 1..degree {
        let next = |k: i64| column(k) * Tensor::cat(&last[k as usize..], 1);
        last = (0..dim).map(next).collect();
        all.extend(last.iter().map(Tensor::shallow_clone));
    }
    Tensor::cat(&all, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn's `PolynomialFeatures(3, include_bias=False).fit_transform([[2, 3, 5]])`.
    #[test]
    fn features_are_those_of_scikit_learn() {
        let x = Tensor::from_slice2(&[[2.0f64, 3.0, 5.0]]);
        let found = Vec::<f64>::try_from(features(&x, 3).view(-1)).unwrap();
        let want = [2., 3., 5., 4., 6., 10., 9., 15., 25., 8., 12., 20., 18., 30., 50., 27., 45., 75., 125.];
        assert_eq!(found, want);
        assert_eq!((count(3, 3), count(2, 1), count(300, 4)), (Some(19), Some(2), None));
    }
}
