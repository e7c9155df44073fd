//! Lets the workers find libtorch without exported variables; in a pack (`cargo xtask gpu-pack`),
//! beside themselves.

fn main() {
    println!("cargo::rerun-if-env-changed=FM_RPATH");
    if let Ok(place) = std::env::var("FM_RPATH") {
        // Without symbols, which nobody needs there.
        println!("cargo::rustc-link-arg=-Wl,-rpath,{place}");
        println!("cargo::rustc-link-arg=-Wl,-s");
    } else if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
