//! Bad input to evaluations, spaces and sequences of fm-metrics, and to fm-data's tables of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_data::Preprocess;
use fm_data::columns::Columns;
use fm_data::points::toy;
use fm_data::{npy, series, table};
use fm_metrics::MetricError;
use fm_metrics::estimate::Estimate;
use fm_metrics::evaluation::{self, Evaluation, SampleMetric};
use fm_metrics::series::{autocorrelation, spectrum};
use fm_metrics::space::{Labelled, Space};
use hostile::Calls;
use ndarray::Array2;
use std::path::Path;

const NUMBERS: [f64; 8] = [0.0, -1.0, 5e-324, 1e300, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
const COUNTS: [usize; 5] = [0, 1, 2, usize::MAX - 1, usize::MAX];
/// The most rows that an array may have, without columns.
const MOST: usize = isize::MAX as usize;

fn every() -> Evaluation<'static, f64> {
    let own = SampleMetric::new("own", |x, _| Ok(x.sum()));
    let failing = SampleMetric::new("failing", |_, _| Err::<f64, _>(MetricError::Own { problem: "a\nb".repeat(1000) }));
    let mut metrics = vec![
        evaluation::energy_distance(),
        evaluation::sliced_wasserstein(),
        evaluation::mmd(),
        evaluation::kid(),
        evaluation::frechet_distance(),
        evaluation::nearest_neighbour_accuracy(),
        evaluation::copy_rate(),
        own,
        failing,
    ];
    metrics.extend(COUNTS.map(evaluation::precision_recall));
    Evaluation::new(metrics)
}

/// All numbers and error texts of a report, each text short.
fn read(report: &evaluation::Report) -> usize {
    let texts = report.errors().map(|(_, error)| error.to_string());
    assert!(texts.into_iter().all(|text| text.chars().count() <= 300));
    report.quantities().map(|q| q.estimate.standard_error().map_or(0, |_| 1)).sum::<usize>() + report.to_string().len()
}

#[test]
fn evaluations() {
    let mut calls = Calls::new("fm-metrics evaluations");
    let shapes = [(0, 0), (0, 2), (1, 2), (2, 2), (5, 2), (5, 3), (2, 0), (MOST, 0), (0, MOST)];
    for a in shapes {
        for b in shapes {
            let (x, y) = (Array2::<f64>::zeros(a), Array2::<f64>::ones(b));
            calls.survives(&format!("Evaluation::run of {a:?} and {b:?}"), || read(&every().run(&x, &y)));
        }
    }
    for v in NUMBERS {
        let (x, good) =
            (Array2::from_shape_fn((5, 2), |(i, _)| if i == 1 { v } else { i as f64 }), Array2::ones((5, 2)));
        for (x, y) in [(&x, &good), (&good, &x), (&x, &x)] {
            calls.survives(&format!("Evaluation::run of {v:e}"), || read(&every().run(x, y)));
        }
        if !v.is_finite() {
            let report = every().run(&x, &good);
            assert!(report.value("energy_distance").is_none() && report.value("own").is_none(), "{v}");
        }
        for (low, high) in [(v, 1.0), (0.0, v), (v, v)] {
            calls.survives("Space::pixels", || Space::pixels(&[2], low, high).map(|space| space.to_string()));
            let space = Space::pixels(&[2], low, high);
            calls.survives("Labelled::new", || {
                space.and_then(|space| Labelled::new("samples", good.view(), space)).is_ok()
            });
        }
        if !v.is_finite() {
            calls.refuses("Space::pixels", || Space::pixels(&[2], v, 1.0));
            calls.refuses("Labelled::new", || Labelled::new("samples", x.view(), Space::pixels(&[2], 0.0, 1e9)?));
        }
        calls.survives("Estimate::new", || Estimate::new(v, Some(v)).standard_error());
    }
    for shape in [&[][..], &[0], &[usize::MAX], &[usize::MAX, 2], &[1 << 32], &[2, 0, 3]] {
        let space = Space::pixels(shape, 0.0, 1.0);
        if shape.is_empty() {
            calls.survives("Space::pixels", || space.map(|space| space.width()));
        } else {
            calls.refuses("Space::pixels", || space);
        }
    }
    for count in COUNTS {
        let (a, b) = (Space::features("a".repeat(1000).as_str(), count), Space::features("b\nc", count));
        calls.refuses("Space::same", || a.same(&b));
        calls.survives("Space::width", || (a.width(), a.to_string()));
        let x = Array2::<f32>::zeros((2, 3));
        calls.refuses("Labelled::new", || Labelled::new("samples", x.view(), a.clone()));
        let of = |space: Space| Labelled::new("samples", x.view(), space).unwrap();
        let (left, right) = (of(Space::features("a", 3)), of(Space::pixels(&[3], 0.0, 1.0).unwrap()));
        calls.refuses("Labelled::same_space", || left.same_space(&right));
        let run = || Evaluation::new([evaluation::energy_distance()]).run_in(&left, &right);
        calls.survives("Evaluation::run_in", || {
            assert!(run().errors().count() == 1 && !left.space().to_string().is_empty())
        });
    }
    calls.finish(150);
}

