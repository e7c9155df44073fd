//! Bad input to the public functions of fm-solvers.

use fm_core::choice::Choice;
use fm_core::field::{RowField, SharedTime, VelocityField};
use fm_core::path::{Coefficients, PathKind};
use fm_core::state::{OdeState, Tolerance};
use fm_solvers::grid::Shifted;
use fm_solvers::multistep::{self, MultistepMethod};
use fm_solvers::sde::{self, Diffusion, Method};
use fm_solvers::straightness::straightness;
use fm_solvers::tableau::{ALL, DOPRI5, EULER, RK4, Tableau};
use fm_solvers::{
    AdaptiveOptions, Event, Fixed, Grid, Multistep, PidController, SaveAt, Solution, SolveError, Stats, StopReason,
    adaptive, dense, events, fixed, per_sample, solve,
};
use hostile::Calls;
use ndarray::{Array1, Array2, ArrayD};

const BAD: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 5e-324, f64::MAX, f64::MIN];
const GRID: [f64; 3] = [0.0, 0.5, 1.0];
const SPAN: (f64, f64) = (0.0, 1.0);
const HOW: (Method, Diffusion) = (Method::Heun, Diffusion::Constant { scale: 1.0 });

const MULTISTEP: [MultistepMethod; 4] =
    [MultistepMethod::AdamsBashforth3, MultistepMethod::Pec, MultistepMethod::DpmSolver2M, MultistepMethod::UniPc3];

type State = Vec<f64>;

#[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
fn decay(x: &State, _: f64) -> State {
    x.iter().map(|x| -x).collect()
}

fn rows(x: &Array2<f64>, _: &[f64], _: &[usize]) -> Array2<f64> {
    -x
}

/// A field that states this value for every coefficient of its path.
struct Stated(f64);

impl VelocityField<State> for Stated {
    fn velocity(&self, x: &State, _: f64) -> State {
        x.clone()
    }

    fn path_at(&self, t: f64) -> Option<Coefficients> {
        let [alpha, sigma, gamma, d_alpha, d_sigma, d_gamma] = [self.0; 6];
        Some(Coefficients { t, alpha, sigma, gamma, d_alpha, d_sigma, d_gamma })
    }
}

fn embedded() -> impl Iterator<Item = &'static Tableau> {
    ALL.into_iter().filter(|t| t.e.is_some())
}

/// Options that end soon.
fn short() -> AdaptiveOptions {
    AdaptiveOptions { max_evaluations: 300, ..AdaptiveOptions::default() }
}

#[test]
fn shapes() {
    let mut calls = Calls::new("fm-solvers shapes");
    let options = short();
    for len in [0, 1, 2, 4] {
        let field = move |_: &State, _: f64| vec![0.5; len];
        let x = || vec![1.0; 3];
        for tableau in ALL {
            calls.refuses("fixed::solve", || fixed::solve(&field, x(), &GRID, tableau, SaveAt::End));
            calls.refuses("fixed::solve_partial", || fixed::solve_partial(&field, x(), &GRID, tableau, SaveAt::Steps));
        }
        for method in MULTISTEP {
            let solve = || multistep::solve(&field, &PathKind::Linear, x(), &GRID, method, SaveAt::End);
            calls.refuses("multistep::solve", solve);
        }
        for tableau in embedded() {
            calls.refuses("adaptive::solve", || adaptive::solve(&field, x(), SPAN, tableau, &options, SaveAt::End));
        }
        let (path, noise) = (PathKind::Linear, |_| vec![0.1; len]);
        calls.refuses("sde::solve", || sde::solve(&field, &path, x(), &GRID, HOW, |_| x(), SaveAt::End));
        calls.refuses("sde::solve noise", || sde::solve(&decay, &path, x(), &GRID, HOW, noise, SaveAt::End));
    }
    for shape in [(0, 0), (0, 3), (2, 0), (2, 1), (1, 3), (3, 2), (3, 3)] {
        let field = move |_: &Array2<f64>, _: &[f64], _: &[usize]| Array2::<f64>::zeros(shape);
        let x = || Array2::<f64>::ones((2, 3));
        for tableau in embedded() {
            calls.refuses("per_sample::solve", || per_sample::solve(&field, x(), SPAN, tableau, &options, SaveAt::End));
        }
        calls.refuses("straightness", || straightness(&field, x(), &GRID, &RK4));
        calls.refuses("SharedTime", || fixed::solve(&SharedTime(field), x(), &GRID, &RK4, SaveAt::End));
        let shifted = Shifted::new(field, Grid::Shift { s: 2.0 });
        if let Ok(shifted) = shifted {
            calls.survives("Shifted", || shifted.velocities(&x(), &[f64::NAN; 2], &[0, 1]));
            calls.refuses("Shifted", || per_sample::solve(&shifted, x(), SPAN, &DOPRI5, &options, SaveAt::End));
        }
        // The state itself may have any shape.
        let x = || Array2::<f64>::ones(shape);
        calls.survives("per_sample::solve", || {
            per_sample::solve(&rows, x(), SPAN, &DOPRI5, &options, SaveAt::Steps).is_ok()
        });
        calls.survives("straightness", || straightness(&rows, x(), &GRID, &EULER).is_ok());
    }
    let (number, still) = (ArrayD::<f64>::zeros(vec![]), |x: &ArrayD<f64>, _: &[f64], _: &[usize]| x.clone());
    calls.refuses("per_sample 0-D", || per_sample::solve(&still, number.clone(), SPAN, &DOPRI5, &options, SaveAt::End));
    calls.refuses("straightness 0-D", || straightness(&still, number.clone(), &GRID, &RK4));
    let still = |x: &Array1<f64>, _: &[f64], _: &[usize]| x.clone();
    calls.survives("per_sample 1-D", || {
        per_sample::solve(&still, Array1::ones(3), SPAN, &DOPRI5, &options, SaveAt::Steps).is_ok()
    });
    calls.survives("empty Vec", || adaptive::solve(&decay, vec![], SPAN, &DOPRI5, &options, SaveAt::Steps).is_ok());
    calls.finish(150);
}

