//! Lets the tests find libtorch without exported variables, and hands its place on so that a program can load its CUDA half.

fn main() {
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").unwrap_or_default();
    println!("cargo::rustc-env=LIBTORCH_LIB_DIR={lib}");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
}
