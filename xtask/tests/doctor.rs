//! `cargo xtask doctor` over tiny libraries that take the place of libtorch.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Compiles `source` into a shared library.
fn library(source: &str, path: &Path) {
    let file = path.with_extension("c");
    std::fs::write(&file, source).unwrap();
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(path).arg(&file).status().unwrap();
    assert!(status.success());
}

/// Where the linker searches, without this machine's own CUDA half. Built beside crates with the
/// feature `tch`, xtask links libtorch and needs it to start.
fn library_path() -> OsString {
    let listed = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    std::env::join_paths(std::env::split_paths(&listed).filter(|dir| !dir.join("libtorch_cuda.so").exists())).unwrap()
}

/// The lines of doctor about CUDA, with libtorch's CUDA half compiled from `source` where there is
/// one.
fn doctor(source: Option<&str>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let lib = dir.path().join("lib");
    std::fs::create_dir(&lib).unwrap();
    library("int fm_fake_cpu(void) { return 0; }", &lib.join("libtorch_cpu.so"));
    if let Some(source) = source {
        library(source, &lib.join("libtorch_cuda.so"));
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    // An empty PATH: this machine's driver is not asked.
    command.arg("doctor").env("LIBTORCH", dir.path()).env("LD_LIBRARY_PATH", library_path()).env("PATH", dir.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.contains(" CUDA "));
    lines.by_ref().take_while(|line| !line.contains(" driver ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn only_a_counted_device_makes_cuda_usable() {
    let counts =
        |body: &str| format!("#include <stdlib.h>\nsigned char _ZN3c104cuda12device_countEv(void) {{ {body} }}");
    let two = doctor(Some(&counts("return 2;")));
    assert!(two.starts_with("ok") && two.contains("counts 2 CUDA device(s); --device cuda works"), "{two}");
    // The files of a CUDA build alone prove nothing.
    let none = doctor(Some(&counts("return 0;")));
    assert!(none.starts_with("look") && none.contains("counts no device") && none.contains("fix: "), "{none}");
    let crash = doctor(Some(&counts("abort();")));
    assert!(crash.starts_with("look") && crash.contains("crashed (signal 6)") && crash.contains("fix: "), "{crash}");
    let broken = doctor(Some("extern int missing_driver(void); int f(void) { return missing_driver(); }"));
    assert!(broken.starts_with("look") && broken.contains("undefined symbol: missing_driver"), "{broken}");
    let other = doctor(Some("int f(void) { return 0; }"));
    assert!(other.contains("has no c10::cuda::device_count()"), "{other}");
    assert!(!doctor(None).contains("--device cuda works"));
}

/// The CUDA half may need symbols of the CPU half, which is loaded first.
#[test]
fn the_cpu_half_is_loaded_first() {
    let found = doctor(Some(
        "extern int fm_fake_cpu(void); signed char _ZN3c104cuda12device_countEv(void) { return 1 + fm_fake_cpu(); }",
    ));
    assert!(found.contains("counts 1 CUDA device(s)"), "{found}");
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = command.arg("doctor").stdout(full).stderr(std::process::Stdio::piped()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("free space or redirect it"), "{told}");
}
