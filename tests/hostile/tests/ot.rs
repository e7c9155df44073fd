//! Bad input to every public function of `fm-ot`.

use fm_core::choice::Choice;
use fm_core::coupling::{Conditions, Coupling, CouplingInput};
use fm_core::rng::{Key, Stream};
use fm_ot::assignment::assign;
use fm_ot::cost::{Metric, add_conditions, pairwise};
use fm_ot::coupling::{OtCoupling, Plan};
use fm_ot::entropic::{self, Epsilon, SinkhornOptions, sinkhorn, unbalanced};
use fm_ot::marginals::Marginals;
use fm_ot::pairs::{PairSampling, barycentric, draw, follow, permutation};
use fm_ot::semidiscrete::{LearningRate, Semidiscrete, SemidiscreteFit, SemidiscreteOptions};
use fm_ot::trajectory::trajectory;
use fm_ot::transport::{partial, transport};
use hostile::Calls;
use ndarray::{Array2, ArrayView2, array};
use rand_chacha::ChaCha8Rng;

/// The most rows that an array may have, without columns.
const MOST: usize = isize::MAX as usize;

const NUMBERS: [f64; 12] =
    [0.0, -0.0, -1.0, 5e-324, 1e-300, 1.0, 1e16, 1e300, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

const METRICS: [Metric; 3] = [Metric::SquaredEuclidean, Metric::Euclidean, Metric::Cosine];

fn rng() -> ChaCha8Rng {
    Key::new(0, 0, Stream::Coupling).generator(0)
}

/// Matrices of all kinds of shapes, and of 2 x 2 and 2 x 3 with each number in one place or in all.
fn matrices() -> Vec<(String, Array2<f64>)> {
    let shapes = [(0, 0), (0, 3), (3, 0), (1, 1), (1, 3), (3, 1), (3, 3), (MOST, 0), (0, MOST)];
    let mut all: Vec<_> = shapes.iter().map(|shape| (format!("zeros {shape:?}"), Array2::zeros(*shape))).collect();
    for number in NUMBERS {
        let mut one = array![[0.0, 1.0, 2.0], [1.0, 0.0, 3.0]];
        one[(1, 1)] = number;
        all.push((format!("2 x 3 with {number:e}"), one));
        all.push((format!("2 x 2 of {number:e}"), Array2::from_elem((2, 2), number)));
    }
    all.push(("mixed signs".into(), array![[f64::MAX, -f64::MAX], [-f64::MAX, f64::MAX]]));
    all
}

fn is_finite(matrix: &Array2<f64>) -> bool {
    matrix.iter().all(|v| v.is_finite())
}

/// A quick end of an iteration.
fn options() -> SinkhornOptions {
    SinkhornOptions { max_iterations: 50, ..SinkhornOptions::default() }
}

#[test]
fn costs_of_any_shape_and_size() {
    let mut calls = Calls::new("fm-ot solvers");
    for (name, cost) in matrices() {
        let (c, even) = (cost.view(), Marginals::uniform(cost.nrows(), cost.ncols()));
        let mut call = |what: &str, found: &dyn Fn() -> Result<(), fm_ot::OtError>| {
            if is_finite(&cost) {
                calls.survives(&format!("{what} of {name}"), found);
            } else {
                calls.refuses(&format!("{what} of {name}"), found);
            }
        };
        call("assign", &|| assign(c).map(drop));
        call("transport", &|| transport(c, &even).map(|plan| drop((plan.dense(), plan.cost()))));
        call("partial", &|| partial(c, &even, 0.5).map(|plan| drop((plan.dense(), plan.shape()))));
        call("sinkhorn", &|| sinkhorn(c, &even, &options()).and_then(|plan| plan.duality_gap(c, &even)).map(drop));
        call("unbalanced", &|| unbalanced(c, &even, 1.0, &options()).map(drop));
        call("entropic partial", &|| entropic::partial(c, &even, 0.5, &options()).map(drop));
        for plan in [Plan::Exact, Plan::Unbalanced { reg_m: 1.0, options: options() }, Plan::Partial { mass: 0.5 }] {
            call(&format!("{plan:?}"), &|| plan.solve(c).map(drop));
        }
    }
    calls.finish(300);
}

#[test]
fn settings_of_any_size() {
    let mut calls = Calls::new("fm-ot settings");
    let cost = array![[0.0, 1.0], [1.0, 0.0]];
    let (c, even) = (cost.view(), Marginals::uniform(2, 2));
    for number in NUMBERS {
        calls.survives(&format!("Absolute({number:e})"), || {
            sinkhorn(c, &even, &SinkhornOptions { epsilon: Epsilon::Absolute(number), ..options() })
        });
        calls.survives(&format!("Relative({number:e})"), || {
            sinkhorn(c, &even, &SinkhornOptions { epsilon: Epsilon::Relative(number), ..options() })
        });
        calls.survives(&format!("tolerance {number:e}"), || {
            sinkhorn(c, &even, &SinkhornOptions { tolerance: number, ..options() })
        });
        calls.survives(&format!("reg_m {number:e}"), || unbalanced(c, &even, number, &options()));
        calls.survives(&format!("mass {number:e}"), || entropic::partial(c, &even, number, &options()));
        calls.survives(&format!("exact mass {number:e}"), || partial(c, &even, number));
        calls.survives(&format!("row mass {number:e}"), || {
            Marginals::new(&[1.0, number], &[1.0, 1.0]).and_then(|m| transport(c, &m).map(|plan| plan.cost()))
        });
        calls.survives(&format!("column masses {number:e}"), || {
            Marginals::new(&[number; 2], &[number; 2]).and_then(|m| sinkhorn(c, &m, &options()))
        });
        calls.survives(&format!("weight {number:e}"), || {
            add_conditions(&mut cost.clone(), Conditions::Classes(&[0, 1]), number)
        });
    }
    for bad in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        calls.refuses(&format!("epsilon {bad}"), || {
            sinkhorn(c, &even, &SinkhornOptions { epsilon: Epsilon::Absolute(bad), ..options() })
        });
        calls.refuses(&format!("tolerance {bad}"), || {
            sinkhorn(c, &even, &SinkhornOptions { tolerance: bad, ..options() })
        });
        calls.refuses(&format!("reg_m {bad}"), || unbalanced(c, &even, bad, &options()));
        calls.refuses(&format!("mass {bad}"), || partial(c, &even, bad));
        calls.refuses(&format!("point of mass {bad}"), || Marginals::new(&[bad], &[1.0]));
        let weighted = OtCoupling { condition_weight: bad, ..OtCoupling::default() };
        let x = array![[0f32], [1.0]];
        let batch = CouplingInput { x0: x.view(), x1: x.view(), conditions: Conditions::Classes(&[0, 1]) };
        calls.refuses(&format!("weight {bad}"), || weighted.couple(&batch, &mut rng()));
    }
    for (rows, columns) in [(0, 0), (2, 3), (MOST, 2), (usize::MAX, usize::MAX)] {
        let masses = Marginals::uniform(rows, columns);
        calls.survives("masses", || (masses.rows().len(), masses.columns().next(), masses.clone() == masses));
        calls.refuses(&format!("{rows} x {columns} masses"), || transport(c, &masses));
        calls.refuses(&format!("{rows} x {columns} masses"), || sinkhorn(c, &masses, &options()));
    }
    calls.refuses("no masses", || Marginals::new(&[], &[]));
    for max_iterations in [0, 1, usize::MAX] {
        calls.survives("iterations", || {
            sinkhorn(c, &even, &SinkhornOptions { max_iterations, ..SinkhornOptions::default() })
        });
    }
    calls.finish(130);
}

