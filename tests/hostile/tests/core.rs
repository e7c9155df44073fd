//! Bad input to the public functions of fm-core; exact fields and wrappers of fields are in
//! `fields.rs`.

use fm_core::choice::{Choice, Domain, Entry};
use fm_core::coupling::{Conditions, Coupling, CouplingError, CouplingInput, Independent, Pairing};
use fm_core::data::{Dataset, Order, Pick};
use fm_core::interpolate::{PathWeights, coefficients, convert, interpolate};
use fm_core::loss::{Loss, Reduction};
use fm_core::message;
use fm_core::objective::Objective;
use fm_core::path::{Coefficients, Custom, End, PathKind, ProbPath};
use fm_core::prediction::{Conversion, PREDICTIONS, Prediction};
use fm_core::rng::{Key, Stream, fill_normal, normal_rows};
use fm_core::schedule::change;
use fm_core::source::{Source, SourceKind, deviation};
use fm_core::state::{Bound, OdeState, RowCombination, RowState, Shaped, Tolerance};
use fm_core::time::{Draw, LossAware, TimeKind, Times};
use fm_core::weighting::Weighting;
use hostile::Calls;
use ndarray::{Array0, Array1, Array2, ArrayD};

const BAD: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 5e-324, f64::MAX, f64::MIN];
const HUGE: [usize; 3] = [usize::MAX, usize::MAX / 2, 1 << 40];
const SHAPES: [(usize, usize); 6] = [(0, 0), (0, 3), (2, 0), (2, 1), (1, 3), (3, 2)];

const TEXTS: [&str; 12] = [
    "",
    ":",
    "=",
    ",,,",
    "none",
    "\n",
    "Linear",
    "linear:x=1",
    "vp:a=b=c",
    "power:k=",
    "power:k=1e999",
    "power:k=2,k=3",
];

fn choice<C: Choice + std::fmt::Debug>(calls: &mut Calls, what: &str) {
    for text in TEXTS {
        calls.survives(&format!("{what}::parse {text:?}"), || C::parse(text).map(|choice| choice.to_string()).is_ok());
    }
    let long = "x\n".repeat(10_000);
    for text in [long.clone(), format!("{}:{long}", C::TABLE[0].name()), format!("{}:a={long}", C::TABLE[0].name())] {
        calls.refuses(&format!("{what}::parse a long text"), || C::parse(&text));
    }
    for (entry, parameter) in C::TABLE.iter().flat_map(|e| e.parameters.iter().map(move |p| (e, p))) {
        for value in BAD.into_iter().filter(|v| !parameter.domain.contains(*v)) {
            let text = format!("{}:{}={value}", entry.name(), parameter.name);
            calls.refuses(&format!("{what}::parse {text:.60}"), || C::parse(&text));
        }
    }
}

#[test]
fn choices() {
    let mut calls = Calls::new("fm-core choices");
    choice::<PathKind>(&mut calls, "PathKind");
    choice::<TimeKind>(&mut calls, "TimeKind");
    choice::<Draw>(&mut calls, "Draw");
    choice::<Weighting>(&mut calls, "Weighting");
    choice::<Loss>(&mut calls, "Loss");
    choice::<Reduction>(&mut calls, "Reduction");
    choice::<Prediction>(&mut calls, "Prediction");
    choice::<SourceKind>(&mut calls, "SourceKind");
    for value in BAD {
        for domain in [Domain::within(value, 1.0), Domain::above(0.0, value), Domain::whole(value, value)] {
            calls.survives("Domain", || (domain.contains(value), domain.contains(0.5), domain.to_string()));
        }
        calls.survives("message::number", || message::number(&value));
    }
    calls.survives("Entry::name", || Entry { names: &[], parameters: &[] }.name().len());
    calls.survives("message::name", || message::name(&"\u{1F600}\n".repeat(1000)));
    calls.survives("message::shape", || message::shape(&[usize::MAX; 1000]));
    calls.finish(200);
}

