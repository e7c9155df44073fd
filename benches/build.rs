//! With the feature `tch`, compiles the shim that counts libtorch's operators.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=shim");
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    let home = env::var_os("LIBTORCH_INCLUDE").map_or_else(|| PathBuf::from(&lib).join(".."), PathBuf::from);
    let include = home.join("include");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(1).warnings(false).include(&include);
    build.file("shim/operators.cc").compile("fm_operators");
}
