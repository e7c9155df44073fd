//! Checks of a checkpoint's files against its metadata, and its removal.

use super::meta::{FileMeta, META, Meta, broken, read_meta};
use crate::TrainError;
use crate::files::{self, Owned};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Checks every file of a checkpoint against its recorded size and hash, and the name of its
/// directory against its step.
///
/// # Errors
/// [`TrainError::Checkpoint`] with the name of the file.
pub fn verify(path: &Path) -> Result<Meta, TrainError> {
    let meta = read_named(path)?;
    meta.files.keys().try_for_each(|name| check_file(path, &meta, name))?;
    Ok(meta)
}

/// The metadata of a checkpoint. A copy under the name of another step is not a checkpoint of that
/// step: it would be taken for a newer one.
fn read_named(path: &Path) -> Result<Meta, TrainError> {
    let meta = read_meta(path)?;
    match path.file_name().and_then(|name| step_of(name.to_str()?)) {
        Some(step) if step != meta.step => {
            let problem = format!("it is of step {}, so it is a copy or was renamed; name it step-{0}", meta.step);
            Err(broken(path, problem))
        }
        _ => Ok(meta),
    }
}

/// The step in the name of a checkpoint's directory.
pub(crate) fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step-")?.parse().ok().filter(|step: &u64| name == format!("step-{step}"))
}

/// Checks a file without holding it in memory.
fn check_file(path: &Path, meta: &Meta, name: &str) -> Result<(), TrainError> {
    let (file, expected) = open(path, meta, name)?;
    let found = files::sha256_of(file.take(expected.bytes)).map_err(|e| unreadable(path, name, &e))?;
    same(path, name, &found, expected)
}

/// Reads a file of a checkpoint, checked against its size and hash.
pub(super) fn read_file(path: &Path, meta: &Meta, name: &str) -> Result<Vec<u8>, TrainError> {
    let (file, expected) = open(path, meta, name)?;
    let mut bytes = Vec::new();
    let read = bytes.try_reserve_exact(expected.bytes as usize).map_err(io::Error::from);
    read.and_then(|()| file.take(expected.bytes).read_to_end(&mut bytes)).map_err(|e| unreadable(path, name, &e))?;
    same(path, name, &files::sha256(&bytes), expected)?;
    Ok(bytes)
}

/// Opens a file of the recorded size.
fn open<'a>(path: &Path, meta: &'a Meta, name: &str) -> Result<(File, &'a FileMeta), TrainError> {
    let expected = meta.files.get(name).ok_or_else(|| broken(path, format!("{META} does not list {name}")))?;
    let opened = files::open_plain(&path.join(name), OpenOptions::new().read(true));
    let sized = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
    let (length, file) = sized.map_err(|e| unreadable(path, name, &e))?;
    if length != expected.bytes {
        return Err(broken(path, format!("{name} has {length} bytes instead of {}", expected.bytes)));
    }
    Ok((file, expected))
}

fn unreadable(path: &Path, name: &str, error: &io::Error) -> TrainError {
    broken(path, format!("{name} cannot be read ({error})"))
}

fn same(path: &Path, name: &str, found: &str, expected: &FileMeta) -> Result<(), TrainError> {
    let same = found == expected.sha256;
    if same { Ok(()) } else { Err(broken(path, format!("{name} does not match its recorded hash"))) }
}

/// Size, inode and time of the last change of a file.
type Stamp = (u64, u64, SystemTime);

/// A checkpoint that this process wrote or verified.
#[derive(Debug, Clone)]
struct Known {
    when: SystemTime,
    files: BTreeMap<String, FileMeta>,
    stamps: Vec<Stamp>,
}

static KNOWN: LazyLock<Mutex<BTreeMap<PathBuf, Known>>> = LazyLock::new(Mutex::default);

/// File systems count time in steps; a change within one step of an earlier one has its time.
const CLOCK_STEP: Duration = Duration::from_millis(50);

/// Records that the files of a checkpoint are good, because they were just written or verified.
pub(super) fn remember(path: &Path, meta: &Meta) {
    if let Some(stamps) = stamps(path, meta) {
        let known = Known { when: SystemTime::now(), files: meta.files.clone(), stamps };
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(path.into(), known);
    }
}

/// Verifies a checkpoint. Its files are read unless this process wrote or verified them before, and
/// they have not changed since.
///
/// # Errors
/// As [`verify`].
pub(crate) fn verify_changed(path: &Path) -> Result<(), TrainError> {
    let meta = read_named(path)?;
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
    if let Some(Known { when, files, stamps: before }) = known
        && files == meta.files
        && before.iter().all(|(.., changed)| *changed + CLOCK_STEP < when)
        && stamps(path, &meta) == Some(before)
    {
        return Ok(());
    }
    let meta = verify(path)?;
    remember(path, &meta);
    Ok(())
}

/// Makes room at a path: what is ours is removed, and what holds other files is moved aside.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn clear(path: &Path) -> Result<(), TrainError> {
    if fs::symlink_metadata(path).is_ok() && remove(path)?.is_some() {
        files::set_aside(path)?;
    }
    Ok(())
}

fn stamps(path: &Path, meta: &Meta) -> Option<Vec<Stamp>> {
    let stamp = |name: &String| {
        let found = fs::symlink_metadata(path.join(name)).ok().filter(fs::Metadata::is_file)?;
        let since = Duration::new(u64::try_from(found.ctime()).ok()?, u32::try_from(found.ctime_nsec()).ok()?);
        Some((found.len(), found.ino(), UNIX_EPOCH.checked_add(since)?))
    };
    meta.files.keys().map(stamp).collect()
}

/// Removes a checkpoint: the files that its metadata lists, then the metadata. If anything else is
/// inside, it stays with the directory, and a warning is returned. If the metadata cannot be read
/// or is of another step, only an empty directory is removed.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn remove(path: &Path) -> Result<Option<TrainError>, TrainError> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    let meta = read_named(path);
    let listed = meta.as_ref().map(|meta| meta.files.keys().map(String::as_str).chain([META]).collect::<Vec<_>>());
    if files::delete(&Owned::Listed(path, &listed.unwrap_or_default()))? {
        return Ok(None);
    }
    let problem = match meta {
        Ok(_) => "it holds files that are not part of the checkpoint",
        Err(_) => "its meta.json cannot be read or is of another step, so nothing shows which files are ours",
    };
    Ok(Some(TrainError::Kept { path: path.into(), problem: problem.into() }))
}