/// Every path by its name, with parameters inside and outside of their domains.
fn paths() -> Vec<PathKind> {
    let named = PathKind::TABLE.iter().filter_map(|e| PathKind::parse(e.name()).ok());
    let bad = BAD.into_iter().flat_map(|v| {
        [
            PathKind::LinearSigmaMin { sigma_min: v },
            PathKind::ConstantNoise { sigma: v },
            PathKind::Vp { beta_min: v, beta_max: v },
            PathKind::Polynomial { n: v },
            PathKind::Bridge { sigma: v },
        ]
    });
    named.chain(bad).collect()
}

#[test]
fn paths_and_predictions() {
    let mut calls = Calls::new("fm-core paths");
    for path in paths() {
        for t in BAD.into_iter().chain([0.5, 1.0]) {
            calls.survives(&format!("{path:.60} at {t:e}"), || {
                let c = path.coefficients(t);
                (path.at(t).map_err(|e| e.to_string()), path.score_weight(t), c.is_finite(), c.noise_variance())
            });
        }
        calls.survives("coefficients", || coefficients(&path, &[0.5, f64::NAN]).map_err(|e| e.to_string()));
        calls.survives("change", || change(&path, &PathKind::Linear, 0.5).map_err(|e| e.to_string()));
        calls.survives("change", || change(&PathKind::Linear, &path, f64::NAN).map_err(|e| e.to_string()));
    }
    for t in BAD.into_iter().filter(|t| !(0.0..=1.0).contains(t)) {
        calls.refuses("ProbPath::at", || PathKind::Linear.at(t));
        calls.refuses("change", || change(&PathKind::Linear, &PathKind::Trigonometric, t));
        calls.survives("End::of", || End::of(t));
    }
    for v in BAD {
        let c = Coefficients { t: v, alpha: v, sigma: v, gamma: v, d_alpha: v, d_sigma: v, d_gamma: v };
        let affine = Coefficients { gamma: 0.0, d_gamma: 0.0, ..c };
        for from in PREDICTIONS {
            calls.survives("Prediction::target", || (from.target(&c), from.target(&affine), from.determinant(&c)));
            for to in PREDICTIONS {
                calls.survives("Prediction::to", || (from.to(to, &c).is_ok(), from.to(to, &affine).is_ok()));
            }
            for weighting in Weighting::TABLE.iter().filter_map(|e| Weighting::parse(e.name()).ok()) {
                calls.survives("Weighting::weight", || weighting.weight(from, &affine).is_ok());
            }
        }
        calls.survives("Conversion::apply", || Conversion { x: v, prediction: v }.apply(v, v));
        calls.refuses("Custom::new", || Custom::new("x".repeat(1000), move |_| v, |_| 1.0, |t| 1.0 - t, |_| -1.0));
        calls.refuses("Custom::new", || Custom::new("a\nb", |t| t, |_| 1.0, move |t| v * t, |_| -2.0));
    }
    calls.finish(500);
}

#[test]
fn batches() {
    let mut calls = Calls::new("fm-core batches");
    let good = Array2::<f64>::ones((2, 3));
    for count in [0, 1, 2, 3] {
        let c = vec![Coefficients { t: 0.5, alpha: 0.5, sigma: 0.5, ..Coefficients::default() }; count];
        for shape in SHAPES {
            let other = Array2::<f64>::ones(shape);
            let p = Prediction::Data;
            calls.refuses("interpolate", || interpolate(&c, p, &good, &other, None));
            calls.refuses("interpolate", || interpolate(&c, p, &other, &good, None));
            calls.refuses("interpolate", || interpolate(&c, p, &good, &good, Some(&other)));
            calls.refuses("convert", || convert(&c, p, Prediction::Noise, &good, &other));
            calls.refuses("convert", || convert(&c, p, Prediction::Noise, &other, &good));
        }
        calls.survives("PathWeights::new", || PathWeights::new(&c, Prediction::Score).map(|w| w.need_noise()));
        let vector = Array1::<f64>::ones(2);
        calls.survives("interpolate 1-D", || interpolate(&c, Prediction::Velocity, &vector, &vector, None).is_ok());
        let number = ArrayD::<f64>::zeros(vec![]);
        calls.refuses("interpolate 0-D", || interpolate(&c, Prediction::Velocity, &number, &number, None));
        calls.refuses("convert 0-D", || convert(&c, Prediction::Data, Prediction::Data, &number, &number));
    }
    let broken = [Coefficients { alpha: f64::NAN, ..Coefficients::default() }; 2];
    calls.survives("interpolate NaN", || interpolate(&broken, Prediction::Velocity, &good, &good, None).is_ok());
    calls.refuses("convert NaN", || convert(&broken, Prediction::Velocity, Prediction::Data, &good, &good));
    calls.finish(100);
}

