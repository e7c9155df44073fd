//! Error texts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::rng::{Key, Stream};
use fm_core::source::{Source, SourceKind};
use fm_ot::OtError;

/// The error of noise rows that this source cannot draw.
fn noise(source: &Source, rows: usize) -> OtError {
    let problem = source.sample(Key::new(0, 0, Stream::Coupling), rows, usize::MAX).unwrap_err();
    OtError::Noise { problem: problem.to_string() }
}

#[test]
fn options_of_a_fit_are_written_as_given() {
    let text = |value, domain| OtError::Fit { name: "draws", value, domain }.to_string();
    assert_eq!(text(0.0, "at least 1"), "cannot fit potentials: draws is 0; give at least 1");
    assert_eq!(text(-0.5, "at least 1"), "cannot fit potentials: draws is -0.5; give at least 1");
}

/// The text of a number is short at any magnitude.
#[test]
fn messages_are_short() {
    let huge = -f64::MAX;
    for error in [
        OtError::Epsilon { epsilon: huge },
        OtError::Strength { reg_m: huge },
        OtError::Mass { mass: huge },
        OtError::Tolerance { tolerance: huge },
        OtError::Weight { weight: huge },
        OtError::Marginal { side: "column", index: usize::MAX, mass: huge },
        OtError::Plan { row: usize::MAX, column: usize::MAX, mass: huge },
        OtError::NotConverged { iterations: usize::MAX, error: huge, tolerance: huge },
        OtError::Conditions { conditions: usize::MAX, rows: usize::MAX, columns: usize::MAX },
        OtError::Batch { x0: (usize::MAX, usize::MAX), x1: (usize::MAX, usize::MAX) },
        OtError::CostShape { expected: (usize::MAX, usize::MAX), got: (usize::MAX, usize::MAX) },
        OtError::Unconditional,
        OtError::Memory { rows: usize::MAX, columns: usize::MAX, bytes: u64::MAX, limit: u64::MAX },
        OtError::Resolution { epsilon: huge, least: huge, largest: huge },
        OtError::Marginals { off: huge, mass: huge },
        OtError::Masses { side: "column", masses: usize::MAX, points: usize::MAX },
        OtError::Potentials { side: "column", potentials: usize::MAX, points: usize::MAX },
        OtError::Dimension { left: usize::MAX, right: usize::MAX },
        OtError::MoreRows { rows: usize::MAX, columns: usize::MAX },
        OtError::NotFinite { row: usize::MAX, column: usize::MAX },
        OtError::Condition { row: usize::MAX, column: usize::MAX },
        OtError::Point { row: usize::MAX, column: usize::MAX },
        OtError::NoSuchRow { row: usize::MAX, rows: usize::MAX },
        OtError::MasslessRow { row: usize::MAX },
        OtError::Points { points: usize::MAX, columns: usize::MAX },
        OtError::NotAMatrix { dimensions: usize::MAX },
        OtError::BridgePath { path: "polynomial:n=100".into() },
        OtError::NoClasses { coupling: "c2ot:weight=1000000".into() },
        OtError::Fit { name: "learning_rate", value: huge, domain: "a number above 0 and at most 1e100" },
        OtError::DataRow { row: usize::MAX },
        OtError::RowPotentials { potentials: usize::MAX, rows: usize::MAX },
        OtError::Labels { classes: usize::MAX, rows: usize::MAX },
        OtError::WholeData { coupling: "semidiscrete:draws=1000000".into() },
        OtError::NoSuchClass { class: i64::MIN },
        noise(&Source::default(), usize::MAX),
        noise(&"matched".parse::<SourceKind>().unwrap().into(), 1),
        OtError::TooLarge,
        OtError::NoMass,
        OtError::Empty,
    ] {
        let text = error.to_string();
        assert!(text.len() <= 300 && text.starts_with("cannot ") && text.contains(';'), "{text}");
    }
}
