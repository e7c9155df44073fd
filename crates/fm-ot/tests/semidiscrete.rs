//! Semidiscrete couplings compared with ott-jax (`reference/semidiscrete.py`) and closed forms.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::source::Source;
use fm_ot::semidiscrete::{LearningRate, NoiseRows, SemidiscreteFit, chi_squared};
use fm_ot::{Metric, OtError, Scalar, Semidiscrete, SemidiscreteOptions};
use ndarray::{Array2, Array3, array, s};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    noise: Vec<Vec<Vec<f64>>>,
    data: Vec<Vec<f64>>,
    constant: Iterates,
    decayed: Iterates,
}

#[derive(Deserialize)]
struct Iterates {
    potentials: Vec<Vec<f64>>,
    averages: Vec<Vec<f64>>,
    losses: Vec<f64>,
    norms: Vec<f64>,
}

fn table(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, k)| rows[i][k])
}

/// The largest difference, relative to the largest value.
fn off(got: &[f64], want: &[f64]) -> f64 {
    let size = want.iter().fold(0.0, |size: f64, v| size.max(v.abs()));
    got.iter().zip(want).fold(0.0, |off: f64, (a, b)| off.max((a - b).abs())) / size
}

/// Compares with a bound for a constant learning rate, and one for a decaying rate, which optax
/// computes in f32.
fn compare<T: Scalar>(read: fn(f64) -> T, bounds: [f64; 2]) {
    let text = include_str!("reference/semidiscrete.json");
    let Reference { noise, data, constant, decayed } = serde_json::from_str(text).unwrap();
    let data = table(&data).mapv(read);
    let rate = LearningRate::Absolute(0.5);
    let plain = SemidiscreteOptions { learning_rate: rate, final_rate: 1.0, ema_decay: 0.9, ..Default::default() };
    let falling = SemidiscreteOptions { final_rate: 0.05, ema_decay: 0.5, ..plain };
    for ((options, want), bound) in [(plain, constant), (falling, decayed)].into_iter().zip(bounds) {
        let mut fit = SemidiscreteFit::new(data.view(), &Metric::SquaredEuclidean, options, noise.len()).unwrap();
        for (k, noise) in noise.iter().enumerate() {
            let step = fit.step(table(noise).mapv(read).view()).unwrap();
            assert!(off(fit.potentials(), &want.potentials[k]) < bound, "potentials of iterate {k}");
            assert!(off(fit.averaged(), &want.averages[k]) < bound, "averages of iterate {k}");
            // ott-jax minimises the negative dual.
            assert!((step.dual + want.losses[k]).abs() < bound * want.losses[k].abs(), "dual of iterate {k}");
            let (rows, share) = (step.rows.len() as f64, 1.0 / data.nrows() as f64);
            let hits = (0..data.nrows()).map(|j| step.rows.iter().filter(|row| **row == j).count() as f64 / rows);
            let norm = hits.map(|h| (h - share).powi(2)).sum::<f64>().sqrt();
            assert!((norm - want.norms[k]).abs() < 1e-9, "gradient of iterate {k}");
        }
    }
}

#[test]
fn ten_iterates_are_those_of_ott_jax() {
    compare(|v| v, [1e-12, 1e-7]);
    compare(|v| v as f32, [1e-6, 1e-6]);
}

/// Standard normal noise in one dimension.
fn noise(rows: usize) -> Array2<f64> {
    Source::default().sample_array(Key::new(7, 3, Stream::Sample), rows, 1).unwrap()
}

