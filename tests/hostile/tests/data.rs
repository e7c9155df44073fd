//! Bad input to every public function of `fm-data`.

use fm_core::data::{Dataset, Pick};
use fm_data::cifar10::{self, Split};
use fm_data::points::{TOYS, toy};
use fm_data::table::{CsvOptions, csv, gaussian4, genes};
use fm_data::{Columns, ImageSet, Preprocess, Table, digits, folder, npy};
use hostile::Calls;
use ndarray::{Array2, array};
use std::path::Path;

/// The most rows that an array may have, without columns.
const MOST: usize = isize::MAX as usize;

/// What no format is.
fn junk() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("zeros", vec![0; 4000]),
        ("ones", vec![0xff; 4000]),
        ("text", b"once upon a time".to_vec()),
        ("brackets", vec![b'('; 70_000]),
        ("quotes", vec![b'"'; 70_000]),
        ("newlines", vec![b'\n'; 4000]),
        ("commas", vec![b','; 4000]),
    ]
}

/// An `.npy` file of a header and a number of bytes of data.
fn npy_file(version: u8, kind: &str, shape: &str, numbers: usize) -> Vec<u8> {
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    let length = (text.len() as u32).to_le_bytes();
    bytes.extend(if version == 1 { &length[..2] } else { &length[..] });
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len() + numbers, 1);
    bytes
}

#[test]
fn arrays_of_numpy() {
    let mut calls = Calls::new("fm-data npy");
    let dir = tempfile::tempdir().unwrap();
    let (path, pictures) = (dir.path().join("x.npy"), dir.path().join("p.npy"));
    std::fs::write(&pictures, npy_file(1, "|u1", "(2, 2, 2)", 8)).unwrap();
    let mut refused = |name: &str, bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        calls.refuses(&format!("images of {name}"), || npy::images(&path, None, None, &mut Vec::new()));
        calls.refuses(&format!("table of {name}"), || npy::table(&path));
        calls.refuses(&format!("labels of {name}"), || {
            npy::images(&pictures, Some(&(&path).into()), None, &mut Vec::new())
        });
    };
    for (name, bytes) in junk() {
        refused(name, &bytes);
    }
    for version in [0, 1, 2, 3, 255] {
        for kind in ["|u1", "<f4", "<f8", ">i8", "<i4"] {
            for shape in [
                "()",
                "(-1,)",
                "(200000, 200000)",
                "(18446744073709551615,)",
                "(99999999999999999999999,)",
                "(0, 9223372036854775807, 9223372036854775807)",
                "(4294967296, 4294967296, 2)",
                "(0, 3, 2)",
                "(1, 1, 1, 1, 1)",
                "3",
                "",
            ] {
                refused(&format!("{version} {kind} {shape}"), &npy_file(version, kind, shape, 2));
            }
        }
    }
    for kind in ["<f16", "|O", "|S9", "<c16", "", "'"] {
        refused(&format!("kind {kind}"), &npy_file(1, kind, "(2, 2)", 16));
    }
    let whole = npy_file(1, "<f4", "(2, 2)", 16);
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        calls.refuses(&format!("the first {length} bytes"), || npy::table(&path));
    }
    for at in 0..whole.len() - 16 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&path, damaged).unwrap();
        calls.survives(&format!("byte {at}"), || npy::table(&path));
    }
    for bits in [f32::NAN, f32::INFINITY] {
        let mut bytes = npy_file(1, "<f4", "(1, 1)", 0);
        bytes.extend(bits.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        calls.refuses(&format!("a table of {bits}"), || npy::table(&path));
    }
    for label in [-1.0, 0.5, 1e300, f64::NAN, f64::INFINITY, 10_000.0] {
        let mut bytes = npy_file(1, "<f8", "(2,)", 8);
        bytes.extend(f64::to_le_bytes(label));
        std::fs::write(&path, bytes).unwrap();
        calls.refuses(&format!("label {label:e}"), || {
            npy::images(&pictures, Some(&(&path).into()), None, &mut Vec::new())
        });
    }
    for place in [dir.path(), &dir.path().join("none"), Path::new(""), &dir.path().join("x".repeat(3000))] {
        calls.refuses("no file", || npy::images(place, None, None, &mut Vec::new()));
        calls.refuses("no file", || npy::table(place));
        calls.refuses("no file", || npy::images(&pictures, Some(&place.into()), None, &mut Vec::new()));
    }
    calls.finish(900);
}

