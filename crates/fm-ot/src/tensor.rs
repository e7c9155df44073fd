//! Optimal transport for libtorch tensors (feature `tch`): inputs may be on any device, and results
//! return to that device.
//!
//! The solvers run on the host in f64; a batch of 512 images is a copy of 6 MB.
//!
//! ```no_run
//! # use fm_ot::{coupling::OtCoupling, tensor::pair};
//! # use fm_core::rng::{Key, Stream};
//! # let (x0, x1) = (tch::Tensor::zeros([8, 3], tch::kind::FLOAT_CPU), tch::Tensor::zeros([8, 3], tch::kind::FLOAT_CPU));
//! let mut rng = Key::new(0, 0, Stream::Coupling).generator(0);
//! let (x0, x1, _labels) = pair(&OtCoupling::default(), &x0, &x1, None, &mut rng)?;
//! # Ok::<(), fm_core::coupling::CouplingError>(())
//! ```

use crate::coupling::unsolved;
use crate::entropic::{SinkhornOptions, sinkhorn};
use crate::marginals::Marginals;
use crate::{OtError, assignment};
use fm_core::coupling::{Conditions, Coupling, CouplingError, CouplingInput, Pairing};
use ndarray::{Array2, ArrayD};
use rand::RngCore;
use tch::{Device, Kind, Tensor};

/// Source and data rows (B, ...) and labels (B, int64), paired; each result is on the device of its
/// input.
///
/// # Errors
/// As [`Coupling::couple`].
pub fn pair(
    coupling: &dyn Coupling,
    x0: &Tensor,
    x1: &Tensor,
    labels: Option<&Tensor>,
    rng: &mut dyn RngCore,
) -> Result<(Tensor, Tensor, Option<Tensor>), CouplingError> {
    let (a, b) = (rows(x0).map_err(unsolved)?, rows(x1).map_err(unsolved)?);
    let classes: Option<Vec<i64>> = labels
        .map(|l| Vec::try_from(l.to_device(Device::Cpu).to_kind(Kind::Int64)))
        .transpose()
        .map_err(|e| CouplingError::Unsolved(format!("the labels cannot be read: {e}; give one number per row")))?;
    let conditions = classes.as_deref().map_or(Conditions::None, Conditions::Classes);
    let pairing = coupling.couple(&CouplingInput { x0: a.view(), x1: b.view(), conditions }, rng)?;
    let pick = |x: &Tensor, order: &[usize]| {
        let order: Vec<i64> = order.iter().map(|&i| i as i64).collect();
        x.index_select(0, &Tensor::from_slice(&order).to_device(x.device()))
    };
    Ok(match pairing {
        Pairing::Identity => (x0.shallow_clone(), x1.shallow_clone(), labels.map(Tensor::shallow_clone)),
        Pairing::Permutation(sources) => (pick(x0, &sources), x1.shallow_clone(), labels.map(Tensor::shallow_clone)),
        Pairing::Resampled { sources, targets } => {
            (pick(x0, &sources), pick(x1, &targets), labels.map(|l| pick(l, &targets)))
        }
    })
}

/// The column of each row of a cost matrix (n, m), n <= m, with least total cost: (n), int64.
///
/// # Errors
/// As [`assignment::assign`].
pub fn assign(cost: &Tensor) -> Result<Tensor, OtError> {
    let columns = assignment::assign(matrix(cost)?.view())?.columns;
    Ok(Tensor::from_slice(&columns.iter().map(|&j| j as i64).collect::<Vec<_>>()).to_device(cost.device()))
}

/// The entropic plan of a cost matrix (n, m) between uniform masses: (n, m), in f64 for a cost in
/// f64 and otherwise in f32. Half precision and integers cannot hold masses of 1 / (n m).
///
/// # Errors
/// As [`fn@sinkhorn`].
pub fn entropic_plan(cost: &Tensor, options: &SinkhornOptions) -> Result<Tensor, OtError> {
    let values = matrix(cost)?;
    let found = sinkhorn(values.view(), &Marginals::uniform(values.nrows(), values.ncols()), options)?;
    let (n, m) = values.dim();
    let plan = Tensor::from_slice(found.plan.as_slice().unwrap_or(&[])).view([n as i64, m as i64]);
    let kind = if cost.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    Ok(plan.to_kind(kind).to_device(cost.device()))
}

