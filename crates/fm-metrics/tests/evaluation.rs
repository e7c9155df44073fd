//! A list of metrics as one report.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::rng::{Key, Stream, normal_rows};
use fm_metrics::estimate::Estimate;
use fm_metrics::evaluation::{
    Evaluation, Quantity, SampleMetric, copy_rate, energy_distance, frechet_distance, kid, mmd,
    nearest_neighbour_accuracy, precision_recall, sliced_wasserstein,
};
use fm_metrics::manifold::manifold;
use fm_metrics::ndarray::{Array2, array};
use fm_metrics::space::{Labelled, Space};
use fm_metrics::{MetricError, energy, frechet, moments, nearest, sliced, two_sample};

fn normal(step: u64, rows: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows, 3), normal_rows(Key::new(9, step, Stream::Data), rows, 3)).unwrap()
}

#[test]
fn every_named_metric_is_its_function() {
    let (samples, reference) = (normal(0, 60) + 0.3, normal(1, 50));
    let (x, y) = (samples.view(), reference.view());
    let all = [
        energy_distance(),
        sliced_wasserstein(),
        mmd(),
        kid(),
        frechet_distance(),
        precision_recall(5),
        nearest_neighbour_accuracy(),
        copy_rate(),
    ];
    let report = Evaluation::new(all).run(x, y);
    assert_eq!(report.errors().count(), 0);
    let gaussian = |rows| {
        let mut sums = moments::Moments::like(rows).unwrap();
        sums.add(rows).unwrap();
        sums.gaussian().unwrap()
    };
    let shapes = manifold(x, y, 5).unwrap();
    let want = [
        ("energy_distance", energy::energy_distance(x, y).unwrap()),
        ("sliced_wasserstein", sliced::sliced_wasserstein(x, y, 2, 500, 0).unwrap()),
        ("mmd", fm_metrics::mmd::mmd(x, y, None).unwrap()),
        ("kid", fm_metrics::kid::kid(x, y, &fm_metrics::kid::Subsets::default()).unwrap().value),
        ("frechet_distance", frechet::frechet(&gaussian(y), &gaussian(x)).unwrap()),
        ("precision", shapes.precision.value),
        ("recall", shapes.recall.value),
        ("density", shapes.density.value),
        ("coverage", shapes.coverage.value),
        ("nearest_neighbour_accuracy", two_sample::nearest_neighbour_accuracy(x, y).unwrap()),
        ("copy_rate", nearest::copy_rate(x, y).unwrap().rate),
    ];
    let got: Vec<(&str, f64)> = report.quantities().map(|q| (q.name.as_str(), q.estimate.value)).collect();
    assert_eq!(got, want);
    let recall = report.quantities().find(|q| q.name == "recall").unwrap();
    assert_eq!(recall.estimate.error, shapes.recall.error);
}

/// Errors of some metrics stand between the numbers of the others, as text and as data.
#[test]
fn a_metric_that_fails_says_why_and_the_others_go_on() {
    let few = array![[0.0f64], [2.0]];
    let factor = 3.0;
    let metrics = [
        frechet_distance(),
        SampleMetric::new("range", |x, y| Ok(factor * (y[(1, 0)] - x[(0, 0)]))),
        SampleMetric::new("never", |_, _| Err::<f64, _>(MetricError::Own { problem: "no\nluck".into() })),
        energy_distance(),
        SampleMetric::new("pair", |_, _| {
            let quantity =
                |name: &str, value, error| Quantity { name: name.into(), estimate: Estimate { value, error } };
            Ok(vec![quantity("small", 1.5e-7, 0.25), quantity("large", 2e9, f64::NAN)])
        }),
        precision_recall(2),
    ];
    let report = Evaluation::new(metrics).run(few.view(), few.view());
    assert_eq!(report.entries.len(), 6);
    assert_eq!((report.value("range"), report.value("large")), (Some(6.0), Some(2e9)));
    assert_eq!(report.value("never"), None);
    let failed: Vec<&str> = report.errors().map(|(name, _)| name).collect();
    assert_eq!(failed, ["never", "precision_recall"]);
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 7, "{text}");
    assert_eq!(lines[1], "range             6");
    assert_eq!(lines[2], "never             left out: cannot compute a metric: no luck; see its definition");
    assert_eq!(lines[4], "small             1.5e-7 +- 0.25");
    assert_eq!(lines[5], "large             2e9");
    assert!(lines[6].starts_with("precision_recall  left out: cannot compute precision and recall"), "{text}");
    let data = serde_json::to_value(&report).unwrap();
    assert_eq!(data["range"], serde_json::json!({ "value": 6.0 }));
    assert_eq!(data["small"], serde_json::json!({ "value": 1.5e-7, "standard_error": 0.25 }));
    assert!(data["precision_recall"]["error"].as_str().unwrap().contains("at least 3 points"));
    let keys = serde_json::to_string(&report).unwrap();
    assert!(keys.find("frechet_distance") < keys.find("range") && keys.find("range") < keys.find("never"), "{keys}");
    let own = SampleMetric::new("difference", |x, y| Ok((&x - &y).sum()));
    let report = Evaluation::new([own]).run(&few, &array![[0.0, 1.0, 2.0]]);
    assert!(matches!(report.errors().next(), Some(("difference", MetricError::Dimension { left: 1, right: 3 }))));
    let nothing = Evaluation::<f32>::new([]).run(&array![[0.0f32]], &array![[0.0f32]]);
    assert_eq!((nothing.to_string(), nothing.entries.len()), (String::new(), 0));
}

