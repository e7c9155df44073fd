//! Compiles the shim over libtorch's C++ API.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=shim");
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
}
