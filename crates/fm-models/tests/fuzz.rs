//! Mutated files: no panic, no hang, and memory that follows the size of the file. The mutations
//! are the same in every run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]
#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]

use fm_models::interchange::{self, About, recognise};
use fm_models::{ModelConfig, mlp::MlpConfig};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn more(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block can exist at once.
        more(size);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time, because they share the counters.
static ALONE: Mutex<()> = Mutex::new(());

/// Reads a file within its limits; returns what was said about it.
fn bounded(bytes: &[u8], name: &str) -> String {
    let (start, before) = (Instant::now(), NOW.load(Ordering::Relaxed));
    PEAK.store(before, Ordering::Relaxed);
    let read = interchange::parse(bytes, Path::new(name), None).and_then(|weights| recognise(&weights));
    let text = read.map_or_else(|error| error.to_string(), |_| "read".into());
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(peak <= 4 * bytes.len() + (64 << 20), "{peak} bytes for a file of {}: {text}", bytes.len());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}: {text}", start.elapsed());
    assert!(text.chars().count() <= 300, "{text}");
    text
}

fn asset(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/wrapped").join(name)).unwrap()
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// A file with one to four changes.
    fn mutated(&mut self, file: &[u8]) -> Vec<u8> {
        let mut bytes = file.to_vec();
        for _ in 0..=self.below(4) {
            let (at, n) = (self.below(bytes.len()), 1 + self.below(8));
            let end = (at + n).min(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let part = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, part.repeat(1 + self.below(9)));
                }
                3 => {
                    let number = [0, 1, 0x7F, 0xFF, 0xFFFF, 0xFFFF_FFFF, u64::MAX, 1 << 40][self.below(8)];
                    bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
                }
                4 => {
                    let code = b"(0122)]}telasudKMJIGFXTUSVBCcRQPqrhjpgiob\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96";
                    bytes.insert(at, code[self.below(code.len())]);
                }
                5 => {
                    let character = b"[]{}\",:0123456789-.eE\\"[self.below(21)];
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = character;
                    }
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        bytes
    }
}

fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(*name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn entry(file: &[u8], name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
    let full = archive.file_names().find(|n| n.ends_with(name)).unwrap().to_owned();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name(&full).unwrap(), &mut bytes).unwrap();
    bytes
}

#[test]
fn mutated_zip_archives_are_read_within_limits() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let files = ["objects.pt", "views.pt", "shadow-torch-ema.pt", "lit-ema.pt"].map(asset);
    let pickles = files.clone().map(|file| entry(&file, "data.pkl"));
    let mut random = Random(1);
    let (mut read, values) = (0, [0; 64]);
    for i in 0..24_000 {
        let which = random.below(files.len());
        // Half of them with right checksums, so that the pickle is reached.
        let bytes = if i % 2 == 0 {
            random.mutated(&files[which])
        } else {
            let pickle = random.mutated(&pickles[which]);
            let storages = ["a/data/0", "a/data/1", "a/data/2", "a/data/3"].map(|name| (name, &values[..]));
            zipped(&[&[("a/data.pkl", &pickle[..])], &storages[..]].concat())
        };
        read += usize::from(bounded(&bytes, "w.pt") == "read");
    }
    assert!(read > 500, "{read} of 24000 files are still weights");
}

#[test]
fn mutated_old_files_are_read_within_limits() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let files = ["old.pt", "old-objects.pt", "old-views.pt", "old-protocol4.pt", "numpy.pkl", "dumped.pkl"].map(asset);
    let mut random = Random(2);
    let mut read = 0;
    for _ in 0..24_000 {
        let which = random.below(files.len());
        read += usize::from(bounded(&random.mutated(&files[which]), "w.pt") == "read");
    }
    assert!(read > 500, "{read} of 24000 files are still weights");
}