#[test]
fn states() {
    let mut calls = Calls::new("fm-core states");
    let (square, other) = (Array2::<f64>::ones((2, 3)), Array2::<f64>::ones((2, 1)));
    let (long, short, tol) = (vec![1.0; 3], vec![1.0; 2], Tolerance::new(1e-3, 1e-3));
    let differ = "has shape";
    calls.panics("Vec combination", differ, || Vec::linear_combination(&[(1.0, &long), (1.0, &short)]));
    calls.panics("Vec norm", differ, || Vec::error_norm(&long, &short, &long, &tol));
    calls.panics("Array combination", differ, || Array2::linear_combination(&[(1.0, &square), (1.0, &other)]));
    calls.panics("Array norm", differ, || Array2::error_norm(&square, &square, &other, &tol));
    calls.panics("row norms", differ, || Array2::row_error_norms(&square, &other, &square, &tol));
    calls.panics("rows", differ, || Array2::row_combination(&[(&[1.0; 2], &square), (&[1.0; 2], &other)]));
    calls.panics("coefficients", "coefficients", || Array2::row_combination(&[(&[1.0], &square)]));
    calls.panics("select_rows", "", || square.select_rows(&[2]));
    calls.panics("put_rows", "", || square.clone().put_rows(&[usize::MAX], &square));
    calls.survives("no terms", || (Vec::<f64>::linear_combination(&[]), Array2::<f64>::linear_combination(&[])));
    calls.survives("no terms", || (f64::linear_combination(&[]), Array2::<f64>::row_combination(&[])));
    calls.survives("0-D", || Array0::<f64>::linear_combination(&[(1.0, &Array0::zeros(()))]).dimension());
    let number = ArrayD::<f64>::zeros(vec![]);
    calls.survives("0-D rows", || {
        (RowCombination::rows(&number), ArrayD::row_error_norms(&number, &number, &number, &tol))
    });
    calls.survives("0-D combination", || ArrayD::row_combination(&[(&[], &number)]));
    for v in BAD {
        for (rtol, atol) in BAD.into_iter().map(|w| (v, w)) {
            let tol = Tolerance::new(rtol, atol);
            calls.survives("error_norm", || f64::error_norm(&v, &1.0, &v, &tol));
            calls.survives("row_error_norms", || Array2::row_error_norms(&square, &square, &(&square * v), &tol));
        }
        let each = Tolerance::new(vec![v], Vec::new());
        calls.survives("Tolerance::scale", || each.scale(usize::MAX, v, v));
        calls.survives("Bound::at", || Bound::Each(vec![v; 2]).at(usize::MAX));
        calls.survives("f32", || Vec::linear_combination(&[(v, &vec![1f32]), (v, &vec![f32::MAX])]));
        calls.survives("shape", || (Shaped::shape(&v), v.same_shape(&1.0)));
    }
    calls.finish(150);
}

