//! `cargo xtask test`: runs all tests of the workspace, with libtorch.

use crate::libtorch::{ensure_present, home};
use clap::Args;
use std::path::PathBuf;
use xtask_shell::{TESTED, cargo, execute};

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Arguments for `cargo test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &TestArgs) -> anyhow::Result<()> {
    ensure_present()?;
    let mut command = cargo(&["test", "--workspace", "--features", TESTED]);
    // In one build, the torch-free crates are linked with libtorch too, but have no build script
    // that sets its path.
    let variable = if cfg!(target_os = "macos") { "DYLD_FALLBACK_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
    let libtorch = std::env::var_os("LIBTORCH").map_or_else(home, PathBuf::from).join("lib");
    let others = std::env::var_os(variable).unwrap_or_default();
    let paths = std::iter::once(libtorch).chain(std::env::split_paths(&others));
    command.env(variable, std::env::join_paths(paths)?);
    // Tests already run in parallel; with libtorch's own threads, they would wait for each other.
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        command.env("OMP_NUM_THREADS", "1");
    }
    execute(command.args(&args.rest))
}