/// Rows that some metrics cannot use: equal ones, one held-out row, and numbers that are undefined.
#[test]
fn one_metric_never_ends_an_evaluation() {
    let all = || {
        [
            energy_distance(),
            sliced_wasserstein(),
            mmd(),
            kid(),
            frechet_distance(),
            precision_recall(5),
            nearest_neighbour_accuracy(),
            copy_rate(),
            SampleMetric::new("correlation", |x, y| Ok(fm_metrics::columns::compare(x, y)?.mean_correlation)),
            SampleMetric::new("infinite", |_, _| Ok(f64::INFINITY)),
        ]
    };
    let left_out = |x: &Array2<f32>, y: &Array2<f32>| -> Vec<String> {
        let report = Evaluation::new(all()).run(x, y);
        assert_eq!(report.entries.len(), 10);
        let text = report.to_string();
        assert!(report.errors().all(|(name, error)| text.contains(name) && error.to_string().len() <= 300), "{text}");
        assert!(report.quantities().all(|q| q.estimate.value.is_finite()), "{text}");
        report.errors().map(|(name, _)| name.to_owned()).collect()
    };
    let equal = Array2::<f32>::ones((40, 3));
    assert_eq!(left_out(&equal, &equal), ["mmd", "correlation", "infinite"]);
    let fine = normal(0, 60);
    let one = normal(1, 1);
    let few = ["energy_distance", "mmd", "kid", "frechet_distance", "precision_recall", "nearest_neighbour_accuracy"];
    for (x, y) in [(&fine, &one), (&one, &fine)] {
        let names = left_out(x, y);
        assert!(few.iter().all(|name| names.iter().any(|n| n == name)), "{names:?}");
        assert!(!names.iter().any(|n| n == "sliced_wasserstein"), "{names:?}");
    }
    let text = Evaluation::new([energy_distance()]).run(&fine, &one).to_string();
    assert!(text.contains("left out") && text.contains("got 1 reference rows; give more reference rows"), "{text}");
    let text = Evaluation::new([energy_distance()]).run(&one, &fine).to_string();
    assert!(text.contains("got 1 samples; give more samples"), "{text}");
    let mut broken = fine.clone();
    broken[[3, 1]] = f32::NAN;
    assert_eq!(left_out(&broken, &fine).len(), 10);
    assert_eq!(left_out(&Array2::zeros((0, 3)), &fine).len(), 10);
    let report = Evaluation::new([SampleMetric::new("infinite", |_, _| Ok(f64::INFINITY))]).run(&fine, &fine);
    assert!(matches!(report.errors().next(), Some(("infinite", MetricError::Undefined { .. }))));
}

/// 28 x 28 against 8 x 8, and bytes against digits: an error in every metric, with both widths.
#[test]
fn every_metric_compares_one_space() {
    let (wide, small) = (Array2::<f32>::ones((30, 784)), Array2::<f32>::ones((30, 64)));
    let all = || {
        [
            energy_distance(),
            sliced_wasserstein(),
            mmd(),
            kid(),
            frechet_distance(),
            precision_recall(5),
            nearest_neighbour_accuracy(),
            copy_rate(),
        ]
    };
    let report = Evaluation::new(all()).run(&wide, &small);
    assert_eq!(report.errors().count(), 8);
    assert!(report.errors().all(|(_, e)| e.to_string().contains("784") && e.to_string().contains("64")), "{report}");
    let rows = |high: f32| normal(3, 30).mapv(|v| (v.abs() * high / 4.0).min(high));
    let (bytes, digits) = (rows(255.0), rows(16.0));
    let of = |rows, high| Labelled::new("samples", rows, Space::pixels(&[1, 3], 0.0, high).unwrap());
    let (b, d) = (of(bytes.view(), 255.0).unwrap(), of(digits.view(), 16.0).unwrap());
    let report = Evaluation::new(all()).run_in(&b, &d);
    assert!(report.entries.iter().all(|e| matches!(e.outcome, Err(MetricError::Space { .. }))), "{report}");
    assert_eq!(Evaluation::new(all()).run_in(&b, &b).errors().count(), 0);
    assert!(of(bytes.view(), 16.0).is_err());
}