#[test]
fn grids_and_spans() {
    let mut calls = Calls::new("fm-solvers grids");
    let fixed = |grid: &[f64], output: SaveAt<'_>| fixed::solve(&decay, vec![1.0], grid, &RK4, output);
    let adaptive = |span, output: SaveAt<'_>| adaptive::solve(&decay, vec![1.0], span, &DOPRI5, &short(), output);
    for grid in [&[][..], &[0.0], &[0.0, 0.0], &[0.0, 1.0, 0.5], &[f64::MIN, f64::MAX], &[0.0, 1.0, 1.0]] {
        calls.refuses("fixed::solve", || fixed(grid, SaveAt::End));
        calls.refuses("straightness", || straightness(&rows, Array2::ones((2, 2)), grid, &RK4));
        for method in MULTISTEP {
            calls.refuses("multistep::solve", || {
                multistep::solve(&decay, &PathKind::Linear, vec![1.0], grid, method, SaveAt::End)
            });
        }
        calls.refuses("sde::solve", || {
            sde::solve(&decay, &PathKind::Linear, vec![1.0], grid, HOW, |_| vec![0.0], SaveAt::End)
        });
    }
    for v in BAD {
        for grid in [[0.0, v], [v, 0.0], [v, v], [0.5, v]] {
            calls.survives("fixed::solve", || fixed(&grid, SaveAt::Steps).map_err(|e| e.to_string()));
            for method in MULTISTEP {
                for path in [PathKind::Linear, PathKind::LinearVp, PathKind::ConstantNoise { sigma: v }] {
                    calls.survives("multistep::solve", || {
                        multistep::solve(&decay, &path, vec![1.0], &grid, method, SaveAt::At(&[v])).is_ok()
                    });
                }
            }
            calls
                .survives("adaptive::solve", || adaptive((grid[0], grid[1]), SaveAt::Steps).map_err(|e| e.to_string()));
            calls.survives("sde::solve", || {
                sde::solve(&decay, &PathKind::LinearVp, vec![1.0], &grid, HOW, |_| vec![0.0], SaveAt::Steps).is_ok()
            });
        }
        for method in MULTISTEP {
            let solver = Multistep::new(method, 3);
            let given = solver.clone().path(PathKind::Polynomial { n: v });
            calls.survives("Multistep", || solve(&Stated(v), vec![1.0], 0.0..1.0, &solver).is_ok());
            calls.survives("Multistep::path", || solve(&Stated(v), vec![1.0], 0.0..1.0, &given).is_ok());
            calls.survives("Multistep::path", || solve(&decay, vec![1.0], 0.1..1.0, &given).is_ok());
            if !["ab3", "pec"].contains(&method.name()) {
                calls.refuses("Multistep", || solve(&decay, vec![v], 0.0..1.0, &solver));
            }
        }
        if !(0.0..=1.0).contains(&v) {
            let times = [0.5, v];
            calls.refuses("SaveAt::At", || fixed(&GRID, SaveAt::At(&times)));
            calls.refuses("SaveAt::At", || adaptive(SPAN, SaveAt::At(&times)));
            calls.refuses("SaveAt::At", || {
                per_sample::solve(&rows, Array2::ones((2, 1)), SPAN, &DOPRI5, &short(), SaveAt::At(&times))
            });
            calls.refuses("sde::solve", || {
                sde::solve(&decay, &PathKind::Linear, vec![1.0], &[0.0, 0.5, v], HOW, |_| vec![0.0], SaveAt::End)
            });
        }
        for grid in [Grid::Warp { s: v }, Grid::Edm { rho: v, sigma_min: v, sigma_max: v }, Grid::Shift { s: v }] {
            calls.survives("Grid::times", || grid.times(3).map_err(|e| e.to_string()));
            calls.survives("Shifted::new", || Shifted::new(decay, grid).is_ok());
        }
        if let Ok(shifted) = Shifted::new(decay, Grid::Shift { s: 3.0 }) {
            calls.survives("Shifted", || shifted.velocity(&vec![v], v));
        }
    }
    for grid in Grid::TABLE.iter().filter_map(|e| Grid::parse(e.name()).ok()) {
        for steps in [0, usize::MAX, usize::MAX / 2, 1 << 40, Grid::MAX_STEPS + 1] {
            calls.refuses("Grid::times", || grid.times(steps));
        }
        calls.survives("Grid::times", || grid.times(1).map_err(|e| e.to_string()));
    }
    for text in ["", ":", "edm:rho=nan", "shift:-1", "warp:s=2", "sde", "uniform:1"] {
        calls.survives("Grid::parse", || {
            (Grid::parse(text).is_ok(), Diffusion::parse(text).is_ok(), Method::parse(text).is_ok())
        });
    }
    calls.finish(200);
}

