//! The limits of files at their edges: what is exactly as large as allowed is read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::budget::limits::{ALL, CONFIG, WEIGHTS};
use fm_core::budget::{Budget, OverBudget, check_zip, json_values, read};
use std::io::Cursor;
use std::path::Path;

#[test]
fn the_most_is_allowed_and_one_more_is_not() {
    for limits in ALL {
        let budget = Budget::new(limits, 0).unwrap();
        let most = limits.parts.0;
        assert!(budget.count(most).is_ok(), "{limits:?}");
        if let Some(more) = most.checked_add(1) {
            let error = budget.count(more).unwrap_err();
            assert!(matches!(error, OverBudget::Parts { count, .. } if count == more), "{limits:?}");
        }
        assert!(Budget::new(limits, limits.longest).is_ok(), "{limits:?}");
        if let Some(more) = limits.longest.checked_add(1) {
            let error = Budget::new(limits, more).unwrap_err();
            assert!(matches!(error, OverBudget::Length { length, .. } if length == more), "{limits:?}");
        }
    }
}

#[test]
fn every_value_of_json_is_counted() {
    // Each of `{ [ : ,` begins at most one value.
    assert_eq!(json_values(br#"{"a":[1,2],"b":{}}"#), 7);
}

/// A file may grow between the look at its length and its reading. Those of /proc have length 0.
#[cfg(target_os = "linux")]
#[test]
fn no_more_is_read_than_the_budget_is_for() {
    let (bytes, _) = read(Path::new("/proc/self/status"), &CONFIG).unwrap();
    assert_eq!(bytes.len(), 0);
}

/// The list of an archive's entries is charged before it is made.
#[test]
fn the_directory_of_an_archive_costs_memory() {
    let mut archive = vec![0; 46 + 22];
    archive[46..50].copy_from_slice(b"PK\x05\x06");
    // One entry, whose directory is the first 46 bytes.
    (archive[54], archive[56], archive[58]) = (1, 1, 46);
    let whole = || Budget::new(&WEIGHTS, archive.len() as u64).unwrap();
    let mut budget = whole();
    // Twice the length of the file, and 40 MiB.
    let most = 2 * archive.len() as u64 + (40 << 20);
    assert!(whole().take_bytes(most).is_ok() && whole().take_bytes(most + 1).is_err());
    assert_eq!(check_zip(&mut Cursor::new(&archive), &mut budget).unwrap(), 1);
    assert!(budget.take_bytes(most).is_err());
    assert!(budget.take_bytes(most - 320).is_ok());
}