#[test]
fn in_one_dimension_each_row_takes_its_quantiles() {
    let data = Array2::from_shape_vec((40, 1), normal_rows(Key::new(1, 0, Stream::Data), 40, 1)).unwrap();
    // Skewed, so that potentials of 0 would be far off.
    let data = data.mapv(|v| f64::from(v).exp());
    let mut pairs = Semidiscrete::new(data.clone(), Metric::SquaredEuclidean).unwrap();
    let x0 = noise(20_000);
    // The optimum is monotone: noise of rank r takes data of rank r N / n.
    let order = |values: &Array2<f64>| {
        let mut order: Vec<usize> = (0..values.nrows()).collect();
        order.sort_by(|a, b| values[(*a, 0)].total_cmp(&values[(*b, 0)]));
        order
    };
    let ranks = order(&data);
    let mut optimal = vec![0; x0.nrows()];
    order(&x0).iter().enumerate().for_each(|(rank, row)| optimal[*row] = ranks[rank * 40 / x0.nrows()]);
    let agree = |pairs: &Semidiscrete<f64>| {
        let chosen = pairs.choose(x0.view(), None).unwrap();
        chosen.iter().zip(&optimal).filter(|(a, b)| a == b).count() as f64 / x0.nrows() as f64
    };
    let before = agree(&pairs);
    let options = SemidiscreteOptions { draws: 20_000, batch_size: 512, ..Default::default() };
    pairs.fit_source(&Source::default(), 0, &options).unwrap();
    let after = agree(&pairs);
    assert!(before < 0.1 && after > 0.8, "{before} {after}");
    let cost = |chosen: &[usize]| {
        let each = chosen.iter().enumerate().map(|(i, j)| (x0[(i, 0)] - data[(*j, 0)]).powi(2));
        each.sum::<f64>() / x0.nrows() as f64
    };
    let (best, got) = (cost(&optimal), cost(&pairs.choose(x0.view(), None).unwrap()));
    assert!((got / best - 1.0).abs() < 0.02, "{got} against {best}");
    let found = pairs.measure_source(&Source::default(), 1, 40_000).unwrap();
    assert!(found.chi_squared.abs() < 0.02 && (found.cost / best - 1.0).abs() < 0.05, "{found:?}");
}

/// The cells of two points are half-spaces, whose plane halves the noise: here where the first
/// coordinate is 0, so g_1 - g_0 = |y_1|^2 - |y_0|^2.
#[test]
fn two_points_halve_the_noise() {
    let mut pairs = Semidiscrete::new(array![[1.0f64, 5.0], [4.0, 5.0]], Metric::SquaredEuclidean).unwrap();
    let hits = |pairs: &Semidiscrete<f64>| {
        let x0 = Source::default().sample_array(Key::new(2, 0, Stream::Sample), 10_000, 2).unwrap();
        let chosen = pairs.choose(x0.view(), None).unwrap();
        (chosen.iter().filter(|row| **row == 1).count(), x0, chosen)
    };
    assert!(hits(&pairs).0 < 200);
    pairs.fit_source(&Source::default(), 0, &SemidiscreteOptions::default()).unwrap();
    let potentials = pairs.potentials();
    assert!((potentials[1] - potentials[0] - 15.0).abs() < 0.2, "{potentials:?}");
    let (_, x0, chosen) = hits(&pairs);
    let wrong = chosen.iter().zip(x0.rows()).filter(|(row, x)| (**row == 1) != (x[0] > 0.0)).count();
    assert!(wrong < 300, "{wrong}");
}

/// Random points need potentials, and more iterations come closer to equal shares.
#[test]
fn equal_shares_are_reached_and_more_iterations_come_closer() {
    let data = Array2::from_shape_vec((200, 3), normal_rows(Key::new(5, 0, Stream::Data), 200, 3)).unwrap();
    let source = Source::default();
    let after = |iterations: usize| {
        let options = SemidiscreteOptions::default();
        let mut fit = SemidiscreteFit::new(data.view(), &Metric::SquaredEuclidean, options, iterations).unwrap();
        for batch in 0..iterations {
            let at = NoiseRows { part: 0, batch, rows: 256, batches_done: 0, batches: 0 };
            fit.step(at.draw(&source, 0, Stream::Coupling, 3).unwrap().view()).unwrap();
        }
        let pairs = Semidiscrete::new(data.clone(), Metric::SquaredEuclidean).unwrap();
        pairs.with_potentials(&fit.into_averaged()).unwrap().measure_source(&source, 0, 40_000).unwrap()
    };
    let [none, few, some, many] = [0, 100, 400, 2000].map(after);
    let chi = [none, few, some, many].map(|found| found.chi_squared);
    assert!(chi[0] > 0.1 && chi[3].abs() < 0.01, "{chi:?}");
    assert!(chi.windows(2).all(|pair| pair[1].abs() < pair[0].abs() / 2.0), "{chi:?}");
    // Without potentials each row takes the nearest point, which costs less and keeps no marginal.
    assert!(none.cost < many.cost, "{none:?} {many:?}");
    // Against the exact plan of 2000 noise rows with the data ten times.
    let x0 = Array2::from_shape_vec((2000, 3), normal_rows(Key::new(6, 0, Stream::Sample), 2000, 3)).unwrap();
    let many_rows = Array2::from_shape_fn((2000, 3), |(i, k)| data[(i % 200, k)]);
    let exact = fm_ot::assign(Metric::SquaredEuclidean.matrix(x0.view(), many_rows.view()).unwrap().view()).unwrap();
    assert!((many.cost / (exact.cost / 2000.0) - 1.0).abs() < 0.1, "{} {}", many.cost, exact.cost / 2000.0);
}

