//! Mutated image files neither panic nor hang.

#![cfg(feature = "images")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_data::folder;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Mutated files; `FUZZ_IMAGES` sets another number.
const FILES: u64 = 20_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assets/images");
    let mut files = folder::files(&folder).unwrap();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.of(seeds).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => {
                let other = random.of(seeds);
                bytes.truncate(at);
                bytes.extend(&other[random.below(other.len())..]);
            }
            2 => {
                bytes.drain(at..bytes.len().min(at + 1 + random.below(8)));
            }
            3 => {
                bytes.splice(at..at, vec![random.next() as u8; 1 + random.below(8)]);
            }
            4 => bytes.iter_mut().skip(at).take(4).for_each(|b| *b = *random.of(&[0, 1, 0x7f, 0x80, 0xff])),
            // The header, most often.
            5 => {
                let at = random.below(bytes.len().min(64));
                bytes.iter_mut().skip(at).take(1).for_each(|b| *b = random.next() as u8);
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << random.below(8)),
        }
    }
    bytes
}

#[test]
fn mutated_files_neither_panic_nor_hang() {
    let files = std::env::var("FUZZ_IMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(FILES);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.png");
    let (seeds, mut random) = (seeds(), Random(1));
    let (mut read, mut slowest) = (0, Duration::ZERO);
    for number in 0..files {
        let bytes = mutated(&seeds, &mut random);
        // A new file: some file systems write an overwritten one to disk at once.
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, &bytes).unwrap();
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let sizes = folder::list(dir.path()).and_then(|list| list.sizes());
            (folder::read(&path), sizes)
        }));
        slowest = slowest.max(start.elapsed());
        let Ok((image, sizes)) = result else { panic!("file {number} panics: {}", bytes.escape_ascii()) };
        match image {
            Ok((pixels, shape)) => {
                read += 1;
                assert_eq!(pixels.len(), shape.iter().product::<usize>(), "file {number}");
                assert!(sizes.is_ok(), "file {number} is read, but has no size: {}", sizes.unwrap_err());
            }
            Err(e) => assert!(e.to_string().contains("x.png") && e.to_string().chars().count() <= 300, "{e}"),
        }
    }
    println!("{read} of {files} were read, the slowest took {slowest:?}");
    assert!(slowest < Duration::from_secs(30), "{slowest:?}");
    assert!(read > files / 20, "only {read} of {files} mutated files were read");
}
