//! Metrics of f64 points that f32 cannot tell apart, against POT, SciPy and scikit-learn
//! (`reference/doubles.py`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_metrics::MetricError;
use fm_metrics::energy::energy_distance;
use fm_metrics::frechet::frechet;
use fm_metrics::kid::polynomial_mmd;
use fm_metrics::manifold::manifold;
use fm_metrics::mmd::{median_distance, mmd};
use fm_metrics::moments::Moments;
use fm_metrics::ndarray::{Array2, ArrayView2, array, s};
use fm_metrics::nearest::{copy_rate, nearest};
use fm_metrics::palette::palette_error;
use fm_metrics::sliced::{sliced_along, wasserstein_line};
use fm_metrics::two_sample::{Components, nearest_neighbour_accuracy};
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/doubles.json")).unwrap()
}

fn table(value: &Value) -> Array2<f64> {
    let rows = value.as_array().unwrap();
    let values = rows.iter().flat_map(|r| r.as_array().unwrap()).map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    Array2::from_shape_vec((rows.len(), values.len() / rows.len()), values).unwrap()
}

fn sides() -> (Array2<f64>, Array2<f64>) {
    (table(&reference()["x"]), table(&reference()["y"]))
}

fn close(name: &str, got: f64) {
    let want = reference()[name].as_f64().unwrap();
    // Coordinates have 1e-13 of their spread less than all digits of f64.
    assert!((got / want - 1.0).abs() < 1e-6, "{name}: {got} instead of {want}");
}

#[test]
fn distances_are_those_of_pot_and_scipy() {
    let (x, y) = sides();
    close("energy", energy_distance(x.view(), y.view()).unwrap());
    close("sliced", sliced_along(x.view(), y.view(), 2, table(&reference()["directions"]).view()).unwrap());
    close("median", median_distance(x.view(), y.view()).unwrap());
    close("mmd", mmd(x.view(), y.view(), None).unwrap());
    let [a, b] = [&x, &y].map(|z| z.column(0).to_vec());
    close("line", wasserstein_line(&a, &b, 1).unwrap());
    // SciPy counts each point's pair with itself, too.
    let (x, y) = (x.slice(s![.., ..1]), y.slice(s![.., ..1]));
    let within = |z: ArrayView2<'_, f64>| {
        let all: f64 = z.iter().flat_map(|a| z.iter().map(move |b| (a - b).abs())).sum();
        all / (z.nrows() * z.nrows()) as f64 / (z.nrows() - 1) as f64
    };
    close("energy on a line", energy_distance(x, y).unwrap() + within(x) + within(y));
}

#[test]
fn neighbours_and_features_are_those_of_scikit_learn() {
    let (x, y) = sides();
    let found = manifold(x.view(), y.view(), 3).unwrap();
    close("precision", found.precision.value);
    close("recall", found.recall.value);
    close("density", found.density.value);
    close("coverage", found.coverage.value);
    let hits: Vec<usize> = nearest(x.view(), y.view()).unwrap().iter().map(|hit| hit.index).collect();
    let want =
        reference()["nearest"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect::<Vec<_>>();
    assert_eq!(hits, want);
    let gaussian = |z: &Array2<f64>| {
        let mut moments = Moments::like(z.view()).unwrap();
        moments.add(z.view()).unwrap();
        moments.gaussian().unwrap()
    };
    close("frechet", frechet(&gaussian(&x), &gaussian(&y)).unwrap());
    // Features of size 1: the kernel has a unit.
    let [scaled_x, scaled_y] = [&x, &y].map(|z| (z - 1000.3) / 1e-6);
    close("polynomial mmd", polynomial_mmd(scaled_x.view(), scaled_y.view()).unwrap());
    let coordinates = Components::of(x.view(), 1).unwrap().coordinates(x.view()).unwrap();
    for (got, want) in coordinates.iter().zip(reference()["component"].as_array().unwrap()) {
        assert!((got.abs() - want.as_f64().unwrap()).abs() < 1e-11, "{got} instead of {want}");
    }
}

/// To f32 both sides are one point.
#[test]
fn singles_would_see_one_point() {
    let (x, y) = sides();
    let [single_x, single_y] = [&x, &y].map(|z| z.mapv(|v| v as f32));
    assert_eq!(energy_distance(single_x.view(), single_y.view()).unwrap(), 0.0);
    assert_eq!(copy_rate(x.view(), x.view()).unwrap().rate, 1.0);
    assert_eq!(copy_rate(y.view(), x.view()).unwrap().rate, 0.0);
    let apart = nearest_neighbour_accuracy((&x + 1e-3).view(), x.view()).unwrap();
    assert_eq!(apart, 1.0);
    let line = Components::of(array![[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]].view(), 1).unwrap();
    let place: f64 = line.coordinates(array![[3.0 + 1e-10, 0.0]].view()).unwrap()[(0, 0)];
    assert!((place.abs() - (2.0 + 1e-10)).abs() < 1e-14, "{place}");
    let colours = palette_error(x.view(), 40).unwrap();
    assert!(colours < 1e-24, "{colours}");
}

fn place(found: Result<f64, MetricError>) -> (usize, usize) {
    match found {
        Err(MetricError::NotFinite { row, column, .. }) => (row, column),
        other => panic!("{other:?}"),
    }
}

/// Squares of 1e-9 are below the rounding error of the squares of 0.3, which rounded means would
/// leave in every coordinate.
#[test]
fn neighbours_a_billionth_apart_are_told_apart() {
    let line = |shift: f64| Array2::from_shape_fn((300, 1), |(i, _)| 1000.3 + 1e-9 * (((7 * i) % 300) as f64 + shift));
    let (samples, reference) = (line(0.2), line(0.0));
    let hits = nearest(samples.view(), reference.view()).unwrap();
    assert!(hits.iter().enumerate().all(|(i, hit)| hit.index == i && (hit.distance - 2e-10).abs() < 1e-12));
    let found = manifold(samples.view(), reference.view(), 1).unwrap();
    assert_eq!((found.precision.value, found.coverage.value), (1.0, 1.0));
}

/// Sums over their squares and cubes would not be finite.
#[test]
fn doubles_of_absurd_size_are_errors() {
    let (x, mut y) = sides();
    y[[31, 4]] = -1e200;
    for found in [
        energy_distance(x.view(), y.view()),
        mmd(x.view(), y.view(), None),
        polynomial_mmd(x.view(), y.view()),
        manifold(x.view(), y.view(), 3).map(|m| m.recall.value),
        nearest(y.view(), x.view()).map(|_| 0.0),
        nearest_neighbour_accuracy(x.view(), y.view()),
        copy_rate(x.view(), y.view()).map(|c| c.rate),
    ] {
        assert_eq!(place(found), (31, 4));
    }
    // Bytes are points, too.
    let pixels = Array2::from_shape_fn((10, 2), |(i, j)| (25 * i + j) as u8);
    let floats = pixels.mapv(f32::from);
    let both = [energy_distance(pixels.view(), pixels.view()), energy_distance(floats.view(), floats.view())];
    let [bytes, singles] = both.map(|found| found.unwrap());
    assert_eq!(bytes, singles);
    assert_eq!(palette_error(pixels.view(), 3).unwrap(), palette_error(floats.view(), 3).unwrap());
}
