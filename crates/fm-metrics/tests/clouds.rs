//! Distances between point clouds against POT, SciPy and NumPy (`reference/clouds.py`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::rng::{Key, Stream, normal_rows};
use fm_metrics::MetricError;
use fm_metrics::columns::compare;
use fm_metrics::energy::energy_distance;
use fm_metrics::mmd::{median_distance, mmd};
use fm_metrics::sliced::{sliced_along, sliced_wasserstein, wasserstein_line};
use fm_metrics::two_sample::{Components, nearest_neighbour_accuracy};
use ndarray::{Array2, array};
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/clouds.json")).unwrap()
}

fn table(value: &Value) -> Array2<f64> {
    let rows = value.as_array().unwrap();
    let values = rows.iter().flat_map(|r| r.as_array().unwrap()).map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    Array2::from_shape_vec((rows.len(), values.len() / rows.len()), values).unwrap()
}

fn close(name: &str, got: f64) {
    let want = reference()[name].as_f64().unwrap();
    assert!((got / want - 1.0).abs() < 1e-9, "{name}: {got} instead of {want}");
}

#[test]
fn distances_are_those_of_pot_scipy_and_numpy() {
    let found = reference();
    let [x, y] = ["x", "y"].map(|name| table(&found[name]).mapv(|v| v as f32));
    let directions = table(&found["directions"]);
    close("sliced 1", sliced_along(x.view(), y.view(), 1, directions.view()).unwrap());
    close("sliced 2", sliced_along(x.view(), y.view(), 2, directions.view()).unwrap());
    let first = |z: &Array2<f32>| z.column(0).iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    close("line", wasserstein_line(&first(&x), &first(&y), 2).unwrap());
    close("energy", energy_distance(x.view(), y.view()).unwrap());
    close("median", median_distance(x.view(), y.view()).unwrap());
    close("mmd", mmd(x.view(), y.view(), None).unwrap());
    close("mmd 0.7", mmd(x.view(), y.view(), Some(0.7)).unwrap());
    close("accuracy", nearest_neighbour_accuracy(x.view(), y.view()).unwrap());
    let compared = compare(x.view(), y.view()).unwrap();
    for (got, want) in
        [compared.mean_correlation, compared.variance_correlation].iter().zip(found["means"].as_array().unwrap())
    {
        assert!((got - want.as_f64().unwrap()).abs() < 1e-12);
    }
    // Components are known up to their sign.
    let coordinates = Components::of(x.view(), 2).unwrap().coordinates(x.view()).unwrap();
    for (got, want) in coordinates.iter().zip(&table(&found["components"])) {
        assert!((f64::from(got.abs()) - want.abs()).abs() < 1e-5, "{got} instead of {want}");
    }
}

fn normal(seed: u64, rows: usize, dim: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, dim), normal_rows(Key::new(seed, 0, Stream::Data), rows, dim)).unwrap()
}

/// Sizes around those of the blocks that sums are taken in.
#[test]
fn closed_forms_hold_at_any_size() {
    for n in [255, 256, 257, 700] {
        let (x, y) = (normal(1, n, 2), normal(2, n, 2) + 1.5f32);
        // E|theta . (1.5, 1.5)|^2 over the circle is 1.5^2, plus what samples of one distribution
        // are apart.
        let sw = sliced_wasserstein(x.view(), y.view(), 2, 400, 0).unwrap();
        assert!((sw - 1.5).abs() < 0.2, "{n}: {sw}");
        // E k = (1 + 2 s^2 / h^2)^-1 in the plane for normals of deviation s: 1/3 within for h = 1.
        let same = mmd(x.view(), normal(3, n, 2).view(), Some(1.0)).unwrap();
        assert!(same.abs() < 0.01, "{n}: {same}");
        let shifted = mmd(x.view(), y.view(), Some(1.0)).unwrap();
        let want = 2.0 / 3.0 * (1.0 - (-(2.0 * 1.5f64.powi(2)) / (2.0 * 3.0)).exp());
        assert!((shifted - want).abs() < 0.06, "{n}: {shifted} instead of {want}");
        let accuracy = nearest_neighbour_accuracy(x.view(), normal(4, n, 2).view()).unwrap();
        assert!((accuracy - 0.5).abs() < 0.1, "{n}: {accuracy}");
    }
}

#[test]
fn clouds_that_cannot_be_compared_are_told() {
    let (a, b) = (array![[0.0f32], [1.0]], array![[0.0f32, 1.0], [1.0, 0.0]]);
    assert!(matches!(mmd(a.view(), b.view(), None), Err(MetricError::Dimension { .. })));
    assert!(matches!(sliced_wasserstein(a.view(), b.view(), 2, 10, 0), Err(MetricError::Dimension { .. })));
    assert!(matches!(compare(a.view(), b.view()), Err(MetricError::Dimension { .. })));
    assert!(matches!(nearest_neighbour_accuracy(a.view(), b.view()), Err(MetricError::Dimension { .. })));
    assert!(matches!(sliced_wasserstein(a.view(), a.view(), 2, 0, 0), Err(MetricError::Count { .. })));
    let same = array![[1.0f32], [1.0]];
    assert!(mmd(same.view(), same.view(), None).unwrap_err().to_string().contains("bandwidth"));
    // Kernels of a width whose square is 0, infinite or NaN.
    for bandwidth in [0.0, -1.0, 1e-200, 1e200, f64::NAN, f64::INFINITY] {
        let found = mmd(b.view(), b.view(), Some(bandwidth));
        assert!(matches!(found, Err(MetricError::Bandwidth { .. })), "{bandwidth}: {found:?}");
    }
    assert!(Components::of(a.view(), 1).unwrap().coordinates(b.view()).is_err());
    assert!(matches!(Components::of(a.view(), 0), Err(MetricError::Count { .. })));
    assert!(matches!(Components::of(Array2::<f32>::zeros((3, 0)).view(), 1), Err(MetricError::NoColumns { .. })));
    // Small tables of wide rows have large covariances.
    let wide = Array2::<f32>::zeros((2, 1 << 22));
    assert!(matches!(Components::of(wide.view(), 1), Err(MetricError::Memory { .. })));
}

/// One policy: what is not finite has no distance, and the place is named.
#[test]
fn clouds_that_are_not_finite_are_told_with_their_place() {
    let fine = normal(1, 20, 3);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut broken = fine.clone();
        broken[[13, 2]] = value;
        broken[[15, 0]] = value;
        let (f, b) = (fine.view(), broken.view());
        for (x, y, want) in [(b, f, "samples"), (f, b, "reference"), (b, b, "samples")] {
            let axis = array![[1.0, 0.0, 0.0]];
            for (name, found) in [
                ("energy", energy_distance(x, y)),
                ("sliced", sliced_wasserstein(x, y, 1, 5, 0)),
                ("along", sliced_along(x, y, 2, axis.view())),
                ("mmd", mmd(x, y, Some(1.0))),
                ("mmd, median", mmd(x, y, None)),
                ("median", median_distance(x, y)),
                ("accuracy", nearest_neighbour_accuracy(x, y)),
                ("columns", compare(x, y).map(|c| c.mean_correlation)),
            ] {
                match found {
                    Err(MetricError::NotFinite { set, row: 13, column: 2, .. }) if set == want => {}
                    other => panic!("{name}, {value}: {other:?}"),
                }
            }
        }
        let components = Components::of(f, 2).unwrap();
        assert!(matches!(components.coordinates(b), Err(MetricError::NotFinite { row: 13, column: 2, .. })));
        assert!(matches!(Components::of(b, 2), Err(MetricError::NotFinite { row: 13, column: 2, .. })));
    }
}