/// Every setting with every bad value, alone.
fn options(v: f64) -> Vec<AdaptiveOptions> {
    let (good, i) = (short(), PidController::I);
    let with = |control| AdaptiveOptions { control, ..short() };
    vec![
        AdaptiveOptions { tolerance: Tolerance::new(v, 1e-3), ..good.clone() },
        AdaptiveOptions { tolerance: Tolerance::new(1e-3, v), ..good.clone() },
        AdaptiveOptions { tolerance: Tolerance::new(v, v), ..good.clone() },
        AdaptiveOptions { tolerance: Tolerance::new(vec![v], vec![v]), ..good.clone() },
        AdaptiveOptions { tolerance: Tolerance::new(vec![v, 1.0, 1.0], 1.0), ..good.clone() },
        AdaptiveOptions { tolerance: Tolerance::new(vec![], v), ..good.clone() },
        AdaptiveOptions { first_step: Some(v), ..good.clone() },
        AdaptiveOptions { min_step: v, ..good.clone() },
        AdaptiveOptions { max_step: v, ..good.clone() },
        with(PidController { proportional: v, ..i }),
        with(PidController { integral: v, ..i }),
        with(PidController { derivative: v, ..i }),
        with(PidController { safety: v, ..i }),
        with(PidController { min_factor: v, ..i }),
        with(PidController { max_factor: v, ..i }),
    ]
}