#[test]
fn sequences() {
    let mut calls = Calls::new("sequences");
    for shape in [(0, 0), (0, 4), (1, 4), (3, 4), (3, 0), (MOST, 0), (0, MOST)] {
        let x = Array2::<f64>::ones(shape);
        for length in COUNTS {
            for lags in COUNTS {
                let name = format!("autocorrelation of {shape:?}, length {length}, lags {lags}");
                calls.survives(&name, || autocorrelation(x.view(), length, lags).map_err(|e| e.to_string()));
            }
            calls.survives("spectrum", || spectrum(x.view(), length).map_err(|e| e.to_string()));
            for stride in COUNTS {
                let name = format!("windows of {shape:?}, length {length}, stride {stride}");
                calls.survives(&name, || series::windows(x.view(), length, stride).map_err(|e| e.to_string()));
                if length == 0 || stride == 0 {
                    calls.refuses(&name, || series::windows(x.view(), length, stride));
                }
            }
        }
    }
    let ecg = table::ecg().unwrap();
    for length in COUNTS {
        for stride in COUNTS {
            calls.survives("Table::windows", || ecg.windows(length, stride).map_err(|e| e.to_string()));
        }
    }
    for v in NUMBERS {
        let x = Array2::from_elem((3, 4), v);
        calls.survives("autocorrelation", || autocorrelation(x.view(), 2, 1).map_err(|e| e.to_string()));
        calls.survives("spectrum", || spectrum(x.view(), 4).map_err(|e| e.to_string()));
        if !v.is_finite() {
            calls.refuses("autocorrelation", || autocorrelation(x.view(), 2, 1));
            calls.refuses("spectrum", || spectrum(x.view(), 4));
        }
        for preprocess in ["none", "standardize", "log1p-standardize", "minmax", "quantile"] {
            let Ok(preprocess) = preprocess.parse::<Preprocess>() else { continue };
            calls.survives("Columns::clipped", || {
                let columns = Columns::clipped(&ecg, preprocess, v).ok()?;
                Some((
                    columns.describe(),
                    columns.is_affine(),
                    columns.apply(Array2::from_elem((2, 1), v).view()).is_ok(),
                ))
            });
            calls.survives("Preprocess::is_log1p", || preprocess.is_log1p());
        }
    }
    calls.refuses("Table::in_order", || ecg.in_order(&["x".repeat(1000), String::new()]));
    calls.refuses("Table::in_order", || ecg.in_order(&[]));
    calls.survives("Table::has_names", || ecg.has_names());
    for name in ["", "moons:", "moons:noise=nan", "moons:noise=-1", "spiral:turns=1e300", "x\ny"] {
        for rows in [0, 1, 3] {
            calls.survives("toy", || toy(name, rows, u64::MAX).map_err(|e| e.to_string()));
        }
        calls.survives("Toy::of_older_runs", || fm_data::points::Toy::of_older_runs(name).and_then(|toy| toy.recipe()));
    }
    calls.refuses("toy", || toy("moons", usize::MAX, 0));
    calls.survives("npy::sequences", || npy::sequences(Path::new("/")).is_ok());
    calls.survives("quoted", || fm_data::columns::quoted("a,\"b\"\n\0"));
    calls.finish(200);
}
