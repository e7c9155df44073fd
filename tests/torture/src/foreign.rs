//! Files of somebody else, in the directory of a run and beside it, with names that look like ours.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Hidden files, which a new run accepts in its directory, and files beside the directory.
const BEFORE: [&str; 5] = [
    ".notes.partial",
    ".flow-matching-7.partial",
    ".loss.png.flow-matching-x7.partial",
    "../run.partial",
    "../.run.flow-matching-7.partial.txt",
];

/// Files that appear once the directory is that of a run.
const AFTER: [&str; 9] = [
    "notes.partial",
    "mine/loss.png",
    "checkpoints/notes.partial",
    "checkpoints/step-abc/model.safetensors",
    "checkpoints/step-007/meta.json",
    "checkpoints/old.partial/weights",
    "samples/step-x.png",
    "samples/mine/loss.png",
    "best/mine.txt",
];

/// The text of such a file.
fn text(name: &str) -> String {
    format!("somebody's {name}\n")
}

/// The files that were placed for a directory.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    names: BTreeSet<PathBuf>,
}

impl Foreign {
    /// Places files before a run starts.
    pub(crate) fn before(out: &Path) -> io::Result<Self> {
        let mut placed = Self::default();
        placed.place(out, &BEFORE)?;
        Ok(placed)
    }

    /// Places files between a strike and the continuation, in folders that exist and in new ones.
    pub(crate) fn after(&mut self, out: &Path) -> io::Result<()> {
        self.place(out, &AFTER)
    }

    fn place(&mut self, out: &Path, names: &[&str]) -> io::Result<()> {
        for name in names {
            // A run makes its own folders.
            let needs = ["checkpoints", "samples", "best", "averages"].iter().find(|folder| name.starts_with(*folder));
            if needs.is_some_and(|folder| !out.join(folder).is_dir()) {
                continue;
            }
            let path = out.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(path, text(name))?;
            self.names.insert(name.into());
        }
        Ok(())
    }

    /// The files, by their path in the directory.
    pub(crate) fn names(&self) -> &BTreeSet<PathBuf> {
        &self.names
    }

    /// The first file that was changed or removed.
    pub(crate) fn touched(&self, out: &Path) -> Option<String> {
        let same =
            |name: &&PathBuf| fs::read(out.join(name)).is_ok_and(|b| b == text(&name.to_string_lossy()).as_bytes());
        let gone = self.names.iter().find(|name| !same(name))?;
        Some(format!("somebody's file {} was touched", gone.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_file_and_a_changed_one_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        fs::create_dir_all(out.join("checkpoints")).unwrap();
        let mut placed = Foreign::before(&out).unwrap();
        placed.after(&out).unwrap();
        assert_eq!((placed.touched(&out), placed.names.len()), (None, 11));
        fs::remove_file(out.join("checkpoints/notes.partial")).unwrap();
        assert!(placed.touched(&out).unwrap().contains("checkpoints/notes.partial"));
        placed.after(&out).unwrap();
        fs::write(dir.path().join("run.partial"), "ours").unwrap();
        assert!(placed.touched(&out).unwrap().contains("../run.partial"));
    }
}
