//! A pretend GPU for tests on machines without one.
//!
//! [`build`] compiles a `libtorch_cuda.so` whose device memory is host memory: every operator on a
//! CUDA tensor runs its CPU kernel. A program loads it if its directory comes first in
//! `LD_LIBRARY_PATH`. Host and device tensors in one operator are an error, as on a real GPU.
//! Copies between host and device, kernel launches and values read by the host are counted;
//! [`Counts`] reads the file that the program writes at exit. It cannot show the numerics of CUDA
//! kernels, the data types that they reject, or their speed.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `PRETEND_DEVICES` | number of devices, 1 by default |
//! | `PRETEND_OUT` | file of the counts; none by default |
//! | `UPDATE_LAUNCHES` | if set, tests rewrite `launches.json`, the expected launches per step of each network |

mod runs;

pub use runs::{Runs, assert_launches};

use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name under which programs load the CUDA half of libtorch.
pub const LIBRARY: &str = "libtorch_cuda.so";

const SOURCE: &str = include_str!("pretend.cc");

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum PretendError {
    /// libtorch's headers are missing.
    #[error("cannot build the pretend GPU: no libtorch in {}; set LIBTORCH or run `cargo xtask fetch-libtorch`", .0.display())]
    NoLibtorch(PathBuf),
    /// The compiler does not run or reports errors.
    #[error("cannot compile the pretend GPU with {compiler}: {reason}; install g++ or set CXX")]
    Compiler {
        /// The command.
        compiler: String,
        /// Its first error, or the reason that it does not run.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot use {}: {reason}; check the path and free space", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        reason: io::Error,
    },
    /// The file of counts is damaged.
    #[error("cannot read the counts in {}: {reason}; the program may have been killed", path.display())]
    Counts {
        /// The path.
        path: PathBuf,
        /// The parser's error.
        reason: serde_json::Error,
    },
}

/// Compiles the pretend CUDA half, if it does not exist, and returns its path. The first build
/// takes about 20 seconds. Several processes may call this at the same time.
///
/// # Errors
/// No libtorch, no C++ compiler, or an unwritable `target/`.
pub fn build() -> Result<PathBuf, PretendError> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let libtorch = std::env::var_os("LIBTORCH").map_or_else(|| workspace.join("libtorch"), PathBuf::from);
    let version_file = libtorch.join("build-version");
    let version = fs::read_to_string(&version_file).unwrap_or_default();
    if !libtorch.join("include/ATen/ATen.h").exists() {
        return Err(PretendError::NoLibtorch(libtorch));
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let about = run(&compiler, ["--version".into()])?;
    let mut hasher = DefaultHasher::new();
    (SOURCE, about.lines().next(), version, &libtorch).hash(&mut hasher);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let directory = target.join(format!("pretend-gpu/{:016x}", hasher.finish()));
    let library = directory.join(LIBRARY);
    let at = |path: &Path| {
        let path = path.to_owned();
        move |reason| PretendError::File { path, reason }
    };
    fs::create_dir_all(&directory).map_err(at(&directory))?;
    // One process compiles, the others wait for it.
    let lock_path = directory.join("lock");
    let lock = File::create(&lock_path).map_err(at(&lock_path))?;
    lock.lock().map_err(at(&lock_path))?;
    if !library.exists() {
        let source = directory.join("pretend.cc");
        fs::write(&source, SOURCE).map_err(at(&source))?;
        // Renamed when complete, because a killed compiler leaves an incomplete file.
        let partial = directory.join(format!("{}.partial", std::process::id()));
        let include = |path: &str| joined("-I", &libtorch.join(path));
        let mut words: Vec<OsString> = ["-std=c++17", "-O0", "-w", "-shared", "-fPIC"].map(OsString::from).to_vec();
        words.extend([include("include"), include("include/torch/csrc/api/include")]);
        words.extend([source.into(), "-o".into(), partial.clone().into()]);
        words.extend([joined("-L", &libtorch.join("lib")), "-ltorch_cpu".into(), "-lc10".into()]);
        run(&compiler, words)?;
        fs::rename(&partial, &library).map_err(at(&library))?;
    }
    library.canonicalize().map_err(at(&library))
}