#[test]
fn plans_that_are_none() {
    let mut calls = Calls::new("fm-ot pairs");
    let points = |rows: usize| Array2::<f32>::zeros((rows, 2));
    for (name, plan) in matrices() {
        let p = plan.view();
        let fine = plan.iter().all(|v| *v >= 0.0) && plan.sum() > 0.0 && plan.sum().is_finite();
        let mut call = |what: &str, found: &dyn Fn() -> Result<(), fm_ot::OtError>| {
            if fine || plan.is_empty() {
                calls.survives(&format!("{what} of {name}"), found);
            } else {
                calls.refuses(&format!("{what} of {name}"), found);
            }
        };
        call("permutation", &|| permutation(p, &mut rng()).map(drop));
        call("draw", &|| draw(p, 7, &mut rng()).map(drop));
        if plan.ncols() < MOST {
            call("barycentric", &|| barycentric(p, points(plan.ncols()).view()).map(drop));
        }
        for row in [0, 5, usize::MAX] {
            calls.survives(&format!("follow {row} of {name}"), || follow(p, row, &mut rng()));
        }
    }
    let plan = array![[0.5, 0.5]];
    for count in [usize::MAX, usize::MAX / 16, 1 << 40] {
        calls.refuses(&format!("{count} draws"), || draw(plan.view(), count, &mut rng()));
    }
    calls.refuses("follow beyond", || follow(plan.view(), 5, &mut rng()));
    for rows in [0, 1, 3] {
        calls.refuses(&format!("means of {rows}"), || barycentric(plan.view(), points(rows).view()));
    }
    for bad in [f32::NAN, f32::INFINITY] {
        calls.refuses("means of NaN", || barycentric(plan.view(), array![[0.0], [bad]].view()));
    }
    calls.finish(150);
}

