//! Bad input to adaptive stochastic steps, churn and Brownian paths.

use fm_core::path::PathKind;
use fm_core::schedule::time_of_level;
use fm_core::state::Tolerance;
use fm_solvers::sde::{self, AdaptiveSde, Diffusion, Method, PerStep, brownian};
use fm_solvers::{AdaptiveOptions, SaveAt};
use hostile::Calls;
use ndarray::Array2;

const BAD: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 5e-324, f64::MAX, f64::MIN];

fn rows(x: &Array2<f64>, _: &[f64], _: &[usize]) -> Array2<f64> {
    -x
}

fn how() -> AdaptiveSde {
    let options = AdaptiveOptions { max_evaluations: 300, ..AdaptiveOptions::with_tolerance(0.1) };
    AdaptiveSde { options, ..AdaptiveSde::new(Diffusion::Sigma { scale: 1.0 }) }
}

#[test]
fn adaptive_stochastic_steps() {
    let mut calls = Calls::new("fm-solvers adaptive SDE");
    let x = || Array2::<f64>::ones((2, 1));
    let solve = |x: Array2<f64>, span, how: &AdaptiveSde, noise: Array2<f64>, output: SaveAt<'_>| {
        let noise = PerStep(move |_: u64| noise.clone());
        sde::solve_adaptive(&rows, &PathKind::Linear, x, span, how, &noise, output)
    };
    for v in BAD {
        for span in [(v, 1.0), (0.0, v), (v, v)].into_iter().filter(|span| v != 5e-324 && *span != (0.0, 1.0)) {
            calls.refuses("span", || solve(x(), span, &how(), x(), SaveAt::End));
        }
        let options = how().options;
        for options in [
            AdaptiveOptions { tolerance: Tolerance::new(v, 0.0), ..options.clone() },
            AdaptiveOptions { tolerance: Tolerance::new(v, v), ..options.clone() },
            AdaptiveOptions { first_step: Some(v), ..options.clone() },
            AdaptiveOptions { max_step: v, ..options.clone() },
            AdaptiveOptions { min_step: v, ..options.clone() },
        ] {
            calls.survives("options", || {
                solve(x(), (0.0, 1.0), &AdaptiveSde { options, ..how() }, x(), SaveAt::End).is_ok()
            });
        }
        calls.survives("last_step", || {
            solve(x(), (0.0, 1.0), &AdaptiveSde { last_step: v, ..how() }, x(), SaveAt::End).is_ok()
        });
        for diffusion in [
            Diffusion::Constant { scale: v },
            Diffusion::Sigma { scale: v },
            Diffusion::SigmaSquared { scale: v },
            Diffusion::Churn { s_churn: v, s_min: v, s_max: v, s_noise: v },
        ] {
            calls.survives("diffusion", || {
                solve(x(), (0.0, 1.0), &AdaptiveSde { diffusion, ..how() }, x(), SaveAt::End).is_ok()
            });
            calls.survives("sde::solve", || {
                let (grid, noise) = ([0.0, 0.5, 1.0], |_: u64| vec![v]);
                let field = |x: &Vec<f64>, _: f64| x.clone();
                sde::solve(&field, &PathKind::Linear, vec![1.0], &grid, (Method::Heun, diffusion), noise, SaveAt::End)
                    .is_ok()
            });
        }
        calls.survives("state", || solve(Array2::from_elem((2, 1), v), (0.0, 1.0), &how(), x(), SaveAt::Steps).is_ok());
        calls.survives("noise", || solve(x(), (0.0, 1.0), &how(), Array2::from_elem((2, 1), v), SaveAt::End).is_ok());
        calls.survives("At", || solve(x(), (0.0, 1.0), &how(), x(), SaveAt::At(&[v])).is_ok());
        calls.survives("evaluate", || brownian::evaluate(&PerStep(|_: u64| x()), &[v, 0.3], &[0, 1]).nrows());
        calls.survives("round_step", || [brownian::round_step(v, 0.1), brownian::round_step(0.5, v)]);
        calls.survives("time_of_level", || time_of_level(&PathKind::Linear, v));
    }
    for noise in [(1, 1), (3, 2), (2, 2), (0, 1)] {
        calls.refuses("shape of the noise", || solve(x(), (0.0, 1.0), &how(), Array2::ones(noise), SaveAt::End));
    }
    calls.survives("no rows", || {
        solve(Array2::ones((0, 1)), (0.0, 1.0), &how(), Array2::ones((0, 1)), SaveAt::End).is_ok()
    });
    let steps = |s: &Array2<f64>, _: &[f64], _: &[usize]| Array2::ones((s.nrows() + 1, 1));
    calls.refuses("shape of the velocity", || {
        sde::solve_adaptive(&steps, &PathKind::Linear, x(), (0.0, 1.0), &how(), &PerStep(|_: u64| x()), SaveAt::End)
    });
    calls.finish(150);
}
