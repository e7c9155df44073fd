//! CIFAR-10 in its canonical binary layout (Krizhevsky 2009): records of 3073 bytes, the label and
//! then 32x32 pixels red, green, blue.
//!
//! ```no_run
//! let train = fm_data::cifar10::load("data/cifar10".as_ref(), fm_data::cifar10::Split::Train)?;
//! assert_eq!(train.shape(), [3, 32, 32]);
//! # Ok::<(), fm_data::DataError>(())
//! ```

use crate::input::{self, Opened};
use crate::{DataError, ImageSet};
use fm_core::budget::limits;
use std::io::Read;
use std::path::Path;

const RECORD: usize = 3073;

/// The classes, in the order of their labels.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The part of the data set to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// `data_batch_1.bin` to `data_batch_5.bin`, those that exist: 50,000 images if the set is
    /// complete.
    Train,
    /// `test_batch.bin`: 10,000 images if the set is complete.
    Test,
}

impl Split {
    fn files(self) -> Vec<String> {
        match self {
            Self::Train => (1..=5).map(|i| format!("data_batch_{i}.bin")).collect(),
            Self::Test => vec!["test_batch.bin".into()],
        }
    }
}

/// Whether the folder has a batch of the split, so that [`load`] reads it.
pub fn is_present(folder: &Path, split: Split) -> bool {
    split.files().iter().any(|name| folder.join(name).exists())
}

/// Reads a folder of binary batches.
///
/// # Errors
/// A missing folder or batch, a length that is not a whole number of records or above 1 GiB, a
/// label above 9; each names the file.
pub fn load(folder: &Path, split: Split) -> Result<ImageSet, DataError> {
    let names = split.files();
    let mut set = ImageSet {
        shape: [3, 32, 32],
        levels: 255,
        pixels: Vec::new(),
        labels: Vec::new(),
        classes: CLASSES.map(String::from).to_vec(),
    };
    for path in names.iter().map(|n| folder.join(n)).filter(|p| p.exists()) {
        let Opened { file, length, .. } = input::open(&path, &limits::CIFAR10)?;
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(length).read_to_end(&mut bytes).map_err(|source| DataError::Io { path: path.clone(), source })?;
        append(&mut set, &bytes).map_err(|problem| DataError::Malformed { path, problem, remedy: REMEDY.into() })?;
    }
    if set.is_empty() {
        return Err(DataError::Missing { what: "CIFAR-10", path: folder.join(&names[0]), remedy: REMEDY.into() });
    }
    Ok(set)
}

const REMEDY: &str = "run `cargo xtask fetch-cifar10`, or give the folder that holds the batches as cifar10:DIR";

fn append(set: &mut ImageSet, bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        return Err(format!("truncated: {} bytes are not a whole number of {RECORD}-byte records", bytes.len()));
    }
    for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
        if record[0] > 9 {
            return Err(format!("record {i} has label {}, above 9: this is not a CIFAR-10 batch", record[0]));
        }
        set.labels.push(u16::from(record[0]));
        set.pixels.extend_from_slice(&record[1..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: u8) -> Vec<u8> {
        std::iter::once(label).chain((0..3072).map(|i| (i % 251) as u8)).collect()
    }

    #[test]
    fn reads_records_in_order_over_the_batches_that_exist() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("data_batch_1.bin"), [record(3), record(9)].concat()).unwrap();
        std::fs::write(dir.path().join("data_batch_4.bin"), record(0)).unwrap();
        let set = load(dir.path(), Split::Train).unwrap();
        assert_eq!((set.labels.as_slice(), set.image(2)[5]), ([3, 9, 0].as_slice(), 5));
        assert!(is_present(dir.path(), Split::Train) && !is_present(dir.path(), Split::Test));
    }

    #[test]
    fn problems_name_the_file_and_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let message = |bytes: &[u8]| {
            std::fs::write(dir.path().join("data_batch_1.bin"), bytes).unwrap();
            load(dir.path(), Split::Train).unwrap_err().to_string()
        };
        for (bytes, what) in
            [(record(1)[..3000].to_vec(), "truncated"), (vec![], "truncated"), (record(10), "label 10")]
        {
            let text = message(&bytes);
            assert!(
                text.contains("data_batch_1.bin") && text.contains(what) && text.contains("fetch-cifar10"),
                "{text}"
            );
        }
        // A file of a terabyte is rejected without reading it, and a folder is not a batch.
        let path = dir.path().join("data_batch_1.bin");
        std::fs::File::create(&path).unwrap().set_len(3073 << 28).unwrap();
        let text = load(dir.path(), Split::Train).unwrap_err().to_string();
        assert!(text.contains("data_batch_1.bin") && text.contains("more than 1073741824"), "{text}");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(load(dir.path(), Split::Train), Err(DataError::NotAFile { .. })));
        let text = load(&dir.path().join("nowhere"), Split::Test).unwrap_err().to_string();
        assert!(text.contains("nowhere") && text.contains("not found"), "{text}");
    }
}
