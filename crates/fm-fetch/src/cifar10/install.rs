//! Verifies files by hash, and puts them into a directory.

use super::archive::Batches;
use crate::download::hex;
use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Names of files, and their hashes.
pub(super) type Hashes<'a> = &'a [(&'a str, &'a str)];

/// Writes the files once all their hashes match, and no other member of the archive.
pub(super) fn install(out: &Path, batches: &Batches, files: Hashes<'_>) -> anyhow::Result<()> {
    place(out, &verified(batches, files)?)
}

/// The files of the list, each present once with its hash.
fn verified<'a>(batches: &'a Batches, files: &[(&'a str, &str)]) -> anyhow::Result<Vec<(&'a str, &'a [u8])>> {
    let one = |(name, expected): &(&'a str, &str)| {
        let mut found = batches.iter().filter(|(n, _)| n == name);
        let (_, bytes) = found.next().with_context(|| format!("{name} is missing"))?;
        ensure!(found.next().is_none(), "{name} is in the archive twice");
        let hash = hex(&Sha256::digest(bytes));
        ensure!(hash == *expected, "{name} has the hash {hash} instead of {expected}");
        Ok((*name, bytes.as_slice()))
    };
    files.iter().map(one).collect()
}

/// Writes files with temporary names and renames them, so that each is complete or absent. Other
/// files in the directory are kept.
fn place(out: &Path, batches: &[(&str, &[u8])]) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    for (name, bytes) in batches {
        // A new file: what has this name already, such as a link, is not written through.
        let mut partial = tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".partial").tempfile_in(out)?;
        partial.write_all(bytes).with_context(|| format!("cannot write {name}; is the disk full?"))?;
        partial.as_file().sync_all()?;
        let partial = partial.into_temp_path();
        // Temporary files are private; others may read these.
        fs::set_permissions(&partial, Permissions::from_mode(0o644))?;
        fs::rename(&partial, out.join(name)).with_context(|| format!("cannot move {name} to {}", out.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_in_the_directory_stay() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "not ours").unwrap();
        fs::write(dir.path().join("test_batch.bin"), "old").unwrap();
        place(dir.path(), &[("test_batch.bin", b"new")]).unwrap();
        assert_eq!(fs::read(dir.path().join("thesis.tex")).unwrap(), b"not ours");
        assert_eq!(fs::read(dir.path().join("test_batch.bin")).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_the_listed_files_with_their_hashes_are_written() {
        let (good, bad) = (b"right".to_vec(), b"wrong".to_vec());
        let hash = hex(&Sha256::digest(&good));
        let files = [("a.bin", hash.as_str())];
        let member = |name: &str, bytes: &Vec<u8>| (name.to_owned(), bytes.clone());
        let with_another = vec![member("a.bin", &good), member("b.bin", &bad)];
        assert_eq!(verified(&with_another, &files).unwrap(), [("a.bin", &good[..])]);
        for (batches, says) in [
            (vec![member("a.bin", &good), member("a.bin", &bad)], "a.bin is in the archive twice"),
            (vec![member("a.bin", &bad)], "instead of"),
            (vec![], "a.bin is missing"),
        ] {
            let error = verified(&batches, &files).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
