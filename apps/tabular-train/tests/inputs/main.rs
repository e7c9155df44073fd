//! Tables, flags, outputs and variables as people have them, through the real binary; writes parts
//! of docs/inputs.md.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../common/mod.rs"]
mod common;
mod flags;
#[cfg(unix)]
mod outputs;
#[path = "../../../../tests/support/page.rs"]
mod page;

use common::{columns, run, succeed};
use page::Part;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Exit code, and both outputs.
fn told(words: &str) -> (i32, String) {
    let (code, out, error) = run(words);
    (code.unwrap_or(-1), out + &error)
}

#[test]
fn tables_as_people_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let mut part = Part::new("tables");
    texts(&mut part, d);
    headers(&mut part, d);
    order(&mut part, d);
    plans(&mut part, d);
    offsets(&mut part, d);
    part.check();
}

#[test]
fn flags_and_numbers_as_people_give_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = Part::new("flags");
    flags::flags(&mut part, dir.path());
    flags::numbers(&mut part, dir.path());
    part.check();
}

#[cfg(unix)]
#[test]
fn outputs_and_environments_as_people_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = Part::new("outputs");
    outputs::outputs(&mut part, dir.path());
    outputs::environment(&mut part, dir.path());
    part.check();
}

fn texts(part: &mut Part, d: &Path) {
    let data = |words: &str| told(&format!("data {}/{words}", d.display()));
    fs::write(d.join("latin.csv"), b"x,kind\n1,caf\xe9\n2,caf\xe8\n3,th\xe9\n").unwrap();
    part.row("Latin-1 class names", d, data("latin.csv --labels kind"), "latin.csv");
    let read = data("latin.csv --labels kind --encoding latin1");
    assert!(read.1.contains("caf\u{e9}") && read.1.contains("caf\u{e8}"), "{}", read.1);
    part.row("the same with `--encoding latin1`", d, read, "3 rows of 1 columns");
    let wide: Vec<u8> = "\u{feff}a,b\n1,2\n3,4\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(d.join("wide.csv"), wide).unwrap();
    part.row("UTF-16", d, data("wide.csv"), "2 rows of 2 columns");
    fs::write(d.join("tabs.tsv"), "a\tb\n1\t2\n3\t4\n").unwrap();
    part.row("`.tsv`", d, data("tabs.tsv"), "2 rows of 2 columns");
    fs::write(d.join("LOUD.CSV"), "1;2\n3;4\n").unwrap();
    part.row("`.CSV` with semicolons", d, data("LOUD.CSV"), "2 rows of 2 columns");
    fs::write(d.join("comma.csv"), "a;b\n1,5;2,5\n2,5;3,5\n").unwrap();
    part.row("decimal commas", d, data("comma.csv"), "comma.csv");
    fs::write(d.join("open.csv"), format!("a,b\n1,\"2\n{}", "3,4\n".repeat(1000))).unwrap();
    part.row("a quote without end", d, data("open.csv"), "open.csv");
}

fn headers(part: &mut Part, d: &Path) {
    let mut years = "2019,2020\n".to_owned();
    (0..20).for_each(|i| writeln!(years, "0.{i:02},1.{i:02}").unwrap());
    fs::write(d.join("years.csv"), years).unwrap();
    let data = |words: &str| told(&format!("data {}/{words}", d.display()));
    part.row("a header of years", d, data("years.csv"), "note:");
    part.row("the same with `--header yes`", d, data("years.csv --header yes"), "20 rows of 2 columns");
    fs::write(d.join("twice.csv"), "a,a\n1,2\n3,4\n").unwrap();
    part.row("two columns of one name", d, data("twice.csv"), "twice.csv");
}

