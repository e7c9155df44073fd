//! Statistics with a flipped bit.

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_metrics::moments::Gaussian;
use fm_metrics::statistics::{read, write};
use ndarray::{Array, Array0, Dimension, array};
use ndarray_npy::WriteNpyExt;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn npy<D: Dimension>(array: &Array<f64, D>) -> Vec<u8> {
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).unwrap();
    bytes
}

fn packed(method: CompressionMethod, members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A flipped bit anywhere is found, or changes nothing that is read; in an array it is found.
#[test]
fn each_flipped_bit_is_found_or_changes_nothing() {
    let gaussian = Gaussian { mean: array![1.5, -0.25], covariance: array![[2.0, 0.5], [0.5, 3.0]], count: Some(9) };
    let arrays = [npy(&gaussian.mean), npy(&gaussian.covariance), npy(&Array0::from_elem((), 9.0))];
    let members = [("mu.npy", &arrays[0][..]), ("sigma.npy", &arrays[1]), ("count.npy", &arrays[2])];
    let by = |method| packed(method, &members);
    let files = [by(CompressionMethod::Stored), by(CompressionMethod::Deflated), write(&gaussian).unwrap()];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.npz");
    let mut in_arrays = 0;
    for whole in files {
        let place = |array: &Vec<u8>| whole.windows(array.len()).position(|bytes| bytes == &array[..]);
        let places: Vec<_> = arrays.iter().filter_map(|array| Some((place(array)?, array.len()))).collect();
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            let found = read(&path);
            let within = places.iter().any(|(from, length)| (*from..from + length).contains(&(bit / 8)));
            in_arrays += usize::from(within);
            match found {
                Ok(same) => assert!(!within && same == gaussian, "bit {bit} of {}: {same:?}", whole.len()),
                Err(error) => assert!(error.to_string().len() <= 300, "{error}"),
            }
        }
    }
    // One of the files is not packed.
    assert_eq!(in_arrays, 8 * arrays.iter().map(Vec::len).sum::<usize>());
}