/// Rows of any shape, flattened to points.
fn rows(x: &Tensor) -> Result<Array2<f32>, OtError> {
    let not_a_batch = OtError::NotAMatrix { dimensions: 0 };
    if !x.defined() {
        return Err(not_a_batch);
    }
    let Some(count) = x.size().first().copied() else { return Err(not_a_batch) };
    let width: i64 = if count == 0 { 0 } else { x.size()[1..].iter().product() };
    let flat = x.to_device(Device::Cpu).to_kind(Kind::Float).reshape([count, width]);
    array(&flat)
}

fn matrix(cost: &Tensor) -> Result<Array2<f64>, OtError> {
    if !cost.defined() {
        return Err(OtError::NotAMatrix { dimensions: 0 });
    }
    array(&cost.to_device(Device::Cpu).to_kind(Kind::Double).contiguous())
}

fn array<T: tch::kind::Element + Default + Clone>(x: &Tensor) -> Result<Array2<T>, OtError> {
    let dimensions = x.dim();
    let shape: Vec<usize> = x.size().iter().map(|s| *s as usize).collect();
    let mut values = vec![T::default(); x.numel()];
    let copied = x.f_copy_data(&mut values, x.numel()).is_ok();
    let array = ArrayD::from_shape_vec(shape, values).ok().filter(|_| copied);
    array.and_then(|a| a.into_dimensionality().ok()).ok_or(OtError::NotAMatrix { dimensions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coupling::{OtCoupling, Plan};
    use crate::pairs::PairSampling;
    use fm_core::rng::{Key, Stream};

    #[test]
    fn tensors_are_paired_as_arrays_are() {
        let (x0, x1) = (
            Tensor::from_slice(&[5f32, 1.0, 9.0]).view([3, 1, 1]),
            Tensor::from_slice(&[0f32, 9.5, 6.0]).view([3, 1, 1]),
        );
        let labels = Tensor::from_slice(&[0i64, 9, 6]);
        let mut rng = Key::new(0, 0, Stream::Coupling).generator(0);
        let (a, b, l) = pair(&OtCoupling::default(), &x0, &x1, Some(&labels), &mut rng).unwrap();
        assert_eq!(Vec::<f32>::try_from(a.reshape([-1])).unwrap(), [1.0, 9.0, 5.0]);
        assert_eq!((b, l.unwrap()), (x1.shallow_clone(), labels.shallow_clone()));
        // With replacement, every source is still paired with its own target, and every target with
        // its label.
        let drawn = OtCoupling { pairs: PairSampling::Drawn, plan: Plan::Exact, ..OtCoupling::default() };
        let (a, b, l) = pair(&drawn, &x0, &x1, Some(&labels), &mut rng).unwrap();
        let read = |t: &Tensor| Vec::<f32>::try_from(t.to_kind(Kind::Float).reshape([-1])).unwrap();
        for ((a, b), l) in read(&a).into_iter().zip(read(&b)).zip(read(&l.unwrap())) {
            assert!((a - b).abs() <= 1.0 && (b - l).abs() <= 0.5, "{a} {b} {l}");
        }
    }

    #[test]
    fn costs_are_solved_and_what_is_no_matrix_is_an_error() {
        let cost = Tensor::from_slice(&[4.0, 1.0, 3.0, 2.0, 0.0, 5.0, 3.0, 2.0, 2.0]).view([3, 3]);
        assert_eq!(Vec::<i64>::try_from(assign(&cost).unwrap()).unwrap(), [1, 0, 2]);
        let plan = entropic_plan(&cost, &SinkhornOptions { tolerance: 1e-9, ..SinkhornOptions::default() }).unwrap();
        let sums = Vec::<f64>::try_from(plan.sum_dim_intlist([1i64].as_slice(), false, Kind::Double)).unwrap();
        assert!(sums.iter().all(|s| (s - 1.0 / 3.0).abs() < 1e-9), "{sums:?}");
        // Whole numbers would make all masses 0.
        let whole = entropic_plan(&cost.to_kind(Kind::Int64), &SinkhornOptions::default()).unwrap();
        assert_eq!((whole.kind(), whole.sum(Kind::Double).double_value(&[]).round()), (Kind::Float, 1.0));
        let far = entropic_plan(&(&cost * 1e20), &crate::entropic::Epsilon::Absolute(0.05).into());
        assert!(matches!(far, Err(OtError::Resolution { .. })));
        assert_eq!(assign(&cost.view([9])), Err(OtError::NotAMatrix { dimensions: 1 }));
        assert_eq!(assign(&Tensor::new()), Err(OtError::NotAMatrix { dimensions: 0 }));
        let mut rng = Key::new(0, 0, Stream::Coupling).generator(0);
        let one = Tensor::from(1.0f32);
        assert!(pair(&OtCoupling::default(), &one, &one, None, &mut rng).is_err());
    }
}