#[test]
fn tables() {
    let mut calls = Calls::new("fm-data tables");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let named = |name: &str| CsvOptions { labels: Some(name.into()), ..CsvOptions::default() };
    let ignoring = |name: &str| CsvOptions { ignore: vec![name.into()], ..CsvOptions::default() };
    for (name, bytes) in junk() {
        std::fs::write(&path, bytes).unwrap();
        for options in [CsvOptions::default(), named("a"), named("1"), ignoring("1")] {
            calls.refuses(&format!("{name} {options:?}"), || csv(&path, &options));
        }
    }
    let fine = "a,b,kind\n1,2,x\n3,4,y\n";
    std::fs::write(&path, fine).unwrap();
    for name in ["", "0", "4", "-1", "18446744073709551616", "c", "A", &"n".repeat(10_000), "a\nb", "\0"] {
        calls.refuses(&format!("labels {name}"), || csv(&path, &named(name)));
        calls.refuses(&format!("ignore {name}"), || csv(&path, &ignoring(name)));
    }
    let ignore = vec!["a".into(), "b".into(), "a".into()];
    let all = CsvOptions { labels: Some("kind".into()), ignore, ..CsvOptions::default() };
    calls.refuses("nothing left", || csv(&path, &all));
    for number in ["", "x", "NaN", "inf", "-inf", "1e999", "0x10", "1_000", "\u{661}", &"9".repeat(50_000)] {
        std::fs::write(&path, format!("a,b\n1,2\n3,{number}\n")).unwrap();
        calls.refuses(&format!("the number {}", &number[..number.len().min(9)]), || csv(&path, &CsvOptions::default()));
    }
    for text in ["a,b\n1\n", "1,2\n3,4,5\n", "a,b\n", "\u{feff}", "\"", "\"a,b\n1,2\n"] {
        std::fs::write(&path, text).unwrap();
        calls.refuses(&format!("{text:?}"), || csv(&path, &CsvOptions::default()));
    }
    for length in 0..fine.len() {
        std::fs::write(&path, &fine[..length]).unwrap();
        calls.survives(&format!("the first {length} bytes"), || csv(&path, &named("kind")));
    }
    let classes: String = (0..70_000).map(|i| format!("{i},c{i}\n")).collect();
    std::fs::write(&path, classes).unwrap();
    calls.refuses("70,000 classes", || csv(&path, &named("2")));
    for place in [dir.path(), &dir.path().join("none"), Path::new("")] {
        calls.refuses("no file", || csv(place, &CsvOptions::default()));
    }
    for shape in [(0, 0), (0, 3), (3, 0), (MOST, 0), (0, MOST)] {
        calls.survives(&format!("Table::of {shape:?}"), || Table::of(Array2::<f64>::zeros(shape)).names.len());
    }
    let table = Table::of(array![[1.0, 2.0]]);
    calls.panics("select", "", || table.select(&[1]));
    calls.survives("select none", || table.select(&[]));
    let columns = Columns::unchanged(2);
    let scaled = columns.apply_table(&table).unwrap();
    calls.survives("class", || (scaled.class(0), scaled.class(usize::MAX)));
    calls.survives("restore", || columns.restore(&[f32::NAN, f32::MAX, 0.0]));
    calls.refuses("columns of another table", || Columns::unchanged(3).apply_table(&table));
    calls.refuses("too large for f32", || columns.apply(array![[1e39, 0.0]].view()));
    for value in [f64::NAN, f64::INFINITY, 1e300] {
        let table = Table::of(array![[value], [-1.0]]);
        calls.refuses(&format!("moments of {value}"), || Columns::of(&table, Preprocess::Standardize));
    }
    calls.survives("embedded", || (gaussian4().is_ok(), genes().is_ok(), digits::load().check()));
    calls.finish(100);
}

#[test]
fn points() {
    let mut calls = Calls::new("fm-data points");
    for name in TOYS {
        for rows in [usize::MAX, usize::MAX / 8, usize::MAX / 16, 1 << 40] {
            calls.refuses(&format!("{rows} of {name}"), || toy(name, rows, u64::MAX));
        }
        for rows in [0, 1] {
            calls.survives(&format!("{rows} of {name}"), || toy(name, rows, u64::MAX));
        }
    }
    for name in ["", "Moons", "moons:noise=nan", "gaussian:dim=1e9", "gaussian:seed=-1", "spiral:,,,", "moons ", "\0", "spiral\nmoons", &"x".repeat(5000), "é"] {
        calls.refuses(&format!("toy {name}"), || toy(name, 1, 0));
    }
    calls.finish(30);
}

