//! Unpacking of zip archives, with bounds and hashes.
//!
//! A wheel lists the SHA-256 of its files in RECORD, and each file that is unpacked must be in it.
//! Other archives have no hashes. A file may not inflate past the size that the archive declares,
//! and all of them together not past the budget of an archive.

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fm_fetch::budget::{self, Budget, Metered, check_zip, limits};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::Path;
use zip::ZipArchive;

type Archive = ZipArchive<BufReader<Metered<File>>>;

/// Unpacks the files that `keep` accepts. Returns whether they were compared with hashes.
pub(super) fn unpack(file: &Path, into: &Path, keep: impl Fn(&Path) -> bool) -> anyhow::Result<bool> {
    let (opened, budget) = budget::open(file, &limits::LIBTORCH)?;
    unpack_within((file, opened), into, keep, budget)
}

fn unpack_within(
    (file, mut opened): (&Path, File),
    into: &Path,
    keep: impl Fn(&Path) -> bool,
    mut budget: Budget,
) -> anyhow::Result<bool> {
    let is_wheel = file.extension().is_some_and(|extension| extension == "whl");
    check_zip(&mut opened, &mut budget)?;
    let most = budget.bytes_left();
    let mut archive = Archive::new(BufReader::new(budget.metered(opened)))?;
    let record = if is_wheel { read_record(&mut archive)? } else { HashMap::new() };
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i)?;
        let Some(name) = entry.enclosed_name() else {
            bail!("it holds a path that leaves the archive: {}", entry.name())
        };
        if entry.is_dir() || !keep(&name) {
            continue;
        }
        let size = entry.size();
        budget.take_bytes(size).with_context(|| format!("it inflates to more than {most} bytes"))?;
        let target = into.join(&name);
        fs::create_dir_all(target.parent().unwrap_or(into))?;
        let (written, digest) = copy_hashed((&mut entry).take(size.saturating_add(1)), &mut File::create(&target)?)?;
        ensure!(written == size, "{} does not have the size that the archive declares", name.display());
        if is_wheel {
            let expected = record.get(&name.to_string_lossy().into_owned());
            let expected = expected.with_context(|| format!("{} is not in the wheel's record", name.display()))?;
            ensure!(*expected == digest, "{} does not match the hash in the wheel's record", name.display());
        }
    }
    Ok(is_wheel)
}

fn copy_hashed(mut from: impl Read, to: &mut impl Write) -> std::io::Result<(u64, String)> {
    let (mut hasher, mut buffer, mut written) = (Sha256::new(), vec![0; 1 << 18], 0);
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok((written, URL_SAFE_NO_PAD.encode(hasher.finalize())));
        }
        hasher.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
        written += n as u64;
    }
}

/// A wheel's RECORD: path,sha256=DIGEST,size.
fn read_record(archive: &mut Archive) -> anyhow::Result<HashMap<String, String>> {
    let name = archive.file_names().find(|n| n.ends_with(".dist-info/RECORD")).map(str::to_owned);
    let name = name.context("the wheel has no RECORD, so its files cannot be verified")?;
    let (mut text, most) = (String::new(), limits::RECORD.longest);
    archive.by_name(&name)?.take(most + 1).read_to_string(&mut text)?;
    let budget = Budget::new(&limits::RECORD, text.len() as u64);
    let budget = budget.with_context(|| format!("the wheel's RECORD is longer than {most} bytes"))?;
    budget.count(text.lines().count()).context("the wheel's RECORD names too many files; fetch it again")?;
    let entry = |line: &str| {
        let (rest, _size) = line.rsplit_once(',')?;
        let (path, digest) = rest.rsplit_once(",sha256=")?;
        Some((path.trim_matches('"').to_owned(), digest.to_owned()))
    };
    Ok(text.lines().filter_map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;

    const LIBRARY: &str = "torch/lib/libtorch_cpu.so";

    fn digest(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
    }

    /// An archive of a library, another file, and a record if there is one.
    fn archive(path: &Path, record: Option<&str>) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        let record = record.map(|text| ("torch-2.11.0.dist-info/RECORD", text));
        for (name, text) in [(LIBRARY, "library"), ("torch/nn/modules.py", "unwanted")].into_iter().chain(record) {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
    }

    fn unpacked(path: &Path, into: &Path) -> Result<bool, String> {
        unpack(path, into, |name| name.starts_with("torch/lib")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_files_of_a_wheel_are_those_of_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let (wheel, into) = (dir.path().join("torch.whl"), dir.path().join("out"));
        archive(&wheel, Some(&format!("{LIBRARY},sha256={},7\n", digest(b"library"))));
        assert_eq!(unpacked(&wheel, &into), Ok(true));
        assert!(into.join(LIBRARY).exists() && !into.join("torch/nn").exists());
        let whole = fs::read(&wheel).unwrap();
        let other = format!("{LIBRARY},sha256={},7\n", digest(b"something else"));
        for (record, told) in [
            (None, "has no RECORD"),
            (Some(""), "is not in the wheel's record"),
            (Some("torch/nn/modules.py,sha256=x,8\n"), "is not in the wheel's record"),
            (Some(other.as_str()), "does not match the hash"),
        ] {
            archive(&wheel, record);
            let error = unpacked(&wheel, &into).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        fs::write(&wheel, &whole[..200]).unwrap();
        assert!(unpacked(&wheel, &into).is_err(), "a truncated wheel must not unpack");
    }

    #[test]
    fn an_archive_without_hashes_is_not_called_verified() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libtorch.zip");
        archive(&path, None);
        assert_eq!(unpacked(&path, &dir.path().join("out")), Ok(false));
    }

    #[test]
    fn inflation_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libtorch.zip");
        archive(&path, None);
        let within = |most: u64| {
            let (file, mut budget) = budget::open(&path, &limits::LIBTORCH).unwrap();
            // The directory has two entries.
            budget.take_bytes(budget.bytes_left() - most - 2 * 320).unwrap();
            unpack_within((&path, file), &dir.path().join("out"), |_| true, budget)
        };
        let size = "library".len() + "unwanted".len();
        assert!(within(size as u64).is_ok());
        assert!(within(size as u64 - 1).unwrap_err().to_string().contains("more than 14 bytes"));
    }

    #[test]
    fn a_record_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("torch.whl");
        archive(&path, Some(&" ".repeat(limits::RECORD.longest as usize + 1)));
        assert!(unpacked(&path, &dir.path().join("out")).unwrap_err().contains("is longer than"));
    }
}
