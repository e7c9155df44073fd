//! Atomic writes, plain files, locks, and the only place where files are deleted.
//!
//! Every file is written to a temporary name in the same directory, flushed to disk, and then
//! renamed, which file systems do atomically. A process that is killed at any moment leaves the old
//! file, the new file, or a temporary file, whose name has a pattern that no other program uses:
//! `.NAME.flow-matching-PID.partial`. The next process that locks the directory removes it.
//!
//! ```
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("a.txt");
//! fm_train::files::write(&path, b"one").unwrap();
//! fm_train::files::write(&path, b"two").unwrap();
//! assert_eq!(std::fs::read(&path).unwrap(), b"two");
//! assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
//! ```

use crate::TrainError;
use crate::error::NotPlain;
use fm_core::budget::{self, Budget, Limits};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const MARK: &str = ".flow-matching-";
const SUFFIX: &str = ".partial";

/// Writes a file atomically and durably.
///
/// # Errors
/// [`TrainError::Io`]; nothing is left behind.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    publish(path, |partial| write_plain(partial, bytes))
}

/// The file that shows that a directory is a run's.
pub(crate) const RUN: &str = ".flow-matching-run";

/// Files of a run, or of pairs, that only training writes.
const KEPT: [&str; 8] = [
    "config.json",
    "config.toml",
    "metrics.jsonl",
    "model.safetensors",
    "moments.jsonl",
    "pairs.json",
    "run.lock",
    "timing.jsonl",
];

/// Whether a file with this path, links followed, would be in a checkpoint, or replace what a run
/// needs.
fn is_kept_by_a_run(path: &Path) -> bool {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A link may be to a file that is not there yet.
    let path =
        fs::read_link(path).map_or_else(|_| parent.join(path.file_name().unwrap_or_default()), |to| parent.join(to));
    let absent = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    let Some(target) = fs::canonicalize(&path).ok().or_else(absent) else { return false };
    let (directory, name) = (target.parent().unwrap_or(Path::new("/")), target.file_name().unwrap_or_default());
    let holds = |name: &str| directory.join(name).is_file();
    let step = directory.file_name().is_some_and(|name| name.as_bytes().starts_with(b"step-"));
    step && holds("meta.json") || (holds(RUN) || holds("pairs.json")) && KEPT.iter().any(|kept| name == *kept)
}

/// Writes a file whose path a user gave. A link is followed; a pipe, a device or a socket is opened
/// and written, never replaced; a plain file is written as by [`write()`]. What is inside a run's
/// directory is the run's: a link or a pipe there is replaced. Nothing is written into a
/// checkpoint, or over what a run needs.
///
/// # Errors
/// [`TrainError::Taken`], and [`TrainError::Io`]; nothing is left behind.
pub fn output(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    if is_kept_by_a_run(path) {
        return Err(TrainError::Taken { path: path.into() });
    }
    if path.ancestors().skip(1).take(2).any(|directory| directory.join(RUN).is_file()) {
        return write(path, bytes);
    }
    let Ok(found) = fs::metadata(path) else {
        // A link to a file that is not there yet.
        return match fs::read_link(path) {
            Ok(target) => write(&path.parent().unwrap_or(Path::new("")).join(target), bytes),
            Err(_) => write(path, bytes),
        };
    };
    // Standard output may be redirected to a file, in which messages follow the bytes.
    if ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name)) {
        let mut out = io::stdout().lock();
        return out.write_all(bytes).and_then(|()| out.flush()).map_err(TrainError::io("write", path));
    }
    if found.is_file() || found.is_dir() {
        return write(&fs::canonicalize(path).map_err(TrainError::io("resolve", path))?, bytes);
    }
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(TrainError::io("write", path))
}

/// Calls `make` to create a file or a directory of files at a temporary path, then moves it to
/// `path`, which must not be a non-empty directory.
///
/// # Errors
/// The error of `make`, or [`TrainError::Io`]; the temporary path is removed.
pub fn publish(path: &Path, make: impl FnOnce(&Path) -> Result<(), TrainError>) -> Result<(), TrainError> {
    let partial = partial_path(path);
    let result = make(&partial).and_then(|()| {
        fs::rename(&partial, path).map_err(TrainError::io("move into place", path))?;
        sync(path.parent().unwrap_or(Path::new(".")))
    });
    if result.is_err() {
        // A leftover is harmless, and the first error is more important.
        let _ = delete(&Owned::Partial(&partial));
    }
    result
}

