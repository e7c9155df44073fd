//! Statistics of sequences against SciPy and statsmodels:
//! `python3 crates/fm-metrics/tests/reference/series.py` makes the reference.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_metrics::series::{autocorrelation, compare, spectrum};
use ndarray::Array2;
use serde_json::Value;

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

#[test]
fn statistics_equal_scipys_and_statsmodels() {
    let reference: Vec<Value> = serde_json::from_str(include_str!("reference/series.json")).unwrap();
    for case in &reference {
        let (x, length) = (matrix(&case["x"]), case["length"].as_u64().unwrap() as usize);
        let close = |got: &Array2<f64>, want: &Array2<f64>| {
            assert_eq!(got.dim(), want.dim());
            let most = want.iter().fold(0f64, |most, v| most.max(v.abs()));
            assert!((got - want).iter().all(|d| d.abs() < 1e-12 * most), "{got}\n{want}");
        };
        close(&autocorrelation(x.view(), length, length / 2).unwrap(), &matrix(&case["autocorrelation"]));
        close(&spectrum(x.view(), length).unwrap(), &matrix(&case["spectrum"]));
    }
}

#[test]
fn a_set_is_apart_from_another_by_what_differs() {
    let wave = |scale: f64, period: f64| {
        Array2::from_shape_fn((20, 32), |(row, t)| {
            scale * (std::f64::consts::TAU * t as f64 / period + row as f64).sin()
        })
    };
    let same = compare(wave(1.0, 8.0).view(), wave(1.0, 8.0).view(), 32).unwrap();
    assert_eq!((same.autocorrelation, same.spectrum), (0.0, 0.0));
    // Ten times the amplitude is 20 dB, and the same autocorrelation.
    let louder = compare(wave(10.0, 7.3).view(), wave(1.0, 7.3).view(), 32).unwrap();
    assert!(louder.autocorrelation < 1e-12 && (louder.spectrum - 20.0).abs() < 1e-9, "{louder:?}");
    let slower = compare(wave(1.0, 16.0).view(), wave(1.0, 8.0).view(), 32).unwrap();
    assert!(slower.autocorrelation > 0.5, "{slower:?}");
    for (x, y, length) in [
        (wave(1.0, 8.0), wave(1.0, 8.0), 5),
        (wave(1.0, 8.0), wave(1.0, 8.0), 0),
        (wave(f64::NAN, 8.0), wave(1.0, 8.0), 32),
        (Array2::zeros((0, 32)), wave(1.0, 8.0), 32),
    ] {
        assert!(compare(x.view(), y.view(), length).is_err());
    }
    // A constant channel has no correlation, and no infinite level.
    let still = compare(Array2::ones((4, 8)).view(), Array2::ones((4, 8)).view(), 8).unwrap();
    assert_eq!((still.autocorrelation, still.spectrum), (0.0, 0.0));
}
