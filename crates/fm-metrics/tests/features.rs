//! Distances between features against pytorch-fid, clean-fid, torchmetrics and prdc, and resampling
//! against Pillow: `reference/features.py` recorded them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::rng::{Key, Stream, normal_rows};
use fm_metrics::MetricError;
use fm_metrics::estimate::group;
use fm_metrics::frechet::{estimate, frechet};
use fm_metrics::inception_score::inception_score;
use fm_metrics::kid::{Subsets, kid, polynomial_mmd};
use fm_metrics::manifold::manifold;
use fm_metrics::moments::{Gaussian, Moments};
use fm_metrics::resize::bicubic;
use fm_metrics::statistics;
use ndarray::{Array2, ArrayView2, Axis, s};
use serde_json::Value;
use std::path::Path;

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/features.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn table(value: &Value) -> Array2<f32> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    let values = rows.iter().flatten().map(|v| *v as f32).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), values).unwrap()
}

fn gaussian(rows: ArrayView2<'_, f32>) -> Gaussian {
    let mut moments = Moments::like(rows.slice(s![..1, ..])).unwrap();
    for part in rows.axis_chunks_iter(Axis(0), 7) {
        moments.add(part).unwrap();
    }
    moments.gaussian().unwrap()
}

#[track_caller]
fn close(got: f64, want: &Value, tolerance: f64) {
    let want = want.as_f64().unwrap();
    assert!((got / want - 1.0).abs() < tolerance, "{got} instead of {want}");
}

fn agrees(found: &Value, subsets: &[(Vec<usize>, Vec<usize>)], x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) {
    close(frechet(&gaussian(x), &gaussian(y)).unwrap(), &found["frechet"], 1e-9);
    close(frechet(&gaussian(y), &gaussian(x)).unwrap(), &found["frechet"], 1e-9);
    for ((a, b), want) in subsets.iter().zip(found["kid"].as_array().unwrap()) {
        close(polynomial_mmd(x.select(Axis(0), a).view(), y.select(Axis(0), b).view()).unwrap(), want, 1e-12);
    }
    let n = y.nrows();
    let whole = kid(x.slice(s![..n, ..]), y, &Subsets { count: 1, size: n, seed: 3 }).unwrap();
    close(whole.value, &found["whole_kid"], 1e-12);
    for k in [3, 5] {
        let (m, want) = (manifold(x, y, k).unwrap(), &found["prdc"][k.to_string()]);
        for (got, name) in
            [(m.precision, "precision"), (m.recall, "recall"), (m.density, "density"), (m.coverage, "coverage")]
        {
            close(got.value, &want[name], 1e-12);
        }
    }
}

#[test]
fn random_features_are_as_far_apart_as_the_field_says() {
    let found = reference();
    let rows = |v: &Value| numbers(v).iter().map(|i| *i as usize).collect::<Vec<_>>();
    let subsets: Vec<_> = found["subsets"].as_array().unwrap().iter().map(|s| (rows(&s[0]), rows(&s[1]))).collect();
    agrees(&found["random"], &subsets, table(&found["x"]).view(), table(&found["y"]).view());
}

/// Means over 2x2 pixels: correlated, skewed, some nearly constant.
#[test]
fn so_are_those_of_real_digits() {
    let digits = fm_data::digits::load();
    let pooled = |i: usize, j: usize| {
        let pixel = |dy: usize, dx: usize| f32::from(digits.image(i)[8 * (2 * (j / 4) + dy) + 2 * (j % 4) + dx]);
        (pixel(0, 0) + pixel(0, 1) + pixel(1, 0) + pixel(1, 1)) / 4.0
    };
    let all = Array2::from_shape_fn((digits.len(), 16), |(i, j)| pooled(i, j));
    let some = |keep: &dyn Fn(u16) -> bool| {
        all.select(Axis(0), &(0..digits.len()).filter(|i| keep(digits.labels[*i])).collect::<Vec<_>>())
    };
    let subsets = vec![((0..800).step_by(8).collect(), (0..700).step_by(7).collect())];
    agrees(&reference()["digits"], &subsets, some(&|l| l < 5).view(), some(&|l| l >= 5).view());
}

#[test]
fn inception_scores_are_torchmetricss() {
    let found = reference();
    let logits = table(&found["logits"]);
    for splits in [2, 4] {
        let (got, want) =
            (inception_score(logits.view(), splits).unwrap(), numbers(&found["scores"][splits.to_string()]));
        assert!(
            (got.mean / want[0] - 1.0).abs() < 1e-6 && (got.deviation.unwrap() / want[1] - 1.0).abs() < 1e-5,
            "{got:?} {want:?}"
        );
    }
}

#[test]
fn statistics_come_from_numpy_and_are_the_same_mean_and_covariance() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/statistics.npz");
    let (theirs, ours) = (statistics::read(&path).unwrap(), gaussian(table(&reference()["x"]).view()));
    assert!((&theirs.mean - &ours.mean).iter().all(|d| d.abs() < 1e-12));
    assert!((&theirs.covariance - &ours.covariance).iter().all(|d| d.abs() < 1e-12));
    assert_eq!((theirs.count, ours.count), (None, Some(60)));
    let dir = tempfile::tempdir().unwrap();
    let told = |name: &str, bytes: &[u8], says: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = statistics::read(&path).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(says) && error.contains("numpy.savez"), "{error}");
    };
    told("text.npz", b"no zip", "is not a zip archive");
    // Two members of one name, made of `count` and another one of its length.
    let mut twice = statistics::write(&ours).unwrap();
    let places: Vec<usize> = (0..twice.len() - 9).filter(|i| twice[*i..].starts_with(b"count.npy")).collect();
    assert_eq!(places.len(), 2);
    places.iter().for_each(|i| twice[*i..*i + 9].copy_from_slice(b"sigma.npy"));
    told("twice.npz", &twice, "two arrays of one name");
    let mut one = ours.clone();
    one.covariance = Array2::eye(5);
    told("shapes.npz", &statistics::write(&one).unwrap(), "mu is of shape [6] and sigma of [5, 5]");
    one = ours;
    one.mean[2] = f64::NAN;
    told("nan.npz", &statistics::write(&one).unwrap(), "mu[2] is NaN, which is not finite");
}