#[test]
fn times_and_losses() {
    let mut calls = Calls::new("fm-core times");
    let laws = TimeKind::TABLE.iter().filter_map(|e| TimeKind::parse(e.name()).ok());
    let bad = BAD.into_iter().flat_map(|v| {
        [
            TimeKind::Discrete { k: v },
            TimeKind::LogitNormal { loc: v, scale: v },
            TimeKind::ExpU { a: v },
            TimeKind::Power { k: v },
            TimeKind::PowerData { k: v },
            TimeKind::Mode { s: v },
            TimeKind::Warp { s: v },
        ]
    });
    for law in laws.chain(bad) {
        for v in BAD {
            calls.survives(&format!("{law:.60} at {v:e}"), || (law.quantile(v), law.cdf(v), law.density(v)));
            let times = Times { distribution: law, clip: v, importance: true, ..Times::default() };
            calls.survives("Times", || (times.quantile(0.5), times.cdf(v), times.density(v), times.weight(v)));
            calls.survives("Times::validate", || times.validate().map_err(|e| e.to_string()));
            let last = Key::new(u64::MAX, u64::MAX, Stream::Time).from_row(u64::MAX);
            calls.survives("Times::draw", || times.draw(last, 3, None).is_ok());
            let antithetic = Times { draw: Draw::Antithetic, ..times };
            calls.survives("Times::draw", || antithetic.draw(last, 3, None).is_ok());
        }
    }
    for rows in HUGE {
        for draw in [Draw::Independent, Draw::Stratified, Draw::Antithetic] {
            calls.refuses("Times::draw", || {
                Times { draw, ..Times::default() }.draw(Key::new(0, 0, Stream::Time), rows, None)
            });
        }
        calls.panics("LossAware::new", "at most", || LossAware::new(rows));
    }
    for v in BAD {
        let mut law = LossAware::new(3);
        calls.survives("LossAware::update", || law.update(&[v, 1.0, 1.0, v], &[1.0, v]));
        calls.survives("LossAware::quantile", || (law.quantile(v), law.bin(v), law.probabilities()));
        calls.survives("Loss::value", || Loss::PseudoHuber { c: v }.value(v));
        calls.survives("Reduction", || (Reduction::Mean.reduce(&[v]), Reduction::Sum.reduce(&[])));
        let times = Times { clip: v, ..Times::default() };
        let objective: Objective = Objective { times, ..Objective::default() };
        calls.survives("Objective::weight", || objective.weight(v).map_err(|e| e.to_string()));
        calls.survives("Objective::span", || (objective.span(), objective.span_along(&PathKind::LinearVp)));
        for path in paths() {
            let objective = Objective { path, ..objective.clone() };
            calls.survives("Objective::validate", || objective.validate(&Source::default()).map_err(|e| e.to_string()));
            calls.survives("Objective::draw", || objective.draw(Key::new(0, 0, Stream::Time), 2, None).is_ok());
        }
    }
    let objective: Objective = Objective { path: PathKind::ConstantNoise { sigma: 1.0 }, ..Objective::default() };
    for rows in HUGE {
        calls.refuses("Objective::draw", || objective.draw(Key::new(0, 0, Stream::Time), rows, None));
        calls.panics("Objective::path_noise", "memory", || objective.path_noise(Key::new(0, 0, Stream::Time), rows, 8));
        let bins = Objective { loss_aware_bins: rows, ..objective.clone() };
        calls.refuses("Objective::validate", || bins.validate(&Source::default()));
    }
    calls.finish(900);
}

