//! Pairs two clouds of points: exact and entropic optimal transport, and a cost of the caller.
//!
//!     cargo run -p fm-ot --example pair_clouds

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use fm_core::rng::{Key, Stream, normal_rows};
use fm_ot::ndarray::{Array2, ArrayView2};
use fm_ot::{Cost, Epsilon, Metric, OtCoupling, OtError};

/// Mean squared distance of the pairs of each coupling.
#[derive(Debug)]
pub struct Lengths {
    /// Rows as they were drawn.
    pub independent: f64,
    /// Exact optimal transport for squared distances.
    pub exact: f64,
    /// An entropic plan.
    pub sinkhorn: f64,
    /// Exact optimal transport for a cost that ignores the second coordinate.
    pub horizontal: f64,
}

fn cloud(seed: u64, shift: f32) -> Option<Array2<f32>> {
    let rows = Array2::from_shape_vec((256, 2), normal_rows(Key::new(seed, 0, Stream::Data), 256, 2)).ok()?;
    Some(rows + shift)
}

fn mean_square(x0: ArrayView2<'_, f32>, x1: ArrayView2<'_, f32>) -> f64 {
    f64::from((&x1 - &x0).mapv(|v| v * v).sum()) / x0.nrows() as f64
}

/// Pairs 256 points of N(0, I) with 256 of N((3, 3), I).
pub fn pair_clouds() -> Result<Lengths, OtError> {
    let (x0, x1) = cloud(0, 0.0).zip(cloud(1, 3.0)).ok_or(OtError::Empty)?;
    let horizontal = |x: &[f32], y: &[f32]| f64::from((x[0] - y[0]).powi(2));
    Ok(Lengths {
        independent: mean_square(x0.view(), x1.view()),
        exact: length(&OtCoupling::exact(), &x0, &x1)?,
        sinkhorn: length(&OtCoupling::sinkhorn(Epsilon::Relative(0.05)).cost(Metric::SquaredEuclidean), &x0, &x1)?,
        horizontal: length(&OtCoupling::exact().cost(horizontal), &x0, &x1)?,
    })
}

fn length<C: Cost>(coupling: &OtCoupling<C>, x0: &Array2<f32>, x1: &Array2<f32>) -> Result<f64, OtError> {
    let pairs = coupling.pair(x0.view(), x1.view(), &mut Key::new(0, 0, Stream::Coupling).generator(0))?;
    Ok(mean_square(pairs.x0.view(), pairs.x1.view()))
}

#[allow(dead_code, reason = "a test includes this file")]
fn main() -> Result<(), OtError> {
    println!("{:#?}", pair_clouds()?);
    Ok(())
}
