//! The examples run, and find what they say.

#![allow(missing_docs, dead_code, clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../examples/summary.rs"]
mod summary;

use fm_data::{Columns, digits, table};

#[test]
fn classes_have_the_rows_and_means_of_their_sources() {
    // Counts of each digit in UCI's optdigits.tes.
    let images = summary::by_class(&digits::load()).unwrap();
    let counts: Vec<usize> = images.values().map(|(rows, _)| *rows).collect();
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert!(images.values().all(|(_, mean)| (-1.0..0.0).contains(mean)), "{images:?}");
    let cells = table::genes().unwrap();
    let found = summary::by_class(&Columns::unchanged(765).apply_table(&cells).unwrap()).unwrap();
    let (rows, sum) = found.values().fold((0, 0.0), |(n, s), (rows, mean)| (n + rows, s + *rows as f64 * mean));
    assert_eq!((rows, found.len()), (700, cells.classes.len()));
    assert!((sum / 700.0 - cells.values.mean().unwrap()).abs() < 1e-4);
    summary::main().unwrap();
}