#[test]
fn sources_and_randomness() {
    let mut calls = Calls::new("fm-core sources");
    let sample = |source: &Source, rows, dim| {
        source.sample(Key::new(u64::MAX, u64::MAX, Stream::Noise).from_row(u64::MAX), rows, dim)
    };
    let rows = |shape: (usize, usize)| Source::Rows(Array2::zeros(shape));
    for size in HUGE {
        for (rows, dim) in [(size, 1), (size, 3), (1, size), (size, size)] {
            calls.refuses("Source::sample", || sample(&Source::default(), rows, dim));
            calls.panics("normal_rows", "memory", || normal_rows(Key::new(0, 0, Stream::Noise), rows, dim));
        }
        calls.refuses("Source::sample of another width", || sample(&rows((2, 3)), 1, size));
        calls.panics("Order::batch", "memory", || Order::new(0, 3).batch(0, size));
        calls.panics("Order::new", "at most", || Order::new(0, size));
    }
    calls.panics("Order::batch of a large set", "memory", || Order::new(0, u32::MAX as usize).batch(0, 1));
    for (shape, dim) in [((0, 3), 3), ((2, 3), 2), ((2, 3), 4), ((2, 0), 1), ((2, 3), 0)] {
        calls.refuses("Source::sample of rows", || sample(&rows(shape), 2, dim));
    }
    calls.survives("Source::sample of nothing", || (sample(&Source::default(), 0, 5), sample(&rows((2, 0)), 3, 0)));
    for value in BAD {
        for kind in [SourceKind::Matched { deviation: value }, SourceKind::Sparse { rate: value }] {
            calls.survives("Source::sample", || sample(&kind.into(), 2, 2).map_err(|e| e.to_string()));
            calls.survives("SourceKind::measured", || kind.measured(|| value));
        }
        calls.survives("deviation", || deviation([value, value].into_iter()));
        if !value.is_finite() {
            let data = Source::Rows(Array2::from_elem((2, 2), value as f32));
            calls.refuses("Source::check", || data.check());
        }
    }
    calls.survives("deviation", || deviation(std::iter::empty()));
    for (step, batch) in [(u64::MAX, 3), (u64::MAX, 0), (0, 0), (u64::MAX / 2, 1000)] {
        calls.survives("Order::batch", || (Order::new(0, 7).batch(step, batch), Order::new(0, 0).batch(step, batch)));
    }
    calls.survives("fill_normal", || fill_normal(&mut Key::new(0, 0, Stream::Data).generator(0), &mut []));
    calls.survives("torch_seed", || Key::new(u64::MAX, u64::MAX, Stream::Torch).torch_seed());
    calls.finish(70);
}

#[test]
fn couplings_and_data() {
    let mut calls = Calls::new("fm-core couplings");
    let rng = || Key::new(0, 0, Stream::Coupling).generator(0);
    let good = Array2::<f32>::zeros((2, 3));
    for shape in SHAPES {
        let other = Array2::<f32>::zeros(shape);
        let (x0, x1) = (good.view(), other.view());
        let batch = CouplingInput { x0, x1, conditions: Conditions::None };
        calls.refuses("Independent", || Independent.couple(&batch, &mut rng()));
        let batch = CouplingInput { x0, x1: x0, conditions: Conditions::Classes(&[0]) };
        calls.refuses("CouplingInput::check", || batch.check());
        let batch = CouplingInput { x0, x1: x0, conditions: Conditions::Values(x1) };
        calls.survives("CouplingInput::check", || (batch.check(), matches!(batch.conditions.view(), Conditions::None)));
    }
    let drawn =
        |sources: &[usize], targets: &[usize]| Pairing::Resampled { sources: sources.into(), targets: targets.into() };
    let far = usize::MAX;
    for pairing in [
        Pairing::Permutation(vec![far, 0]),
        Pairing::Permutation(vec![0, 2]),
        drawn(&[2, 0], &[2, 0]),
        drawn(&[far], &[far]),
    ] {
        calls.refuses("Pairing::check", || pairing.check(2));
        calls.panics("Pairing::sources", "is not below the 2 rows", || pairing.sources(&[1.0; 6], 3));
        calls.survives("Pairing::sources of nothing", || pairing.sources(&[1.0; 6], 0));
        calls.survives("Pairing::targets of nothing", || pairing.targets::<f32>(&[], 0));
    }
    calls.refuses("Pairing::check", || drawn(&[0, 1], &[0]).check(2));
    calls.panics("Pairing::targets", "is not below", || drawn(&[0], &[far]).targets(&[1.0; 6], far));
    calls.survives("CouplingError", || CouplingError::Shape { x0: (far, far), x1: (far, far) }.to_string());
    let write = |row, len| good.write(Pick { row, mirrored: true }, &mut vec![0.0; len]);
    calls.panics("Dataset::write", "is not below the 2 rows", || write(2, 3));
    calls.panics("Dataset::write", "is not below the 2 rows", || write(far, 3));
    calls.panics("Dataset::write", "out holds 2 values", || write(0, 2));
    calls.panics("Dataset::write", "out holds 4 values", || write(0, 4));
    calls.survives("Dataset::class", || (good.class(far), Dataset::is_empty(&good)));
    calls.finish(40);
}