fn joined(flag: &str, path: &Path) -> OsString {
    let mut word = OsString::from(flag);
    word.push(path);
    word
}

fn run(compiler: &str, words: impl IntoIterator<Item = OsString>) -> Result<String, PretendError> {
    let failed = |reason: String| PretendError::Compiler { compiler: compiler.to_owned(), reason };
    let output = Command::new(compiler).args(words).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let first = text.lines().find(|line| line.contains("error")).unwrap_or("it failed without a message");
    Err(failed(first.to_owned()))
}

/// Counts of a program's whole run on the pretend GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Counts {
    /// Copies from host to device.
    pub uploads: u64,
    /// Their bytes.
    pub upload_bytes: u64,
    /// Copies from host memory that is not pinned, which block on a real GPU.
    pub unpinned_uploads: u64,
    /// Copies from device to host.
    pub downloads: u64,
    /// Their bytes.
    pub download_bytes: u64,
    /// Operators whose result the host waits for: single values, and results whose size depends on
    /// values.
    pub numbers_read: u64,
    /// Operators that launch at least one kernel.
    pub launches: u64,
    /// Attention calls that use a fused kernel.
    pub attention_fused: u64,
    /// Attention calls that store the matrix of scores.
    pub attention_by_matrices: u64,
    /// The maximum number of bytes in tensors of one device.
    pub peak_bytes: u64,
    /// Launches by operator.
    pub operators: BTreeMap<String, u64>,
}

impl Counts {
    /// Reads the file that `PRETEND_OUT` names.
    ///
    /// # Errors
    /// A missing or damaged file: the program did not load the pretend GPU, or was killed.
    pub fn read(path: &Path) -> Result<Self, PretendError> {
        let text = fs::read_to_string(path).map_err(|reason| PretendError::File { path: path.to_owned(), reason })?;
        serde_json::from_str(&text).map_err(|reason| PretendError::Counts { path: path.to_owned(), reason })
    }

    /// Averages per step, from this run and a run with `steps` more steps that is otherwise the
    /// same.
    pub fn per_step(&self, longer: &Self, steps: u64) -> PerStep {
        let average = |before: u64, after: u64| (after as f64 - before as f64) / steps as f64;
        let names = longer.operators.keys().chain(self.operators.keys());
        let of = |counts: &Self, name: &str| counts.operators.get(name).copied().unwrap_or(0);
        PerStep {
            uploads: average(self.uploads, longer.uploads),
            upload_bytes: average(self.upload_bytes, longer.upload_bytes),
            unpinned_uploads: average(self.unpinned_uploads, longer.unpinned_uploads),
            downloads: average(self.downloads, longer.downloads),
            numbers_read: average(self.numbers_read, longer.numbers_read),
            launches: average(self.launches, longer.launches),
            attention_fused: average(self.attention_fused, longer.attention_fused),
            attention_by_matrices: average(self.attention_by_matrices, longer.attention_by_matrices),
            operators: names
                .map(|name| (name.clone(), average(of(self, name), of(longer, name))))
                .filter(|(_, launches)| *launches != 0.0)
                .collect(),
        }
    }
}

/// Averages per training step; see [`Counts`] for the meaning of each.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "documented in Counts")]
pub struct PerStep {
    pub uploads: f64,
    pub upload_bytes: f64,
    pub unpinned_uploads: f64,
    pub downloads: f64,
    pub numbers_read: f64,
    pub launches: f64,
    pub attention_fused: f64,
    pub attention_by_matrices: f64,
    pub operators: BTreeMap<String, f64>,
}

#[cfg(test)]
mod tests {
    use super::Counts;
    use std::collections::BTreeMap;

    #[test]
    fn what_a_step_takes_is_a_difference() {
        let operators = |add, mul| BTreeMap::from([("add".to_owned(), add), ("mul".to_owned(), mul)]);
        let short = Counts { uploads: 12, launches: 100, operators: operators(4, 7), ..Counts::default() };
        let long = Counts { uploads: 32, launches: 105, operators: operators(4, 12), ..Counts::default() };
        let step = short.per_step(&long, 5);
        assert_eq!((step.uploads, step.launches, step.downloads), (4.0, 1.0, 0.0));
        assert_eq!(step.operators, BTreeMap::from([("mul".to_owned(), 1.0)]));
    }
}
