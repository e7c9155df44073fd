//! Compiles the shim over libtorch's c10d, and with the feature `nccl` a shared object for its CUDA
//! half.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=shim");
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    let home = PathBuf::from(&lib).join("..");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    let include = env::var_os("LIBTORCH_INCLUDE").map_or(home.clone(), PathBuf::from).join("include");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(1).warnings(false).define("USE_C10D_GLOO", None);
    build
        .include("shim")
        .include(env::var("DEP_FM_TORCH_INCLUDE").unwrap_or_default())
        .include(&include)
        .include(include.join("torch/csrc/api/include"));
    build.clone().file("shim/gloo.cc").compile("fm_dist");
    if env::var_os("CARGO_FEATURE_NCCL").is_some() {
        nccl(build, &home);
    }
}

/// A shared object, because libtorch_cuda, which defines its symbols, is loaded only when a GPU is
/// used.
fn nccl(mut build: cc::Build, libtorch: &Path) {
    let mut places = vec![libtorch.join("cuda-include")];
    for variable in ["CUDA_HOME", "CUDA_PATH", "NCCL_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
        places.extend(env::var_os(variable).map(|home| PathBuf::from(home).join("include")));
    }
    places.push("/usr/local/cuda/include".into());
    for place in places.iter().filter(|p| p.is_dir()) {
        build.include(place).include(place.join("cccl"));
    }
    let found = |header: &str| places.iter().flat_map(|p| [p.clone(), p.join("cccl")]).any(|p| p.join(header).exists());
    for header in ["cuda_runtime_api.h", "nccl.h", "crt/host_config.h", "nv/target"] {
        assert!(
            found(header),
            "the feature nccl needs {header}: run `cargo xtask fetch-libtorch --variant cu130`, or set CUDA_HOME and NCCL_HOME"
        );
    }
    let object = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("libfm_nccl.so");
    build.define("USE_C10D_NCCL", None).define("USE_CUDA", None);
    let mut compiler = build.get_compiler().to_command();
    let status = compiler.args(["-shared", "-fPIC", "shim/nccl.cc", "-o"]).arg(&object).status();
    assert!(status.is_ok_and(|s| s.success()), "the NCCL half of the shim does not compile");
    println!("cargo::rustc-env=FM_NCCL={}", object.display());
}