#[test]
fn settings() {
    let mut calls = Calls::new("fm-solvers settings");
    for v in BAD {
        for options in options(v) {
            let name = format!("{options:?}");
            calls.survives(&name, || {
                adaptive::solve(&decay, vec![1.0], SPAN, &DOPRI5, &options, SaveAt::End).map_err(|e| e.to_string())
            });
            calls.survives(&name, || {
                per_sample::solve(&rows, Array2::ones((2, 1)), SPAN, &DOPRI5, &options, SaveAt::Steps)
                    .map_err(|e| e.to_string())
            });
            for errors in [[v; 3], [1.0, v, v], [f64::NAN, 0.0, f64::MAX]] {
                calls.survives("PidController::factor", || {
                    [0, 5, usize::MAX].map(|order| options.control.factor(order, errors))
                });
            }
        }
        let nan = v.is_nan() || v.is_infinite();
        if nan || v < 0.0 {
            for options in options(v).into_iter().take(4) {
                calls.refuses("tolerance", || adaptive::solve(&decay, vec![1.0], SPAN, &DOPRI5, &options, SaveAt::End));
            }
            let turned = PidController { min_factor: 10.0, max_factor: v, ..PidController::PID };
            calls.survives("PidController::factor", || turned.factor(5, [1.0; 3]));
            calls.refuses("AdaptiveOptions::with_tolerance", || {
                adaptive::solve(&decay, vec![1.0], SPAN, &DOPRI5, &AdaptiveOptions::with_tolerance(v), SaveAt::End)
            });
        }
        for diffusion in
            [Diffusion::Constant { scale: v }, Diffusion::Sigma { scale: v }, Diffusion::SigmaSquared { scale: v }]
        {
            let how = (Method::EulerMaruyama, diffusion);
            let x = vec![1.0];
            calls.survives("Diffusion::variance", || {
                diffusion.variance(&Coefficients { sigma: v, ..Coefficients::default() })
            });
            let solve = || sde::solve(&decay, &PathKind::Linear, x, &GRID, how, |_| vec![v], SaveAt::End);
            if nan || !(0.0..=1e6).contains(&v) {
                calls.refuses("sde::solve", solve);
            } else {
                calls.survives("sde::solve", || solve().is_ok());
            }
        }
    }
    let none = AdaptiveOptions { max_evaluations: 0, ..AdaptiveOptions::default() };
    calls.refuses("max_evaluations", || adaptive::solve(&decay, vec![1.0], SPAN, &DOPRI5, &none, SaveAt::End));
    for tableau in ALL.into_iter().filter(|t| t.e.is_none()) {
        calls.refuses(tableau.name, || adaptive::solve(&decay, vec![1.0], SPAN, tableau, &short(), SaveAt::End));
    }
    calls.refuses("At", || {
        sde::solve(&decay, &PathKind::Linear, vec![1.0], &GRID, HOW, |_| vec![0.0], SaveAt::At(&[0.5]))
    });
    calls.finish(500);
}

#[test]
fn values() {
    let mut calls = Calls::new("fm-solvers values");
    for v in BAD {
        for tableau in ALL {
            let field = move |_: &State, _: f64| vec![v; 2];
            let late = move |x: &State, t: f64| if t > 0.5 { vec![v; 2] } else { x.clone() };
            calls.survives("fixed::solve", || {
                fixed::solve(&field, vec![v, 1.0], &GRID, tableau, SaveAt::Steps).map_err(|e| e.to_string())
            });
            calls.survives("fixed::solve", || {
                fixed::solve(&late, vec![1.0, v], &GRID, tableau, SaveAt::At(&[0.7])).is_ok()
            });
            if tableau.e.is_none() {
                continue;
            }
            calls.survives("adaptive::solve", || {
                adaptive::solve(&field, vec![1.0; 2], SPAN, tableau, &short(), SaveAt::Steps).is_ok()
            });
            calls.survives("adaptive::solve", || {
                adaptive::solve(&late, vec![v; 2], SPAN, tableau, &short(), SaveAt::End).is_ok()
            });
            let rows = move |x: &Array2<f64>, t: &[f64], _: &[usize]| {
                Array2::from_shape_fn(x.dim(), |(i, j)| if t[i] > 0.5 { v } else { x[[i, j]] })
            };
            calls.survives("per_sample::solve", || {
                per_sample::solve(&rows, Array2::from_elem((2, 2), v), SPAN, tableau, &short(), SaveAt::Steps).is_ok()
            });
            calls.survives("per_sample::solve_partial", || {
                let found =
                    per_sample::solve_partial(&rows, Array2::ones((2, 2)), SPAN, tableau, &short(), SaveAt::At(&[0.9]));
                found.map(|found| (found.failure(), found.row_evaluations(), found.into_result().is_ok()))
            });
        }
        let field = move |x: &Array2<f64>, _: &[f64], _: &[usize]| x * v;
        calls.survives("straightness", || straightness(&field, Array2::from_elem((2, 2), v), &GRID, &RK4).is_ok());
        calls.survives("Tableau::interpolate", || ALL.map(|tableau| tableau.interpolate(v)));
        for reason in
            [StopReason::MaxEvaluations { t: v }, StopReason::StepUnderflow { t: v }, StopReason::NonFinite { t: v }]
        {
            let stats = Stats { reason, ..Stats::default() };
            calls.refuses("Solution::into_result", || {
                Solution { x: v, times: vec![], states: vec![], stats }.into_result()
            });
        }
        calls.survives("SolveError", || {
            SolveError::Shape { what: "noise", t: v, expected: vec![9; 100], got: vec![] }.to_string()
        });
    }
    calls.finish(250);
}