#[test]
fn classes_have_potentials_of_their_own() {
    let data = array![[-1.0f32], [5.0], [1.0], [7.0]];
    let (all, options) = (Source::default(), SemidiscreteOptions::default());
    let mut pairs = Semidiscrete::with_classes(data, &[3, 8, 3, 8], Metric::SquaredEuclidean).unwrap();
    pairs.fit_source(&all, 0, &options).unwrap();
    let x0 = array![[-0.3f32], [-0.3], [0.3], [0.3]];
    // Within a class the lower half takes the lower row.
    assert_eq!(pairs.choose(x0.view(), Some(&[3, 8, 3, 8])).unwrap(), [0, 1, 2, 3]);
    assert!(pairs.measure_source(&all, 0, 10_000).unwrap().chi_squared < 0.01);
    assert_eq!(pairs.choose(x0.view(), None), Err(OtError::Labels { classes: 0, rows: 4 }));
    assert_eq!(pairs.choose(x0.view(), Some(&[3, 8, 4, 8])), Err(OtError::NoSuchClass { class: 4 }));
    // Stored and read again, in the order of the data.
    let stored = pairs.potentials();
    assert!((stored[3] - stored[1] - 24.0).abs() < 1.0 && (stored[2] - stored[0]).abs() < 0.5, "{stored:?}");
    let empty =
        Semidiscrete::with_classes(array![[-1.0f32], [5.0], [1.0], [7.0]], &[3, 8, 3, 8], Metric::SquaredEuclidean);
    assert_eq!(empty.unwrap().with_potentials(&stored).unwrap(), pairs);
}

#[test]
fn threads_and_blocks_change_no_bit() {
    // More than a block of costs, and more noise rows than a block has.
    let rows = |n, step| Array2::from_shape_vec((n, 12), normal_rows(Key::new(5, step, Stream::Data), n, 12)).unwrap();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let data = rows(1500, 0);
            let options = SemidiscreteOptions { batch_size: 1100, ..Default::default() };
            let mut fit = SemidiscreteFit::new(data.view(), &Metric::SquaredEuclidean, options, 4).unwrap();
            let steps: Vec<_> = (1..5).map(|k| fit.step(rows(1100, k).view()).unwrap()).collect();
            (fit.into_averaged(), steps)
        })
    };
    let one = with(1);
    assert!([2, 3, 7].iter().all(|n| with(*n) == one));
    // The rows are those of the whole matrix of costs.
    let (data, x0) = (rows(1500, 0), rows(1100, 9));
    let pairs = Semidiscrete::new(data.clone(), Metric::SquaredEuclidean).unwrap().with_potentials(&one.0).unwrap();
    let costs = Metric::SquaredEuclidean.matrix(x0.view(), data.view()).unwrap();
    let whole: Vec<usize> = costs
        .rows()
        .into_iter()
        .map(|row| (0..1500).min_by(|a, b| (row[*a] - one.0[*a]).total_cmp(&(row[*b] - one.0[*b]))).unwrap())
        .collect();
    assert_eq!(pairs.choose(x0.view(), None).unwrap(), whole);
}

