//! The files of a libtorch, and which of them are needed.

use super::plan::Variant;
use std::path::PathBuf;

/// The files of a libtorch, in any location.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) version: String,
    /// The directory of headers.
    pub(crate) include: PathBuf,
    /// Directories of shared libraries.
    pub(crate) libs: Vec<PathBuf>,
    /// Directories of CUDA's and NCCL's headers, if they are included.
    pub(crate) cuda_headers: Vec<PathBuf>,
    /// Whether the files belong to another installation, so that they are linked rather than moved.
    pub(crate) borrowed: bool,
    /// Whether all files were compared with the hashes of their wheels.
    pub(crate) checked: bool,
}

/// The directory of a library below `lib`, if the library is needed.
pub(crate) fn wanted(name: &str, variant: Variant) -> Option<&'static str> {
    // libcudart and libcupti belong to the CPU half because PyTorch's Linux wheels link
    // libtorch_cpu against them.
    const CPU: [&str; 8] = [
        "libtorch_cpu.",
        "libc10.",
        "libgomp",
        "libtorch_global_deps.",
        "libcudart",
        "libcupti.so",
        "libcupti-",
        "libomp",
    ];
    let library = name.contains(".so") || name.ends_with(".dylib");
    let unneeded = name.starts_with("libtorch_python")
        || name.starts_with("libshm")
        || name.starts_with("libtorch.so")
        || name.contains("lib_alias");
    let mac = name.ends_with(".dylib");
    match variant {
        _ if !library || unneeded => None,
        _ if mac || CPU.iter().any(|p| name.starts_with(p)) => Some("lib"),
        Variant::Cpu => None,
        Variant::Cuda(_) => Some("lib/cuda"),
    }
}
