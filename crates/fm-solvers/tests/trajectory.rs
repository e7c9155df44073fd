//! States of a sampler at given times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::objective::Objective;
use fm_solvers::sampler::{Pace, Sampler, SolverName, Steps};
use fm_solvers::{AdaptiveOptions, SolveError};
use ndarray::{Array2, array};

/// v = 2 x t, so x(t) = x0 exp(t^2); every kind of steps, at the times of torchdiffeq's `odeint`.
#[test]
fn trajectories_have_the_states_at_the_given_times() {
    let field = |x: &Array2<f64>, t: &[f64], _: &[usize]| {
        Array2::from_shape_fn(x.dim(), |(i, j)| 2.0 * x[[i, j]] * t[i % t.len()])
    };
    let (objective, x0) = (Objective::default(), array![[1.0], [-2.0]]);
    let times: Vec<f64> = (0..100).map(|i| f64::from(i) / 99.0).collect();
    let batch =
        Sampler::new(SolverName::Dopri5, Steps::Adaptive(Pace::PerBatch, AdaptiveOptions::with_tolerance(1e-9)));
    for (sampler, tolerance) in
        [(Sampler::dopri5(1e-9), 1e-7), (batch, 1e-7), (Sampler::rk4(99), 1e-6), (Sampler::euler(400), 0.02)]
    {
        let none = |_| array![[0.0], [0.0]];
        let found = sampler.trajectory(&field, &objective, x0.clone(), none, &times).unwrap();
        assert_eq!((found.frames.len(), &found.frames[0], &found.frames[99]), (100, &x0, &found.x));
        for (t, state) in times.iter().zip(&found.frames) {
            let off = (state / &x0 - (t * t).exp()).mapv(f64::abs).fold(0.0, |a: f64, b| a.max(*b));
            assert!(off < tolerance, "{}: off by {off} at {t}", sampler.describe());
        }
        // The samples are those without times.
        let plain = sampler.run(&field, &objective, x0.clone(), none, false).unwrap();
        assert!((&plain.x - &found.x).mapv(f64::abs).sum() < 1e-12);
    }
    let outside = Sampler::euler(4).trajectory(&field, &objective, x0.clone(), |_| array![[0.0]], &[0.0, 1.5]);
    assert!(matches!(outside, Err(SolveError::Times { .. })));
}