/// Writes a new file and flushes it, without the rename: for files inside a directory that is
/// published as a whole.
///
/// # Errors
/// [`TrainError::Io`], also if the file exists.
pub fn write_plain(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let mut file = File::create_new(path).map_err(TrainError::io("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(TrainError::io("write", path))
}

/// Flushes a directory's entries, or a file, to the disk.
///
/// # Errors
/// [`TrainError::Io`].
pub fn sync(path: &Path) -> Result<(), TrainError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|f| f.sync_all()).map_err(TrainError::io("flush", path))
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of a stream, in hexadecimal, with a buffer of constant size.
///
/// # Errors
/// Those of reading.
pub fn sha256_of(mut stream: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut stream, &mut hash)?;
    Ok(hexadecimal(&hash.finalize()))
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// Opens a plain file. Symbolic links are not followed, and pipes and devices are not opened, so
/// this cannot block.
///
/// # Errors
/// Those of the operating system, and [`ErrorKind::InvalidInput`] for a file that is not plain.
pub fn open_plain(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    if let Ok(found) = fs::symlink_metadata(path) {
        plain(found.file_type())?;
    }
    // The flags cover the time between that look and this one.
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    plain(file.metadata()?.file_type())?;
    Ok(file)
}

fn plain(found: fs::FileType) -> io::Result<()> {
    let kind = match found {
        f if f.is_file() => return Ok(()),
        f if f.is_symlink() => "a symbolic link",
        f if f.is_dir() => "a directory",
        f if f.is_fifo() => "a pipe",
        _ => "a device or a socket",
    };
    Err(io::Error::new(ErrorKind::InvalidInput, NotPlain { kind }))
}

/// Creates a directory and those above it; something else of that name is named for what it is.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            let kind = if found.is_file() { "a file" } else { "a device, a pipe or a socket" };
            Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {kind}, not a directory")))
        }
        _ => fs::create_dir_all(path),
    }
}

/// Parses the JSON text of a file, whose values are counted before they are kept.
///
/// # Errors
/// The problem of the text, in a few words.
pub fn json<T: DeserializeOwned>(text: &[u8], budget: &mut Budget) -> Result<T, String> {
    budget.count(budget::json_values(text)).and_then(|()| budget.spend_work(text.len())).map_err(|e| e.cause())?;
    serde_json::from_slice(text).map_err(|error| fm_core::message::brief(&error.to_string(), 90))
}

/// Start of the line of a JSON text that holds the SHA-256 of all other lines.
const CHECKSUM: &str = "  \"sha256\": \"";

/// Adds the SHA-256 of a JSON text of several lines as its first entry.
pub fn with_checksum(text: &str) -> String {
    let hash = sha256(text.as_bytes());
    text.replacen("{\n", &format!("{{\n{CHECKSUM}{hash}\",\n"), 1)
}

/// The text without that entry, and the hash.
pub fn without_checksum(text: &str) -> (String, Option<&str>) {
    let found = text.strip_prefix("{\n").and_then(|rest| rest.strip_prefix(CHECKSUM)?.split_once("\",\n"));
    found.map_or_else(|| (text.to_owned(), None), |(hash, rest)| (format!("{{\n{rest}"), Some(hash)))
}

/// Reads a plain file, and makes the budget for parsing it.
///
/// # Errors
/// As [`open_plain`]; a file that is longer than the limits allow, before it is read.
pub fn read_plain(path: &Path, limits: &'static Limits) -> io::Result<(Vec<u8>, Budget)> {
    let file = open_plain(path, OpenOptions::new().read(true))?;
    let length = file.metadata()?.len();
    let budget = Budget::new(limits, length).map_err(|over| io::Error::other(over.cause()))?;
    Ok((take(file, length)?, budget))
}

/// Reads a plain file of at most `most` bytes, a size that is fixed by this program or recorded in
/// another file.
///
/// # Errors
/// As [`read_plain`].
pub fn read_known(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_plain(path, OpenOptions::new().read(true))?;
    let length = file.metadata()?.len();
    if length > most {
        return Err(io::Error::other(format!("it has {length} bytes, more than {most}")));
    }
    take(file, length)
}

/// The first `length` bytes of a file, which may grow while it is read.
fn take(file: File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a name from a file is that of an entry of the same directory.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".."
}

/// The lock of a directory, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    directory: PathBuf,
    _file: File,
}

