//! Mutated arrays and tables: no panic, and no allocation beyond four times the file and 64 MiB.

#![allow(
    missing_docs,
    unsafe_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should stop"
)]

use fm_core::rng::{Key, Stream};
use fm_data::npy::{self, ArraySource};
use fm_data::table::{CsvOptions, csv};
use rand::Rng;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::path::Path;

/// Inputs of each test.
const INPUTS: usize = 20_000;

thread_local! {
    /// Bytes that this thread holds, and the most that it held.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // Nothing is counted while a thread ends.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + bytes, most.max(now + bytes)));
    });
}

// SAFETY: every request is passed on to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block exist together.
        count(size as isize);
        count(-(layout.size() as isize));
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs a call; returns the most bytes that it held.
fn held(call: impl FnOnce()) -> isize {
    let before = HELD.get().0;
    HELD.set((before, before));
    call();
    HELD.get().1 - before
}

fn bounded(bytes: &[u8], call: impl FnOnce()) {
    let most = 4 * bytes.len() as isize + (64 << 20);
    let found = held(call);
    assert!(found <= most, "{found} bytes for a file of {}: {:?}", bytes.len(), String::from_utf8_lossy(bytes));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Replaces the content of a file without emptying it first, which some file systems follow by a
/// flush to the disk.
fn put(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// Changes a few bytes, pieces or ends.
fn mutate(rng: &mut impl Rng, seed: &[u8]) -> Vec<u8> {
    const BYTES: &[u8] = b"\"\",,;;\t\t\n\n\r..--0123456789eE()[]{}'<>|:TFL \x00\x04\xff\xfe\x80\xc3";
    let mut bytes = seed.to_vec();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=bytes.len());
        let to = rng.random_range(at..=bytes.len()).min(at + 12);
        match rng.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = BYTES[rng.random_range(0..BYTES.len())],
            2 => bytes.insert(at, BYTES[rng.random_range(0..BYTES.len())]),
            3 => drop(bytes.drain(at..to)),
            4 => bytes.truncate(at),
            5 => {
                let piece = bytes[at..to].repeat(rng.random_range(1..40));
                bytes.splice(at..at, piece);
            }
            _ if at + 4 <= bytes.len() => bytes[at..at + 4].copy_from_slice(&rng.random::<u32>().to_le_bytes()),
            _ => {}
        }
    }
    bytes
}

fn arrays() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arrays");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end != "py")).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn mutated_arrays() {
    let (dir, seeds) = (tempfile::tempdir().unwrap(), arrays());
    assert!(seeds.len() > 50);
    let (path, pictures) = (dir.path().join("x.npy"), dir.path().join("p.npy"));
    ndarray_npy::write_npy(&pictures, &ndarray::Array3::<u8>::zeros((2, 2, 2))).unwrap();
    let mut rng = Key::new(1, 0, Stream::Data).generator(0);
    let mut read = 0;
    for i in 0..INPUTS {
        let bytes = mutate(&mut rng, &seeds[i % seeds.len()]);
        put(&path, &bytes);
        let member = (i % 3 == 0).then(|| "images".to_owned());
        let source = ArraySource { path: path.clone(), member };
        bounded(&bytes, || read += usize::from(npy::read::<f64, ndarray::IxDyn>(source.clone()).is_ok()));
        bounded(&bytes, || read += usize::from(npy::table(source.clone()).is_ok()));
        match i % 2 {
            0 => bounded(&bytes, || drop(npy::images(source.clone(), None, None, &mut Vec::new()))),
            _ => bounded(&bytes, || drop(npy::images(&pictures, Some(&source), None, &mut Vec::new()))),
        }
    }
    assert!(read > INPUTS / 100, "{read}");
}

#[test]
fn mutated_tables() {
    let plain = "id,height,kind\n1,1.5,\"oak, red\"\n2,-2e3,ash\n3,7,oak\n";
    let mut texts: Vec<Vec<u8>> = [",", ";", "\t", " "].iter().map(|s| plain.replace(',', s).into_bytes()).collect();
    texts.extend(
        ["1,2\n3,4\n5,6\n", "2019,2020\r\n1,5\r\n2,7\r\n", "1,5;2,5\n1;2\n", "7\n8\n", "a,a,\n1,2,3\n"].map(Vec::from),
    );
    texts.push([b"\xef\xbb\xbf", plain.as_bytes()].concat());
    texts.push(std::iter::once(0xfeff).chain(plain.encode_utf16()).flat_map(u16::to_le_bytes).collect());
    texts.push(std::iter::once(0xfeff).chain(plain.encode_utf16()).flat_map(u16::to_be_bytes).collect());
    let packed: Vec<Vec<u8>> = texts.iter().map(|text| gzip(text)).collect();
    let options = [
        CsvOptions::default(),
        CsvOptions { labels: Some("kind".into()), ignore: vec!["id".into()], ..CsvOptions::default() },
        CsvOptions { labels: Some("3".into()), header: fm_data::table::Header::Yes, ..CsvOptions::default() },
        CsvOptions { encoding: Some("latin1".parse().unwrap()), ..CsvOptions::default() },
        CsvOptions { encoding: Some("utf-16be".parse().unwrap()), ..CsvOptions::default() },
        CsvOptions { separator: Some(fm_data::table::Separator::Space), ..CsvOptions::default() },
    ];
    let (dir, mut rng, mut read) = (tempfile::tempdir().unwrap(), Key::new(2, 0, Stream::Data).generator(0), 0);
    let path = dir.path().join("t.csv");
    for i in 0..INPUTS {
        // A third is damaged after compression, a third before, a third is not compressed.
        let bytes = match i % 3 {
            0 => mutate(&mut rng, &texts[i % texts.len()]),
            1 => gzip(&mutate(&mut rng, &texts[i % texts.len()])),
            _ => mutate(&mut rng, &packed[i % packed.len()]),
        };
        put(&path, &bytes);
        let options = &options[rng.random_range(0..options.len())];
        bounded(&bytes, || {
            read += usize::from(csv(&path, options).is_ok_and(|table| table.values.iter().all(|v| v.is_finite())))
        });
    }
    assert!(read > INPUTS / 50, "{read}");
}

/// Inputs made to use memory: wide rows, long rows, many rows, in gzip too.
#[test]
fn large_tables_stay_within_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    for text in [
        "1,".repeat(200_000) + "1\n",
        "a,".repeat(250_000) + "b",
        ",".repeat(3 << 20),
        "1".repeat(20 << 20),
        format!("\"{}", "x\n".repeat(10 << 20)),
        "1\n".repeat(3 << 20),
        "1,1\n".repeat(1 << 20),
        "\n".repeat(8 << 20),
    ] {
        let packed = text.len() > 2 << 20;
        for bytes in
            [text.clone().into_bytes(), if packed { gzip(&text.as_bytes()[..2 << 20]) } else { gzip(text.as_bytes()) }]
        {
            put(&path, &bytes);
            let most = 4 * bytes.len() as isize + (64 << 20);
            let found = held(|| drop(csv(&path, &CsvOptions::default())));
            assert!(found <= most, "{found} for {} bytes: {:?}", bytes.len(), &text[..9]);
        }
    }
}