#[test]
fn other_costs_and_other_scales_take_part() {
    let data = Array2::from_shape_vec((30, 2), normal_rows(Key::new(5, 0, Stream::Data), 30, 2)).unwrap();
    let options = SemidiscreteOptions { draws: 2000, ..Default::default() };
    let fitted = |scale: f32, shift: f32| {
        let mut pairs = Semidiscrete::new(data.mapv(|v| scale * v + shift), Metric::SquaredEuclidean).unwrap();
        let draw = |at: NoiseRows| at.draw::<f32>(&Source::default(), 0, Stream::Coupling, 2).map(|x| scale * x);
        pairs.fit(&options, draw).unwrap();
        let x0 = normal_rows(Key::new(9, 0, Stream::Sample), 500, 2);
        pairs.choose((scale * Array2::from_shape_vec((500, 2), x0).unwrap()).view(), None).unwrap()
    };
    let want = fitted(1.0, 0.0);
    // Translating or scaling all points leaves the optimum.
    for (scale, shift) in [(1024.0, 0.0), (1.0 / 1024.0, 0.0), (1.0, 8.0)] {
        let same = fitted(scale, shift).iter().zip(&want).filter(|(a, b)| a == b).count();
        assert!(same > 470, "{scale} {shift}: {same} of 500");
    }
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let mut pairs = Semidiscrete::new(data.clone(), metric).unwrap();
        pairs.fit_source(&Source::default(), 0, &options).unwrap();
        let found = pairs.measure_source(&Source::default(), 0, 20_000).unwrap();
        assert!(found.chi_squared < 0.02, "{metric}: {found:?}");
    }
    let mut own = Semidiscrete::new(data.clone(), |x: &[f32], y: &[f32]| {
        f64::from(2.0 * (x[0] - y[0]).powi(2) + (x[1] - y[1]).powi(2))
    })
    .unwrap();
    own.fit_source(&Source::default(), 0, &options).unwrap();
    assert!(own.measure_source(&Source::default(), 0, 20_000).unwrap().chi_squared < 0.02);
}

#[test]
fn invalid_input_is_an_error() {
    let metric = Metric::SquaredEuclidean;
    assert_eq!(Semidiscrete::new(Array2::<f32>::zeros((0, 2)), metric).unwrap_err(), OtError::Empty);
    let nan = Semidiscrete::new(array![[1.0f32], [f32::NAN]], metric);
    assert_eq!(nan.unwrap_err(), OtError::DataRow { row: 1 });
    let labels = Semidiscrete::with_classes(array![[1.0f32], [2.0]], &[1], metric);
    assert_eq!(labels.unwrap_err(), OtError::Labels { classes: 1, rows: 2 });
    let mut pairs = Semidiscrete::new(array![[1.0f32, 0.0], [2.0, 0.0]], metric).unwrap();
    let wide = pairs.choose(array![[1.0f32]].view(), None);
    assert_eq!(wide, Err(OtError::Dimension { left: 1, right: 2 }));
    let nan = pairs.choose(array![[0.0, 0.0], [f32::NAN, 0.0]].view(), None);
    assert_eq!(nan, Err(OtError::NotFinite { row: 1, column: 0 }));
    for given in [vec![0.0], vec![0.0, f64::NAN], vec![]] {
        let refused = OtError::RowPotentials { potentials: given.len(), rows: 2 };
        assert_eq!(pairs.clone().with_potentials(&given), Err(refused));
    }
    let good = SemidiscreteOptions::default();
    for options in [
        SemidiscreteOptions { draws: 0, ..good },
        SemidiscreteOptions { batch_size: 0, ..good },
        SemidiscreteOptions { learning_rate: LearningRate::Relative(f64::NAN), ..good },
        SemidiscreteOptions { learning_rate: LearningRate::Absolute(0.0), ..good },
        SemidiscreteOptions { final_rate: 0.0, ..good },
        SemidiscreteOptions { beta1: 1.0, ..good },
        SemidiscreteOptions { beta2: -0.1, ..good },
        SemidiscreteOptions { eps: 0.0, ..good },
        SemidiscreteOptions { ema_decay: 1.0, ..good },
    ] {
        let found = pairs.fit_source(&Source::default(), 0, &options);
        assert!(matches!(found, Err(OtError::Fit { .. })), "{options:?}: {found:?}");
    }
    let unmeasured: Source = "matched".parse::<fm_core::source::SourceKind>().unwrap().into();
    assert!(matches!(pairs.fit_source(&unmeasured, 0, &good), Err(OtError::Noise { .. })));
    assert!(matches!(pairs.measure_source(&Source::default(), 0, 1), Err(OtError::Fit { .. })));
    // An error of the noise ends the fit and changes nothing.
    let before = pairs.clone();
    let noise = |at: NoiseRows| {
        if at.batch == 3 { Err(OtError::Empty) } else { at.draw(&Source::default(), 0, Stream::Coupling, 2) }
    };
    assert_eq!(pairs.fit(&good, noise), Err(OtError::Empty));
    assert_eq!(pairs, before);
}

