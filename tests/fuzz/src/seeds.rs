//! Parts of seeds: files of the tests of other crates, beside which the scripts that made them are,
//! and small files made here.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A path in the workspace.
pub(crate) fn place(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The files of a folder whose names have one of these ends, in the order of their names.
#[allow(clippy::expect_used, reason = "a test that cannot go on should stop")]
pub(crate) fn files(folder: &str, ends: &[&str]) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(place(folder)).expect("a folder of the workspace");
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| ends.iter().any(|end| path.to_string_lossy().ends_with(end)));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file of the workspace")).collect()
}

/// The images of the tests of fm-data with one of these ends.
pub(crate) fn images(ends: &[&str]) -> Vec<Vec<u8>> {
    files("crates/fm-data/tests/assets/images", ends)
}

/// An array as NumPy saves it.
pub(crate) fn npy(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), values].concat()
}

/// A zip archive.
#[allow(clippy::expect_used, reason = "nothing fails in memory")]
pub(crate) fn zip(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).expect("a vector");
        zip.write_all(bytes).expect("a vector");
    }
    zip.finish().expect("a vector").into_inner()
}

/// Texts as inputs.
pub(crate) fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