#[test]
fn points_of_any_shape_and_size() {
    let mut calls = Calls::new("fm-ot costs");
    let shapes = [(0, 0), (0, 2), (2, 0), (2, 1), (2, 2), (3, 2), (2, 40), (MOST, 0), (0, MOST)];
    for a in shapes {
        for b in shapes {
            let (x, y) = (Array2::<f32>::zeros(a), Array2::<f32>::zeros(b));
            for metric in METRICS {
                let name = format!("{metric} of {a:?} and {b:?}");
                if a.1 == b.1 {
                    calls.survives(&name, || metric.matrix(x.view(), y.view()));
                } else {
                    calls.refuses(&name, || metric.matrix(x.view(), y.view()));
                }
            }
            calls.survives("pairwise", || {
                pairwise(x.view(), y.view(), |a, b| a.iter().zip(b).map(|(a, b)| f64::from(a - b)).sum())
            });
            let batch = CouplingInput { x0: x.view(), x1: y.view(), conditions: Conditions::None };
            calls.survives("couple", || OtCoupling::default().couple(&batch, &mut rng()));
            let snapshots = [x.view(), y.view(), x.view()];
            calls.survives("trajectory", || {
                trajectory(&snapshots, &OtCoupling::default(), Conditions::None, &mut rng())
            });
        }
    }
    for bad in [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE] {
        for dim in [1, 2, 40] {
            let (x, mut y) = (Array2::<f32>::zeros((3, dim)), Array2::<f32>::ones((3, dim)));
            y[(1, 0)] = bad;
            for metric in METRICS {
                for pairs in [PairSampling::Permutation, PairSampling::Drawn] {
                    let plan = Plan::Sinkhorn(options());
                    let coupling = OtCoupling { cost: metric, pairs, plan, ..OtCoupling::default() };
                    let batch = CouplingInput { x0: x.view(), x1: y.view(), conditions: Conditions::None };
                    let name = format!("{coupling:?} of {bad} in {dim}");
                    if bad.is_finite() {
                        calls.survives(&name, || coupling.couple(&batch, &mut rng()));
                    } else {
                        calls.refuses(&name, || coupling.couple(&batch, &mut rng()));
                    }
                }
            }
        }
    }
    calls.finish(500);
}

