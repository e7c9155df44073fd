//! Errors of this crate.

use std::path::PathBuf;

/// Errors of libtorch and of the shim; each text contains the cause and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TorchError {
    /// An invalid device name.
    #[error("no device is called '{}'; choose auto, cpu, cuda or cuda:N", brief(.name))]
    UnknownDevice {
        /// The name.
        name: String,
    },
    /// CUDA was requested, but this libtorch is a CPU build.
    #[error(
        "cannot use CUDA: this libtorch has no libtorch_cuda.so (looked in {}); `cargo xtask fetch-libtorch --variant cu130` brings one, or use the CPU",
        places(.looked)
    )]
    NoCudaHalf {
        /// Directories that were searched.
        looked: Vec<PathBuf>,
    },
    /// The CUDA half exists but cannot be loaded.
    #[error("cannot load {}: {reason}; check it with `cargo xtask doctor`, or use the CPU", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// The message of the dynamic linker.
        reason: String,
    },
    /// libtorch was queried for CUDA before its CUDA half was loaded, and keeps the negative answer
    /// for the whole process.
    #[error(
        "cannot use CUDA: libtorch was asked about CUDA (by tch::Cuda or tch::manual_seed, say) before its CUDA half was loaded; choose the device first"
    )]
    AskedTooEarly,
    /// The CUDA half is loaded but finds no usable device.
    #[error("cannot use CUDA: {reason}; check the driver with `nvidia-smi`, or use the CPU")]
    NoDevice {
        /// The message of CUDA.
        reason: String,
    },
    /// A device number that does not exist.
    #[error("cannot use cuda:{index}: libtorch sees {count} CUDA device(s), numbered from 0; choose another number")]
    NoSuchDevice {
        /// The requested number.
        index: usize,
        /// The number of devices.
        count: usize,
    },
    /// libtorch threw an exception.
    #[error("cannot {action}: {reason}")]
    Thrown {
        /// The attempted operation.
        action: &'static str,
        /// The exception's text, with a remedy if libtorch gives one.
        reason: String,
    },
    /// A forward-mode level was opened inside another.
    #[error("cannot open a forward-mode level inside another; compute the inner derivative first")]
    NestedLevel,
    /// Tensors that do not match.
    #[error("cannot {action}: {problem}; give tensors of matching sizes, types and devices")]
    Mismatch {
        /// The attempted operation.
        action: &'static str,
        /// The mismatch.
        problem: String,
    },
    /// A profile is already running in this process.
    #[error("cannot start a profile: another one is running; finish it first")]
    Profiling,
}

impl TorchError {
    /// An exception returned by tch: the first line of its text, without libtorch's stack trace.
    pub fn thrown(action: &'static str, error: &tch::TchError) -> Self {
        Self::of_text(action, &error.to_string())
    }

    /// An exception with this text.
    pub(crate) fn of_text(action: &'static str, text: &str) -> Self {
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix("Internal torch error: ").unwrap_or(line);
        Self::Thrown { action, reason: cut(line, LONGEST_REASON) }
    }
}

/// The most characters of the text of an exception.
const LONGEST_REASON: usize = 200;

/// A name on one line of at most 60 characters.
fn brief(name: &str) -> String {
    cut(name, 60)
}

/// The first `most` characters of a text, on one line.
fn cut(text: &str, most: usize) -> String {
    let mut line: String = text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        line.push_str("...");
    }
    line
}

fn places(looked: &[PathBuf]) -> String {
    looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}