#[test]
fn mutated_safetensors_are_read_within_limits() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let weights = interchange::parse(&asset("old.pt"), Path::new("old.pt"), None).unwrap();
    let config = MlpConfig { dim: 1, widths: vec![2], ..MlpConfig::default() };
    let data = serde_json::json!({"shape": [1], "classes": []});
    let about = About { model: Some(ModelConfig::Mlp(config)), data, ..About::default() };
    let file = interchange::safetensors(&weights.tensors, &about).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let (header, values) = file[8..].split_at(length);
    let mut random = Random(3);
    let mut read = 0;
    for i in 0..24_000 {
        let bytes = if i % 2 == 0 {
            random.mutated(&file)
        } else {
            let header = random.mutated(header);
            [&(header.len() as u64).to_le_bytes()[..], &header, values].concat()
        };
        read += usize::from(bounded(&bytes, "w.safetensors") == "read");
    }
    assert!(read > 500, "{read} of 24000 files are still weights");
}

fn text(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// A tensor of one value of storage 0.
fn tensor() -> Vec<u8> {
    let storage = [
        b"(".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        b"K\x01tQ".to_vec(),
    ];
    [b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(), storage.concat(), b"K\x00K\x01\x85K\x01\x85\x89NtR".to_vec()]
        .concat()
}

#[test]
fn small_programs_with_large_results_are_refused() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let pickled = |program: &[u8]| bounded(&zipped(&[("a/data.pkl", program), ("a/data/0", &[0; 4])]), "w.pt");
    // Every level holds the level below twice, down to a tensor.
    let doubling = |levels: u8, leaf: Vec<u8>, sequence: bool| {
        let mut program = [b"\x80\x02".to_vec(), leaf, b"q\x00".to_vec()].concat();
        for level in 0..levels {
            if sequence {
                program.extend([b'h', level, b'h', level, 0x86, b'q', level + 1]);
            } else {
                program.extend(b"}(X\x01\x00\x00\x00ah");
                program.push(level);
                program.extend(b"X\x01\x00\x00\x00bh");
                program.push(level);
                program.extend(b"uq");
                program.push(level + 1);
            }
        }
        program.push(b'.');
        program
    };
    assert!(pickled(&doubling(60, tensor(), false)).contains("too tangled"));
    assert!(pickled(&doubling(25, tensor(), true)).contains("too tangled"));
    assert!(pickled(&doubling(250, b"}".to_vec(), false)).contains("holds no tensors"));
    assert!(pickled(&doubling(250, b"N".to_vec(), true)).contains("holds no tensors"));
    // A dictionary in itself, with and without a tensor.
    let own = b"X\x01\x00\x00\x00ah\x00s".to_vec();
    assert!(pickled(&[b"\x80\x02}q\x00".to_vec(), own.clone(), b".".to_vec()].concat()).contains("holds no tensors"));
    let with = [b"\x80\x02}q\x00".to_vec(), own, text("net.0.weight"), tensor(), b"s.".to_vec()].concat();
    assert!(pickled(&with).contains("has not 2 dimensions"), "{}", pickled(&with));
    // A long name above many tensors: names of 2 GB.
    let many =
        [b"}(".to_vec(), (0..2000).flat_map(|i| [text(&i.to_string()), tensor()].concat()).collect(), b"u".to_vec()];
    let long = [b"\x80\x02}".to_vec(), text(&"x".repeat(1_000_000)), many.concat(), b"s.".to_vec()].concat();
    let said = pickled(&long);
    assert!(said.contains("more memory than weights of its size") || said.contains("too tangled"), "{said}");
    // A hundred names of one list of 10,000 numbers, in the arguments of a call each.
    let list = [b"](".to_vec(), b"K\x01".repeat(10_000), b"eq\x00".to_vec()].concat();
    let calls = b"ccollections\nOrderedDict\nh\x00\x85R".repeat(20_000);
    pickled(&[b"\x80\x02".to_vec(), list, b"(".to_vec(), calls, b"l.".to_vec()].concat());
    // One byte each that keeps something, and a deep nest.
    for code in
        [b"(".as_slice(), b"2", b"\x94", b")", b"}", b"]", b"N", b"\x85", b"K\x01\x86", b"Q", b"}X\x01\x00\x00\x00a"]
    {
        pickled(&[b"\x80\x02N".as_slice(), &code.repeat(3_000_000), b"."].concat());
        pickled(&[b"\x80\x02N".as_slice(), &code.repeat(50_000), b"."].concat());
    }
    let nest = [b"\x80\x02".to_vec(), tensor(), b"\x85".repeat(100_000), b".".to_vec()].concat();
    pickled(&nest);
    let nest =
        [b"\x80\x02".to_vec(), b"}X\x01\x00\x00\x00a".repeat(100_000), tensor(), b"s".repeat(100_000), b".".to_vec()]
            .concat();
    pickled(&nest);
}