#[test]
fn conditions_and_names() {
    let mut calls = Calls::new("fm-ot conditions");
    let x = Array2::<f32>::from_shape_fn((3, 2), |(i, j)| (i + 2 * j) as f32);
    let coupling = OtCoupling { condition_weight: 1.0, ..OtCoupling::default() };
    let views: [ArrayView2<'_, f32>; 2] = [x.view(), x.view()];
    let values = [0, 1, 3, 4].map(|rows| Array2::<f32>::zeros((rows, 1)));
    let nan = Array2::<f32>::from_elem((3, 1), f32::NAN);
    let none = Array2::<f32>::zeros((3, 0));
    let mut all: Vec<Conditions<'_>> = values.iter().map(|v| Conditions::Values(v.view())).collect();
    all.extend([Conditions::Values(nan.view()), Conditions::Values(none.view()), Conditions::None]);
    all.extend([&[][..], &[1], &[i64::MIN, i64::MAX, 0], &[0; 4]].map(Conditions::Classes));
    for conditions in &all {
        let batch = CouplingInput { x0: x.view(), x1: x.view(), conditions: conditions.view() };
        calls.survives("couple", || coupling.couple(&batch, &mut rng()));
        calls.survives("trajectory", || trajectory(&views, &coupling, conditions.view(), &mut rng()));
        for shape in [(0, 0), (2, 3), (3, 3), (3, 1)] {
            let mut cost = Array2::<f64>::ones(shape);
            calls.survives("add_conditions", || add_conditions(&mut cost, conditions.view(), 1.0));
        }
    }
    calls.refuses("conditions of NaN", || {
        add_conditions(&mut Array2::ones((3, 3)), Conditions::Values(nan.view()), 1.0)
    });
    calls.survives("no snapshots", || trajectory::<f32, _>(&[], &coupling, Conditions::None, &mut rng()));
    for text in ["", " ", "\0", "exact:", "squared-euclidean:p=NaN", "é"] {
        calls.refuses(&format!("Metric {text}"), || Metric::parse(text));
        calls.refuses(&format!("PairSampling {text}"), || PairSampling::parse(text));
    }
    calls.finish(80);
}

#[test]
fn semidiscrete_couplings_of_any_data_and_options() {
    let mut calls = Calls::new("fm-ot semidiscrete");
    let good = SemidiscreteOptions { draws: 1, batch_size: 8, ..SemidiscreteOptions::default() };
    let fit = |data: &Array2<f64>, options: SemidiscreteOptions| {
        let mut fit = SemidiscreteFit::new(data.view(), &Metric::SquaredEuclidean, options, 3)?;
        let (dim, rows) = (data.ncols().min(8), 4);
        for k in 0..3 {
            fit.step(Array2::from_shape_fn((rows, dim), |(i, j)| (i + j + k) as f64).view())?;
        }
        let pairs = Semidiscrete::new(data.clone(), Metric::SquaredEuclidean)?.with_potentials(fit.averaged())?;
        pairs.choose(Array2::zeros((2, dim)).view(), None).map(|_| ())
    };
    for (name, data) in matrices() {
        let found = || fit(&data, good);
        if is_finite(&data) {
            calls.survives(&format!("fit to {name}"), found);
        } else {
            calls.refuses(&format!("fit to {name}"), found);
        }
    }
    let data = array![[0.0, 1.0], [2.0, 3.0]];
    for number in NUMBERS {
        for (name, options) in [
            ("learning rate", SemidiscreteOptions { learning_rate: LearningRate::Absolute(number), ..good }),
            ("relative rate", SemidiscreteOptions { learning_rate: LearningRate::Relative(number), ..good }),
            ("final rate", SemidiscreteOptions { final_rate: number, ..good }),
            ("beta1", SemidiscreteOptions { beta1: number, ..good }),
            ("beta2", SemidiscreteOptions { beta2: number, ..good }),
            ("eps", SemidiscreteOptions { eps: number, ..good }),
            ("ema_decay", SemidiscreteOptions { ema_decay: number, ..good }),
        ] {
            calls.survives(&format!("{name} {number:e}"), || fit(&data, options));
        }
        let pairs = Semidiscrete::new(data.clone(), Metric::SquaredEuclidean);
        let with = || pairs.clone().and_then(|pairs| pairs.with_potentials(&[0.0, number])).map(|_| ());
        calls.survives(&format!("potential {number:e}"), with);
    }
}