fn order(part: &mut Part, d: &Path) {
    let row = |i: usize| [i as f64, (i * i % 17) as f64 + 100.0, (i % 5) as f64 * 1000.0];
    let (mut abc, mut cab) = ("a,b,c\n".to_owned(), "c,a,b\n".to_owned());
    for [a, b, c] in (0..30).map(row) {
        writeln!(abc, "{a},{b},{c}").unwrap();
        writeln!(cab, "{c},{a},{b}").unwrap();
    }
    fs::write(d.join("abc.csv"), abc).unwrap();
    fs::write(d.join("cab.csv"), cab).unwrap();
    let couple = told(&format!("couple {0}/abc.csv {0}/cab.csv", d.display()));
    part.row("`couple` of a table and itself in another order of columns", d, couple, "pairs     cost 0");
    succeed(&format!("train --data {0}/abc.csv --steps 4 --sample-every 0 --out {0}/abc", d.display()));
    let likelihood = |name: &str| told(&format!("likelihood {0}/{name} --checkpoint {0}/abc", d.display()));
    assert_eq!(likelihood("abc.csv"), likelihood("cab.csv"));
    part.brief("`likelihood` of the same table", d, likelihood("cab.csv"), "mean log-density");
    fs::write(d.join("two.csv"), "x,y\n1,2\n").unwrap();
    part.row("`likelihood` of other columns", d, likelihood("two.csv"), "two.csv");
}

fn plans(part: &mut Part, d: &Path) {
    let stamp = |shift: u64, i: u64| format!("{}\n", 1_700_000_000_000_000 + shift + i * 7_919_777_333);
    let stamps = |shift: u64| (0..20).map(|i| stamp(shift, i)).collect::<String>();
    fs::write(d.join("t0.csv"), stamps(0)).unwrap();
    fs::write(d.join("t1.csv"), stamps(12_345)).unwrap();
    let couple = |flags: &str| told(&format!("couple {0}/t0.csv {0}/t1.csv {flags}", d.display()));
    part.row(
        "microsecond time stamps with `sinkhorn-absolute:0.05`",
        d,
        couple("--coupling sinkhorn-absolute:0.05"),
        "error",
    );
    part.brief("the same with `exact`", d, couple("--coupling exact"), "of mass 1;");
    let small =
        |step: f64| (0..200).map(|i| format!("{}\n", 100.0 * (f64::from(i) * step).fract())).collect::<String>();
    fs::write(d.join("u.csv"), small(0.618_034)).unwrap();
    fs::write(d.join("v.csv"), small(0.754_878)).unwrap();
    let slow = told(&format!("couple {0}/u.csv {0}/v.csv --coupling sinkhorn:1e-5", d.display()));
    part.brief("a Sinkhorn that has not converged", d, slow, "(not converged after 300 iterations, marginals off by");
    let large =
        told(&format!("train --data moons --batch-size 100000 --coupling exact --steps 1 --out {}/large", d.display()));
    part.row("`--batch-size 100000 --coupling exact`", d, large, "GiB");
    fs::write(d.join("equal.csv"), "1,2\n".repeat(40)).unwrap();
    succeed(&format!("train --data {0}/equal.csv --steps 2 --sample-every 0 --out {0}/equal", d.display()));
    let equal = told(&format!("evaluate --checkpoint {0}/equal --num-samples 40 --num-steps 2", d.display()));
    part.row("`evaluate` with 40 equal rows", d, equal, "MMD");
}

/// A column of time stamps keeps its differences.
fn offsets(part: &mut Part, d: &Path) {
    fs::write(d.join("stamps.csv"), (0..500).map(|i| format!("{}\n", 1_700_000_000 + i)).collect::<String>()).unwrap();
    let train = format!("train --data {0}/stamps.csv --steps 200 --sample-every 0 --out {0}/stamps", d.display());
    part.row("a column 1700000000 + i", d, told(&train), "450 rows of 1 columns");
    succeed(&format!("sample --checkpoint {0}/stamps --num-samples 200 --num-steps 20 --out {0}/s.csv", d.display()));
    let drawn: Vec<f64> = columns(&d.join("s.csv"), 0).into_iter().map(|row| row[0] - 1.7e9).collect();
    let mean = drawn.iter().sum::<f64>() / 200.0;
    let deviation = (drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 200.0).sqrt();
    assert!((mean - 250.0).abs() < 60.0 && (80.0..250.0).contains(&deviation), "{mean} {deviation}");
    let mut distinct: Vec<u64> = drawn.iter().map(|x| x.to_bits()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > 190, "{} values", distinct.len());
}