/// Takes a directory's lock. The lock file is opened as it is: its content does not change.
///
/// # Errors
/// [`TrainError::Locked`] while another process holds it; [`TrainError::NotPlain`] for a link, a
/// pipe or a device of that name.
pub fn lock(directory: &Path, name: &str) -> Result<Lock, TrainError> {
    let path = directory.join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = open_plain(&path, &mut options).map_err(TrainError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { directory: directory.into(), _file: file }),
        Err(TryLockError::WouldBlock) => Err(TrainError::Locked { path: directory.into() }),
        Err(TryLockError::Error(error)) => Err(TrainError::io("lock", &path)(error)),
    }
}

impl Lock {
    /// Removes temporary files that killed processes left in the locked directory and in these
    /// directories below it: only those that [`publish`] made.
    pub fn clean(&self, below: &[&str]) {
        let directories = below.iter().map(|name| self.directory.join(name)).chain([self.directory.clone()]);
        for entry in directories.flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten()) {
            // A leftover is harmless.
            let _ = delete(&Owned::Partial(&entry.path()));
        }
    }
}

/// Something that this crate made, with what shows it.
#[derive(Debug)]
pub(crate) enum Owned<'a> {
    /// A temporary file or directory of [`publish`]: its name shows it.
    Partial(&'a Path),
    /// A directory of files, such as a checkpoint: the names in its index show which are ours. They
    /// are removed in this order.
    Listed(&'a Path, &'a [&'a str]),
}

/// Deletes what is ours, and nothing else, and returns whether nothing remains. All deletions of
/// this crate go through this function. Directories inside, links, and files that are not ours
/// stay, and so does the directory that contains them.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn delete(owned: &Owned<'_>) -> Result<bool, TrainError> {
    let (Owned::Partial(path) | Owned::Listed(path, _)) = *owned;
    let failed = || TrainError::io("remove", path);
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(true) };
    let partial = matches!(owned, Owned::Partial(_));
    if partial && !is_partial(path) {
        return Ok(false);
    }
    if partial && found.is_file() {
        return gone(fs::remove_file(path)).map_err(failed());
    }
    if !found.is_dir() {
        return Ok(false);
    }
    let ours: Vec<PathBuf> = match owned {
        Owned::Partial(_) => {
            let entries = fs::read_dir(path).map_err(failed())?;
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(failed())?
        }
        Owned::Listed(_, names) => names.iter().filter(|n| is_plain_name(n)).map(|n| path.join(n)).collect(),
    };
    for file in ours.iter().filter(|file| fs::symlink_metadata(file).is_ok_and(|found| found.is_file())) {
        gone(fs::remove_file(file)).map_err(failed())?;
    }
    gone(fs::remove_dir(path)).map_err(failed())
}

/// Whether a removal leaves nothing: false for a directory that still has entries.
fn gone(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves something out of the way, to the first free name `NAME.damaged-K`.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn set_aside(path: &Path) -> Result<(), TrainError> {
    let name = |k: u32| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{k}"));
        path.with_file_name(name)
    };
    let free = (1..u32::MAX).map(name).find(|aside| fs::symlink_metadata(aside).is_err());
    let Some(aside) = free else { return Ok(()) };
    fs::rename(path, aside).map_err(TrainError::io("move aside", path))
}

fn partial_path(path: &Path) -> PathBuf {
    // Processes of several containers can have one number, and write into one directory.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = format!("{MARK}{}-{:x}{SUFFIX}", std::process::id(), since.as_nanos() as u32);
    let name = path.file_name().unwrap_or_default().as_bytes();
    // The start of a name as long as names may be.
    let kept = &name[..name.len().min(LONGEST_NAME - 1 - end.len())];
    path.with_file_name(OsString::from_vec([b".", kept, end.as_bytes()].concat()))
}

/// The longest name of a file, in bytes.
const LONGEST_NAME: usize = 255;

/// Whether a path has a name that [`publish`] makes.
fn is_partial(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let made = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(SUFFIX)?.rsplit_once(MARK));
    made.is_some_and(|(name, process)| {
        // Earlier versions wrote the number of the process only.
        let (process, stamp) = process.split_once('-').unwrap_or((process, "0"));
        let number = process.parse::<u32>().is_ok_and(|number| number.to_string() == process);
        let stamp = u64::from_str_radix(stamp, 16).is_ok_and(|number| format!("{number:x}") == stamp);
        !name.is_empty() && number && stamp
    })
}