#[test]
fn large_headers_and_directories_are_refused() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = |header: &str| {
        bounded(&[&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat(), "w.safetensors")
    };
    let entry = |i: usize| format!(r#""{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#);
    let entries = |n: usize| (0..n).map(entry).collect::<Vec<_>>().join(",");
    assert!(file(&format!("{{{}}}", entries(60_000))).contains("more tensors"));
    file(&format!("{{{}}}", entries(49_000)));
    let shape = vec!["1"; 2_000_000].join(",");
    assert!(
        file(&format!(r#"{{"a":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,4]}}}}"#)).contains("dimensions")
    );
    let metadata = (0..300_000).map(|i| format!(r#""{i}":"""#)).collect::<Vec<_>>().join(",");
    assert!(file(&format!(r#"{{"__metadata__":{{{metadata}}}}}"#)).contains("more tensors"));
    assert!(file(&" ".repeat(20 << 20)).contains("more than weights need"));
    let nested = "[".repeat(500_000);
    file(&format!(r#"{{"__metadata__":{{"flow_matching":"{nested}"}}}}"#));
    file(&format!(r#"{{"__metadata__":{{"flow_matching":"[{}0]"}}}}"#, "[],".repeat(300_000)));
    file(&format!(r#"{{"a":{nested}"#));

    let names: Vec<String> = (0..65_000).map(|i| format!("a/data/{i}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(bounded(&zipped(&many), "w.pt").contains("more than weights need"));
    assert!(bounded(&zipped(&many[..59_000]), "w.pt").contains("no data.pkl"));
    // A tensor under each of thousands of names that could be networks.
    let nets: Vec<u8> = (0..5_000).flat_map(|i| [text(&format!("{i}.net.0.weight")), tensor()].concat()).collect();
    let program = [b"\x80\x02}(".to_vec(), nets, b"u.".to_vec()].concat();
    assert!(
        bounded(&zipped(&[("a/data.pkl", &program), ("a/data/0", &[0; 4])]), "w.pt").contains("more than 64 networks")
    );
}

/// A pickle of tensors that view storage 0: names, shapes, strides and offsets.
fn views(storage: usize, views: &[(String, [i32; 2], [i32; 2], i32)]) -> Vec<u8> {
    let int = |n: i32| [b"J".as_slice(), &n.to_le_bytes()].concat();
    let pair = |[a, b]: [i32; 2]| [int(a), int(b), vec![0x86]].concat();
    let mut program = b"\x80\x02}(".to_vec();
    for (name, shape, strides, offset) in views {
        let place =
            [text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text("0"), text("cpu"), int(storage as i32)].concat();
        program.extend([text(name), b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(), place, b"tQ".to_vec()].concat());
        program.extend([int(*offset), pair(*shape), pair(*strides), b"\x89NtR".to_vec()].concat());
    }
    program.extend(b"u.");
    program
}

#[test]
fn many_views_of_one_buffer_cost_their_own_bytes() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    const VIEWS: i32 = 84;
    const WIDTH: i32 = 50_000;
    let values = vec![0u8; 4 * (VIEWS * WIDTH) as usize];
    let name = |i: i32| format!("net.{}.weight", 2 * i);
    let rows: Vec<_> = (0..VIEWS).map(|i| (name(i), [1, WIDTH], [WIDTH, 1], i * WIDTH)).collect();
    // Every view reaches over the whole buffer.
    let columns: Vec<_> = (0..VIEWS).map(|i| (name(i), [1, WIDTH], [1, VIEWS], i)).collect();
    for kind in [rows, columns] {
        let program = views(values.len() / 4, &kind);
        let start = Instant::now();
        let said = bounded(&zipped(&[("a/data.pkl", &program), ("a/data/0", &values)]), "w.pt");
        assert!(said.contains("the MLP takes 50000 values"), "{said}");
        println!("{:?}", start.elapsed());
    }
}