#[test]
fn pillows_bicubic_to_the_last_bit() {
    for case in reference()["resized"].as_array().unwrap() {
        let image = table(&case["image"]);
        let to = numbers(&case["to"]);
        let to = (to[0] as usize, to[1] as usize);
        let out = bicubic(image.as_slice().unwrap(), image.dim(), to).unwrap();
        assert_eq!(out.len(), to.0 * to.1);
        for (row, want) in numbers(&case["rows"]).iter().zip(case["values"].as_array().unwrap()) {
            let got = &out[*row as usize * to.1..(*row as usize + 1) * to.1];
            let got: Vec<f64> = got.iter().map(|v| f64::from(v.clamp(0.0, 255.0))).collect();
            assert_eq!(got, numbers(want), "row {row} of {to:?}");
        }
    }
}

/// Samples of one distribution, drawn again and again: the error that is reported is how far the
/// numbers scatter.
#[test]
fn errors_are_what_fresh_samples_scatter_by() {
    let (rows, dim, groups) = (400, 4, 20);
    let normal = |seed: u64, n: usize| {
        Array2::from_shape_vec((n, dim), normal_rows(Key::new(seed, 0, Stream::Data), n, dim)).unwrap()
    };
    let real = normal(1000, 4000);
    let reference = gaussian(real.view());
    let (mut distances, mut apart, mut over) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..60 {
        let x = normal(seed, rows) * 1.3;
        let part = |k: usize| {
            let mut moments = Moments::like(real.slice(s![..9, ..])).unwrap();
            moments.add(x.slice(s![group(rows, groups, k), ..])).unwrap();
            moments
        };
        distances.push(estimate(&reference, &(0..groups).map(part).collect::<Vec<_>>()).unwrap());
        let kid = |count| kid(x.view(), real.view(), &Subsets { count, size: 50, seed }).unwrap().estimate();
        apart.push(kid(8));
        over.push(kid(40));
    }
    for (all, above) in [(distances, 1.3), (apart, 1.3), (over, 1.7)] {
        let mean = |f: &dyn Fn(usize) -> f64| (0..all.len()).map(f).sum::<f64>() / all.len() as f64;
        let centre = mean(&|i| all[i].value);
        let scatter = mean(&|i| (all[i].value - centre).powi(2)).sqrt();
        let told = mean(&|i| all[i].error);
        // 60 of them tell their scatter to a tenth.
        assert!((0.75..above).contains(&(told / scatter)), "told {told}, scatter {scatter}");
    }
}

#[test]
fn what_cannot_be_compared_is_told() {
    let (x, y) = (Array2::<f32>::zeros((9, 2)), Array2::<f32>::zeros((9, 3)));
    assert!(matches!(kid(x.view(), y.view(), &Subsets::default()), Err(MetricError::Dimension { left: 2, right: 3 })));
    assert!(matches!(manifold(x.view(), y.view(), 3), Err(MetricError::Dimension { .. })));
    assert!(matches!(manifold(x.view(), x.view(), 9), Err(MetricError::TooFew { least: 10, got: 9, .. })));
    assert_eq!(inception_score(x.view(), 10).unwrap().splits, 4);
    let mut broken = x.clone();
    broken[[4, 1]] = f32::NAN;
    let place = |e: MetricError| e.to_string().contains("row 4, column 1 (from 0) is NaN");
    assert!(place(kid(x.view(), broken.view(), &Subsets::default()).unwrap_err()));
    assert!(place(manifold(broken.view(), x.view(), 3).unwrap_err()));
    assert!(place(inception_score(broken.view(), 2).unwrap_err()));
    assert!(place(Moments::like(x.view()).unwrap().add(broken.view()).unwrap_err()));
    assert!(place(polynomial_mmd(x.view(), broken.view()).unwrap_err()));
    assert!(matches!(manifold(x.view(), x.view(), usize::MAX), Err(MetricError::TooFew { .. })));
    assert!(matches!(manifold(x.view(), x.view(), 0), Err(MetricError::Count { .. })));
    assert!(matches!(inception_score(x.view(), 0), Err(MetricError::Count { .. })));
    for count in [0, usize::MAX] {
        let subsets = Subsets { count, ..Subsets::default() };
        assert!(matches!(kid(x.view(), x.view(), &subsets), Err(MetricError::Count { .. })));
    }
    // A matrix of kernels of two million rows.
    let many = Array2::<f32>::zeros((2 << 20, 1));
    assert!(matches!(polynomial_mmd(many.view(), many.view()), Err(MetricError::Memory { .. })));
    let error = Moments::like(x.view()).unwrap().gaussian().unwrap_err().to_string();
    assert!(error.contains("2 features needs more than 2 samples, got 0"), "{error}");
}