#[test]
fn chi_squared_is_unbiased_for_equal_shares() {
    // 2000 sets of 30 draws among 10 rows of equal probability.
    let draws = Array3::from_shape_fn((2000, 30, 1), |(set, i, _)| {
        let mut rng = Key::new(set as u64, 0, Stream::Estimate).generator(i);
        rand::Rng::random_range(&mut rng, 0..10usize)
    });
    let chi = |set: usize| {
        let mut hits = vec![0; 10];
        draws.slice(s![set, .., 0]).iter().for_each(|j| hits[*j] += 1);
        chi_squared(&hits).unwrap()
    };
    let mean = (0..2000).map(chi).sum::<f64>() / 2000.0;
    // The deviation of one estimate is about sqrt(2 N) / n = 0.15.
    assert!(mean.abs() < 4.0 * 0.15 / 2000f64.sqrt(), "{mean}");
}

/// A fit that is stopped after any batch, and one whose rows are chosen elsewhere, end as a fit in
/// one go does, with and without classes.
#[test]
fn stopped_fits_and_choices_made_elsewhere_change_no_bit() {
    let data = Array2::from_shape_fn((9, 2), |(i, k)| (3.0 * i as f32 + k as f32).sin());
    let options = SemidiscreteOptions { draws: 1, batch_size: 8, ..SemidiscreteOptions::default() };
    let noise = |at: NoiseRows| at.draw::<f32>(&Source::default(), 5, Stream::Coupling, 2).unwrap();
    let classes = [4, 1, 4, 1, 1, 4, 4, 1, 1];
    let metric = Metric::default();
    for (coupling, parts) in [
        (Semidiscrete::new(data.clone(), metric).unwrap(), 1),
        (Semidiscrete::with_classes(data.clone(), &classes, metric).unwrap(), 2),
    ] {
        let mut whole = coupling.clone();
        whole.fit(&options, |at| Ok::<_, OtError>(noise(at))).unwrap();
        assert!(whole.potentials().iter().any(|g| g.abs() > 0.01));
        let mut elsewhere = coupling.fitting(&options, None).unwrap();
        // In the first part, at its end, in the second part, and after the last batch.
        let mut states = Vec::new();
        while let Some(at) = elsewhere.next_rows() {
            if [0, 7, 1999, 2000, 2001, 3999].contains(&at.batches_done) {
                states.push(elsewhere.state());
                // An unfinished fit has averages too.
                let averages: Vec<f64> = elsewhere.state().rows.iter().map(|row| row.average).collect();
                assert_eq!(elsewhere.clone().finish().unwrap(), averages);
            }
            assert_eq!((at.batches, at.part), (2000 * parts, at.batches_done / 2000));
            let x0 = noise(at);
            let by = coupling.clone().with_potentials(&elsewhere.potentials()).unwrap();
            let own = elsewhere.class().map(|class| vec![class; 8]);
            assert_eq!(own.is_some(), parts == 2);
            let rows = by.choose(x0.view(), own.as_deref()).unwrap();
            elsewhere.step_chosen(x0.view(), &rows).unwrap();
        }
        states.push(elsewhere.state());
        assert_eq!(states.len(), if parts == 1 { 4 } else { 7 });
        assert!(matches!(elsewhere.step(data.view()), Err(OtError::Complete)));
        assert_eq!(elsewhere.finish().unwrap(), whole.potentials());
        for state in &states {
            let mut continued = coupling.fitting(&options, Some(state)).unwrap();
            while let Some(at) = continued.next_rows() {
                continued.step(noise(at).view()).unwrap();
            }
            assert_eq!(continued.finish().unwrap(), whole.potentials(), "after {} batches", state.batches_done);
        }
    }
}

#[test]
fn chosen_rows_and_states_that_do_not_fit_are_errors() {
    let coupling = Semidiscrete::with_classes(array![[0.0f32], [1.0], [2.0]], &[0, 1, 0], Metric::default()).unwrap();
    let options = SemidiscreteOptions::default();
    let mut fit = coupling.fitting(&options, None).unwrap();
    let x0 = array![[0.5f32], [0.6]];
    for (rows, says) in
        [(vec![0], "there are 1 for 2 noise rows"), (vec![0, 1], "row 1 is not among"), (vec![0, 9], "row 9")]
    {
        let error = fit.step_chosen(x0.view(), &rows).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let mut state = fit.state();
    state.rows.pop();
    assert!(matches!(coupling.fitting(&options, Some(&state)), Err(OtError::RowPotentials { potentials: 2, rows: 3 })));
    let far = coupling.measure_chosen(4, |_| Ok::<_, OtError>((x0.clone(), vec![1, 1])));
    assert!(far.unwrap_err().to_string().contains("row 1 is not among"));
}