#[test]
fn events_on_fixed_grids() {
    let mut calls = Calls::new("fm-solvers events");
    let level = |v: f64| [Event::new(move |x: &State, _| x[0] - v), Event::new(move |_: &State, t| t - v).terminal()];
    for v in BAD {
        for tableau in ALL {
            let (solver, late) =
                (Fixed::new(*tableau, 4), move |x: &State, t: f64| vec![if t > 0.5 { v } else { x[0] }]);
            for span in [0.0..1.0, 1.0..0.0, v..1.0, 0.0..v] {
                calls.survives("events::solve", || {
                    events::solve(&late, vec![1.0], span.clone(), &solver, &level(v), SaveAt::Steps)
                        .map_err(|e| e.to_string())
                });
                calls.survives("dense::solve_with_events", || {
                    let found = dense::solve_with_events(&late, vec![v], span, &solver, &level(0.5));
                    found.map(|found| (found.at(v).is_ok(), found.at(0.5).is_ok(), found.span())).is_ok()
                });
            }
            let grid = Grid::Edm { rho: v, sigma_min: v, sigma_max: v };
            calls.refuses("events::solve", || {
                events::solve(&late, vec![1.0], 0.0..1.0, &solver.clone().grid(grid), &level(0.5), SaveAt::End)
            });
            calls.refuses("events::solve", || {
                events::solve(&late, vec![1.0], 0.0..1.0, &solver, &level(0.5), SaveAt::At(&[0.5, v, 0.6]))
            });
        }
    }
    for steps in [0, usize::MAX, Grid::MAX_STEPS + 1] {
        calls.refuses("events::solve", || {
            events::solve(&decay, vec![1.0], 0.0..1.0, &Fixed::rk4(steps), &level(0.5), SaveAt::End)
        });
    }
    let short = |_: &State, _: f64| vec![];
    calls.refuses("dense::solve", || dense::solve(&short, vec![1.0], 0.0..1.0, &Fixed::rk4(3)));
    calls.survives("dense::solve", || dense::solve(&short, vec![], 0.0..1.0, &Fixed::rk4(3)).is_ok());
    calls.finish(600);
}

#[test]
fn tableaux() {
    let mut calls = Calls::new("fm-solvers tableaux");
    let broken: [Tableau; 14] = [
        Tableau { b: &[], ..DOPRI5 },
        Tableau { c: &[], ..DOPRI5 },
        Tableau { a: &[], ..DOPRI5 },
        Tableau { a: &[&[1.0] as &[f64]; 7], ..DOPRI5 },
        Tableau { b: &[1.0; 7], ..DOPRI5 },
        Tableau { b: &[f64::NAN; 7], ..DOPRI5 },
        Tableau { b: &[0.05; 20], ..DOPRI5 },
        Tableau { c: &[f64::INFINITY; 7], ..DOPRI5 },
        Tableau { c: &[0.0, f64::NAN, 0.0, 0.0, 0.0, 0.0, 0.0], ..DOPRI5 },
        Tableau { e: Some(&[]), ..DOPRI5 },
        Tableau { e: Some(&[1.0; 7]), ..DOPRI5 },
        Tableau { dense: &[], ..DOPRI5 },
        Tableau { dense: &[&[f64::NAN] as &[f64]; 7], ..DOPRI5 },
        Tableau { order: 0, ..DOPRI5 },
    ];
    for tableau in &broken {
        calls.refuses("Tableau::check", || tableau.check());
        calls.survives("Tableau", || {
            (tableau.fsal(), tableau.stages_of_a_step(), tableau.interpolate(0.5), tableau.stages())
        });
        calls.refuses("fixed::solve", || fixed::solve(&decay, vec![1.0], &GRID, tableau, SaveAt::End));
        calls.refuses("adaptive::solve", || adaptive::solve(&decay, vec![1.0], SPAN, tableau, &short(), SaveAt::End));
        calls.refuses("per_sample::solve", || {
            per_sample::solve(&rows, Array2::ones((2, 2)), SPAN, tableau, &short(), SaveAt::End)
        });
        calls.refuses("straightness", || straightness(&rows, Array2::ones((2, 2)), &GRID, tableau));
    }
    let high = Tableau { order: usize::MAX, dense_order: usize::MAX, ..DOPRI5 };
    calls.survives("order", || adaptive::solve(&decay, vec![1.0], SPAN, &high, &short(), SaveAt::End).is_ok());
    let dense: &'static [&'static [f64]] = &[&[1.0] as &[f64]; 40];
    calls.survives("dense", || Tableau { dense, ..DOPRI5 }.interpolate(f64::MAX));
    calls.survives("dimension", || vec![1.0; 3].dimension());
    calls.finish(80);
}
