//! Columns in the units of a network and back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_data::{Columns, Preprocess, Table};
use ndarray::{Array2, array};

#[test]
fn what_is_done_to_a_table_is_undone() {
    let table = Table::of(array![[0.0, 7.0, 3.0], [5.0, 7.0, 1.0], [100.0, 7.0, 0.0]]);
    for preprocess in [Preprocess::None, Preprocess::Standardize, Preprocess::Log1pStandardize, Preprocess::Counts] {
        let columns = Columns::of(&table, preprocess).unwrap();
        let values = columns.apply(table.values.view()).unwrap();
        if preprocess != Preprocess::None {
            let centred = values.mean_axis(ndarray::Axis(0)).unwrap();
            assert!(centred.iter().all(|m| m.abs() < 1e-6), "{preprocess}: {centred}");
        }
        let restored = columns.restore(values.as_slice().unwrap());
        let close = restored.iter().zip(&table.values).all(|(a, b)| (a - b).abs() < 2e-5 * (1.0 + b));
        assert!(close, "{preprocess}: {restored:?}");
    }
    let counts = Columns::of(&table, Preprocess::Counts).unwrap();
    let drawn = counts.restore(&[-9.0, 0.3, 0.1]);
    assert_eq!((drawn[0], drawn[1], drawn[2].fract()), (0.0, 7.0, 0.0));
}

#[test]
fn large_offsets_keep_their_differences() {
    for offset in [1.7e9, 1.7e12, -4e8] {
        let table = Table::of(Array2::from_shape_fn((1000, 1), |(i, _)| offset + i as f64));
        let columns = Columns::of(&table, Preprocess::Standardize).unwrap();
        assert!((columns.deviation[0] - ((1e6 - 1.0f64) / 12.0).sqrt()).abs() < 1e-6, "{columns:?}");
        let scaled = columns.apply_table(&table).unwrap();
        assert!(scaled.notes.is_empty());
        let restored = columns.restore(scaled.values.as_slice().unwrap());
        assert!(restored.iter().zip(&table.values).all(|(a, b)| (a - b).abs() < 1e-3), "{offset}");
        let plain = Columns::of(&table, Preprocess::None).unwrap().apply_table(&table).unwrap();
        assert!(plain.notes[0].contains("single precision"), "{:?}", plain.notes);
    }
}

#[test]
fn values_that_have_no_place_are_errors() {
    let of = |values, preprocess| Columns::of(&Table::of(values), preprocess);
    assert!(of(array![[0.5], [-1.0]], Preprocess::Counts).unwrap_err().to_string().contains("value -1"));
    assert!(of(array![[1e300], [-1e300]], Preprocess::Standardize).unwrap_err().to_string().contains("too large"));
    assert!(of(array![[f64::NAN], [1.0]], Preprocess::Standardize).is_err());
    let unchanged = Columns::unchanged(1);
    assert!(unchanged.apply(array![[1e39]].view()).unwrap_err().to_string().contains("gives inf"));
    assert!(unchanged.apply(array![[1.0, 2.0]].view()).unwrap_err().to_string().contains("has 2 columns"));
    let constant = of(array![[0.1], [0.1], [0.1]], Preprocess::Standardize).unwrap();
    assert_eq!((constant.mean[0], constant.deviation[0]), (0.1, 0.0));
    assert_eq!(constant.restore(&[5.0]), [0.1]);
}

#[test]
fn names_and_classes_are_stored_and_followed() {
    let mut table = Table::of(array![[1.0, 2.0], [3.0, 4.0]]);
    table.names = vec!["a".into(), "b, c".into()];
    (table.labels, table.classes) = (vec![1, 1], vec!["x".into(), "y".into()]);
    let columns = Columns::of(&table, Preprocess::default()).unwrap();
    assert_eq!(columns.header(true).unwrap(), "a,\"b, c\",class");
    assert_eq!(columns.classes, [("x".to_owned(), 0), ("y".to_owned(), 2)]);
    assert_eq!(Columns::unchanged(2).header(false), None);
    let turned = table.in_order(&["b, c".into(), "a".into()]).unwrap();
    assert_eq!(columns.apply_table(&turned).unwrap().values, columns.apply_table(&table).unwrap().values);
    let again: Columns = serde_json::from_str(&serde_json::to_string(&columns).unwrap()).unwrap();
    assert_eq!(again, columns);
}

#[test]
fn stored_columns_of_older_runs_are_read_and_broken_ones_refused() {
    let old: Columns = serde_json::from_str(r#"{"mean":[1.5],"deviation":[2.0]}"#).unwrap();
    assert_eq!((old.mean[0], old.log1p, old.names.is_empty()), (1.5, false, true));
    for broken in [
        r#"{"mean":[1.0],"deviation":[]}"#,
        r#"{"mean":[1.0],"deviation":[-1.0]}"#,
        r#"{"mean":[1.0],"deviation":[1.0],"names":["a","b"]}"#,
        r#"{"mean":[null],"deviation":[1.0]}"#,
    ] {
        assert!(serde_json::from_str::<Columns>(broken).is_err(), "{broken}");
    }
}
