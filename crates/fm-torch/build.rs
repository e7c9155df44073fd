//! Compiles the shim over libtorch's C++ API.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=shim");
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo::metadata=include={}", here.join("shim").display());
    // Absent where tch is built for documentation only.
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    let home = env::var_os("LIBTORCH_INCLUDE").map_or_else(|| PathBuf::from(&lib).join(".."), PathBuf::from);
    let include = home.join("include");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(2).warnings(false);
    build.include("shim").include(&include).include(include.join("torch/csrc/api/include"));
    for source in ["cuda", "context", "gradients", "adam", "profile", "forward_ad", "operators"] {
        build.file(format!("shim/{source}.cc"));
    }
    build.compile("fm_torch");
    group_norm(&include);
}

/// Vectorized loops on libtorch's OpenMP threads.
fn group_norm(include: &Path) {
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(3).warnings(false);
    build.include("shim").include(include).include(include.join("torch/csrc/api/include"));
    for flag in ["-fno-math-errno", "-fno-trapping-math"] {
        build.flag_if_supported(flag);
    }
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        build.flag_if_supported("-fopenmp");
    }
    build.file("shim/group_norm.cc").file("shim/group_norm_loops.cc").compile("fm_torch_group_norm");
}