#[test]
fn batches_of_cifar10() {
    let mut calls = Calls::new("fm-data cifar10");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test_batch.bin");
    calls.refuses("no batch", || cifar10::load(dir.path(), Split::Test));
    let record = |label: u8| [vec![label], vec![9; 3072]].concat();
    for (name, bytes) in junk() {
        std::fs::write(&path, bytes).unwrap();
        calls.refuses(name, || cifar10::load(dir.path(), Split::Test));
    }
    for bytes in [record(10), record(255), record(1)[..3072].to_vec(), [record(0), vec![0]].concat()] {
        std::fs::write(&path, bytes).unwrap();
        calls.refuses("a broken record", || cifar10::load(dir.path(), Split::Test));
    }
    std::fs::File::create(&path).unwrap().set_len(3073 << 30).unwrap();
    calls.refuses("three terabytes", || cifar10::load(dir.path(), Split::Test));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    calls.refuses("a folder", || cifar10::load(dir.path(), Split::Test));
    for place in [Path::new(""), Path::new("/dev/null"), &dir.path().join("none")] {
        calls.refuses("nowhere", || cifar10::load(place, Split::Train));
    }
    calls.finish(18);
}

#[test]
fn images() {
    let mut calls = Calls::new("fm-data images");
    let dir = tempfile::tempdir().unwrap();
    for name in ["x.png", "x.jpg", "x.jpeg"] {
        let path = dir.path().join(name);
        for (kind, bytes) in junk() {
            std::fs::write(&path, bytes).unwrap();
            calls.refuses(&format!("{name} of {kind}"), || folder::read(&path));
            calls.refuses(&format!("{name} of {kind}"), || folder::load(dir.path(), 4));
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        calls.refuses(&format!("{name}, a folder"), || folder::read(&path));
        calls.refuses(&format!("{name}, an empty class"), || folder::load(dir.path(), 4));
        std::fs::remove_dir(&path).unwrap();
    }
    for size in [0, 4097, u32::MAX] {
        calls.refuses(&format!("size {size}"), || folder::load(dir.path(), size));
    }
    for place in [dir.path(), Path::new(""), Path::new("/dev/null"), &dir.path().join("none")] {
        calls.refuses("no images", || folder::load(place, 4));
        calls.refuses("no images", || folder::files(place));
        calls.refuses("no image", || folder::read(place));
    }
    for shape in [[0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 1], [2, 1, 1], [usize::MAX, 2, 1], [usize::MAX; 3]] {
        for (levels, pixels, labels) in [(0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 2, 1)] {
            let new = || ImageSet::new(shape, levels, vec![1; pixels], vec![7; labels], vec!["one".into()]);
            let name = format!("{shape:?} {levels} {pixels} {labels}");
            if labels == 0 && shape.iter().all(|n| (1..9).contains(n)) {
                calls.survives(&name, new);
            } else {
                calls.refuses(&name, new);
            }
            let set = ImageSet { shape, levels, pixels: vec![1; pixels], labels: vec![7; labels], classes: vec![] };
            calls.survives(&name, || (set.dim(), set.len(), set.class(0), set.denormalise(&[f32::NAN, f32::MAX])));
        }
    }
    let set = ImageSet::new([1, 1, 2], 3, vec![0, 1], vec![0], vec![]).unwrap();
    for i in [1, usize::MAX / 2, usize::MAX] {
        calls.panics(&format!("image {i}"), "no image", || set.image(i).len());
        let pick = Pick { row: i, mirrored: true };
        calls.panics(&format!("row {i}"), "no image", || set.write(pick, &mut [0.0; 2]));
        calls.survives(&format!("class {i}"), || set.class(i));
    }
    for length in [0, 1, 3] {
        calls.panics("another length", "dim values", || set.write_normalised(0, false, &mut vec![0.0; length]));
    }
    let dark = ImageSet { levels: 0, ..set.clone() };
    calls.panics("no levels", "levels", || dark.write_normalised(0, false, &mut [0.0; 2]));
    calls.finish(140);
}
