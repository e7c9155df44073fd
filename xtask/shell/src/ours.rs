//! Directories that the workspace's tools make and may empty again. A marker inside says that a
//! directory is theirs; every deletion of the tools goes through [`remove`].

use anyhow::{Context, ensure};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The file that marks a directory as made by a tool of this workspace.
pub const MARKER: &str = ".made-by-xtask";

/// Makes `directory`, or uses it if a tool made it; its files stay.
///
/// # Errors
/// If the directory has files and no marker, or cannot be written.
pub fn claim(directory: &Path) -> anyhow::Result<()> {
    let marker = directory.join(MARKER);
    if marker.is_file() {
        return Ok(());
    }
    ensure!(is_free(directory)?, foreign(directory));
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    fs::write(&marker, "").with_context(|| format!("cannot write {}", marker.display()))
}

/// Makes `directory` empty, if a tool made it or it does not exist.
///
/// # Errors
/// As [`claim`].
pub fn empty(directory: &Path) -> anyhow::Result<()> {
    remove(directory)?;
    claim(directory)
}

/// Removes a directory that a tool made, with everything in it. Nothing happens if it does not
/// exist. Files behind links inside stay; a directory that is itself a link is refused.
///
/// # Errors
/// If the directory has files and no marker, or cannot be removed.
pub fn remove(directory: &Path) -> anyhow::Result<()> {
    let Ok(found) = fs::symlink_metadata(directory) else { return Ok(()) };
    let ours = found.is_dir() && (directory.join(MARKER).is_file() || is_free(directory)?);
    ensure!(ours, foreign(directory));
    fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))
}

fn foreign(directory: &Path) -> String {
    format!(
        "cannot replace {}: it has no {MARKER}, so no command of this workspace made it; move it away, or choose another directory",
        directory.display()
    )
}

/// Whether there is nothing at a path that could be lost: no directory, or an empty one.
fn is_free(directory: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(fs::symlink_metadata(directory).is_err()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", directory.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_with_the_marker_are_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs, file) = (dir.path().join("a/ours"), dir.path().join("theirs"), dir.path().join("file"));
        let names = |path: &Path| {
            fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        empty(&ours).unwrap();
        fs::write(ours.join("wheel"), "").unwrap();
        claim(&ours).unwrap();
        assert!(ours.join("wheel").exists());
        empty(&ours).unwrap();
        assert_eq!(names(&ours), [MARKER]);
        remove(&ours).unwrap();
        remove(&ours).unwrap();
        assert!(!ours.exists());

        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join("thesis.tex"), "").unwrap();
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&theirs, dir.path().join("link")).unwrap();
        for path in [&theirs, &file, &dir.path().join("link")] {
            for act in [claim, empty, remove] {
                let error = act(path).unwrap_err().to_string();
                assert!(error.contains("move it away"), "{error}");
            }
        }
        assert_eq!(names(&theirs), ["thesis.tex"]);
    }

    #[test]
    fn what_a_link_inside_points_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join("thesis.tex"), "").unwrap();
        empty(&ours).unwrap();
        std::os::unix::fs::symlink(&theirs, ours.join("link")).unwrap();
        remove(&ours).unwrap();
        assert!(theirs.join("thesis.tex").exists() && !ours.exists());
    }
}
