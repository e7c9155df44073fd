//! Bad input to the fields of fm-core: exact ones, wrappers, and the products beside them.

use fm_core::exact::{ExactField, Mixture, estimate, irreducible_at};
use fm_core::field::{Converted, RowField, SharedTime, VelocityField};
use fm_core::objective::Objective;
use fm_core::path::{Coefficients, PathKind, ProbPath};
use fm_core::prediction::Prediction;
use fm_core::product;
use fm_core::schedule::Rescheduled;
use hostile::Calls;
use ndarray::{Array2, array};

const BAD: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 5e-324, f64::MAX, f64::MIN];
const SHAPES: [(usize, usize); 6] = [(0, 0), (0, 3), (2, 0), (2, 1), (1, 3), (3, 2)];

#[test]
fn exact_fields_and_wrappers() {
    let mut calls = Calls::new("fm-core fields");
    let means = array![[0.0, 1.0], [2.0, 3.0]];
    for v in BAD {
        if !(v > 0.0 && v.is_finite()) {
            calls.refuses("Mixture weights", || Mixture::isotropic(&[1.0, v], means.view(), &[1.0; 2]));
        }
        if !(v >= 0.0 && v.is_finite()) {
            calls.refuses("Mixture variances", || Mixture::isotropic(&[1.0; 2], means.view(), &[1.0, v]));
            calls.refuses("Mixture::full", || {
                Mixture::full(&[1.0; 2], means.view(), &[array![[v, 0.0], [0.0, v]], array![[v]]])
            });
        }
        let spread = (&means * v).to_owned();
        calls.survives("Mixture means", || Mixture::isotropic(&[1.0; 2], spread.view(), &[1.0; 2]).is_ok());
        calls.survives("Mixture::empirical", || Mixture::empirical(spread.view()).map_err(|e| e.to_string()));
        calls.survives("Mixture::full", || {
            Mixture::full(&[1.0], means.slice(ndarray::s![..1, ..]), &[array![[v, v], [v, v]]]).is_ok()
        });
    }
    for shape in SHAPES {
        let other = Array2::<f64>::zeros(shape);
        calls.survives("Mixture::empirical", || Mixture::empirical(other.view()).map_err(|e| e.to_string()));
        calls.refuses("Mixture::full", || Mixture::full(&[1.0; 2], means.view(), &[other.clone(), other.clone()]));
        calls.refuses("Mixture::isotropic", || Mixture::isotropic(&[], other.view(), &[]));
    }
    let (Ok(mixture), Ok(c)) = (Mixture::isotropic(&[1.0; 2], means.view(), &[0.1; 2]), PathKind::Linear.at(0.5))
    else {
        return calls.finish(usize::MAX);
    };
    let Ok(target) = Prediction::Velocity.target(&c) else { return calls.finish(usize::MAX) };
    let Ok(field) = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)) else { return calls.finish(usize::MAX) };
    for len in [0, 1, 3] {
        calls.refuses("Mixture::posterior", || mixture.posterior(&vec![0.0; len], &c, &target));
    }
    for v in BAD {
        calls.survives("Mixture::posterior", || mixture.posterior(&[v; 2], &c, &target));
        let broken = Coefficients { alpha: v, sigma: v, t: v, ..c };
        calls.survives("irreducible_at", || irreducible_at(&mixture, &broken, &target).map_err(|e| e.to_string()));
        calls.survives("ExactField::new", || ExactField::new(&mixture, PathKind::Linear, (0.0, v)).is_ok());
        calls.survives("ExactField", || field.velocity(&Array2::from_elem((2, 2), v), v));
        let narrow = |_: &Vec<f64>, _: f64| vec![1.0];
        calls.survives("Converted::new", || Converted::new(narrow, PathKind::Linear, Prediction::Data, (v, v)).is_ok());
        calls.survives("Rescheduled::new", || {
            Rescheduled::new(narrow, PathKind::Linear, PathKind::LinearVp, (v, 0.5)).is_ok()
        });
        if let Ok(field) = Converted::new(narrow, PathKind::Linear, Prediction::Data, (0.0, 0.5)) {
            calls.survives("Converted", || (field.velocity(&vec![v; 3], v), field.velocity(&vec![], 0.5)));
        }
        if let Ok(field) = Rescheduled::new(narrow, PathKind::Linear, PathKind::Trigonometric, (0.0, 0.5)) {
            calls.survives("Rescheduled", || (field.velocity(&vec![v; 3], v), field.velocity(&vec![], 0.5)));
        }
    }
    for shape in SHAPES {
        let x = Array2::<f64>::zeros(shape);
        calls.survives("ExactField", || (field.velocity(&x, 0.5), field.velocities(&x, &[], &[])));
        calls.survives("ExactField::check", || RowField::check(&field, &x));
        let rows = |_: &Array2<f64>, _: &[f64], _: &[usize]| Array2::<f64>::zeros((1, 1));
        calls.survives("SharedTime", || SharedTime(rows).velocity(&x, f64::NAN));
    }
    for samples in [0, 1, usize::MAX, 1 << 40] {
        calls.refuses("estimate", || estimate(&mixture, &Objective::<PathKind>::default(), samples, 0));
    }
    calls.finish(90);
}

#[test]
fn products() {
    let mut calls = Calls::new("fm-core products");
    let a = Array2::<f64>::ones((2, 3));
    for shape in SHAPES {
        let b = Array2::<f64>::ones(shape);
        if shape.1 != 3 {
            calls.panics("matmul_nt", "a product of", || product::matmul_nt(a.view(), b.view()));
        }
        let mut out = Array2::zeros(shape);
        calls.panics("add", "a product of", || product::gemm(out.view_mut(), f64::NAN, a.view(), a.t()));
        calls.survives("gram", || product::gram(b.view()));
    }
    calls.finish(15);
}
