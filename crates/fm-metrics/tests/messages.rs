//! Messages of every error, with the largest values that they can hold.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_metrics::MetricError;

#[test]
fn messages_are_one_short_line() {
    let long = || "many\nwords ".repeat(1000);
    let (most, huge) = (usize::MAX, -f64::MAX);
    for error in [
        MetricError::Dimension { left: most, right: most },
        MetricError::NoColumns { set: "reference rows" },
        MetricError::TooFew {
            what: "precision and recall of that many neighbours",
            set: "reference rows",
            least: most,
            got: most,
        },
        MetricError::Count { what: "the number of rows per subset", least: most, most, got: most },
        MetricError::Labels { set: "reference rows", labels: most, rows: most },
        MetricError::Memory { rows: most, columns: most },
        MetricError::Rank { dimensions: most, got: most },
        MetricError::Gaussian { problem: long() },
        MetricError::NotFinite { set: "reference rows", row: most, column: most, value: huge },
        MetricError::Eigenvalues { dimensions: most },
        MetricError::Statistics { path: long().into(), problem: long() },
        MetricError::Bandwidth { value: huge },
        MetricError::NoSpread,
        MetricError::Undefined { name: long(), value: f64::NAN },
        MetricError::Space { left: long(), right: long() },
        MetricError::Range { set: "reference rows", space: long(), row: most, column: most, value: huge },
        MetricError::NoSpace { shape: vec![most; 100], low: huge, high: huge },
        MetricError::Order { p: i32::MIN },
        MetricError::Direction { row: most, norm: huge },
        MetricError::Own { problem: long() },
        MetricError::Size { values: most, from: (most, most), to: (most, most) },
    ] {
        let text = error.to_string();
        assert!(text.chars().count() <= 300 && !text.contains('\n'), "{} characters: {text}", text.chars().count());
        assert!(text.starts_with("cannot ") && text.contains(';'), "{text}");
    }
}
