//! The table of SECURITY.md, which `UPDATE_DOCS=1` writes.

#![allow(missing_docs, reason = "tests")]

use fm_core::budget::limits::{self, Limits, Line};
use std::path::Path;

const HEAD: &str =
    "| a file of n bytes | longest, in bytes | memory | work | parts | beyond |\n|---|---|---|---|---|---|\n";

/// A number of bytes in its largest unit.
fn bytes(n: u64) -> String {
    let units = [(1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB")];
    match units.iter().find(|(unit, _)| n >= *unit && n.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", n / unit),
        None => whole(n),
    }
}

/// A number with a comma after each group of three digits.
fn whole(n: u64) -> String {
    let digits = n.to_string();
    let from = (3 - digits.len() % 3) % 3;
    let separated = |(k, digit): (usize, char)| {
        let comma = (k > 0 && (k + from).is_multiple_of(3)).then_some(',');
        comma.into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(separated).collect()
}

fn line(line: Line) -> String {
    let per_byte = match (line.times, line.over) {
        (1, 1) => "n".to_owned(),
        (times, 1) => format!("{} n", whole(times)),
        (times, over) => format!("{times}/{over} n"),
    };
    if line.fixed == 0 { per_byte } else { format!("{} + {per_byte}", bytes(line.fixed)) }
}

fn row(limits: &Limits) -> String {
    let longest = if limits.longest == u64::MAX { "any".into() } else { bytes(limits.longest) };
    let (most, parts) = limits.parts;
    let (memory, work) = (line(limits.bytes), line(limits.work));
    format!("| {} | {longest} | {memory} | {work} | {} {parts} | {} |\n", limits.kind, whole(most), limits.remedy)
}

#[test]
fn numbers_are_written_as_people_read_them() {
    assert_eq!([0, 7, 999, 1000, 12_345, 1 << 20].map(whole), ["0", "7", "999", "1,000", "12,345", "1,048,576"]);
    assert_eq!([1032, 1 << 16, 3 << 30].map(bytes), ["1,032", "64 KiB", "3 GiB"]);
    assert_eq!(line(Line { fixed: 16 << 20, times: 5, over: 4 }), "16 MiB + 5/4 n");
    assert_eq!([line(Line::new(0, 1)), line(Line::new(1 << 20, 2064))], ["n", "1 MiB + 2,064 n"]);
}

/// All numbers, kinds and remedies, in the order of the list.
#[test]
fn the_page_has_the_limits_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../SECURITY.md");
    // The crate alone has no such page.
    let Ok(page) = std::fs::read_to_string(&path) else { return };
    let (before, rest) = page.split_once(HEAD).expect("SECURITY.md has no table of limits");
    let after = &rest[rest.find("\n\n").map_or(rest.len(), |end| end + 1)..];
    let mut kinds: Vec<&str> = limits::ALL.iter().map(|limits| limits.kind).collect();
    let made = format!("{before}{HEAD}{}{after}", limits::ALL.map(row).concat());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, made).unwrap();
    } else {
        assert!(made == page, "SECURITY.md has other limits; write it by UPDATE_DOCS=1");
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), limits::ALL.len(), "each kind has a name of its own");
    // Every constant of the module is in the list.
    let source = include_str!("../src/budget/limits.rs");
    assert_eq!(source.lines().filter(|line| line.contains(": Limits =")).count(), limits::ALL.len());
}
