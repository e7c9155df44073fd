//! `cargo xtask test`: every test of the workspace, with libtorch.

use crate::libtorch::ensure_present;
use crate::shell::{cargo, execute};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// What to hand to `cargo test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &TestArgs) -> anyhow::Result<()> {
    ensure_present()?;
    let mut command = cargo(&["test", "--workspace"]);
    // Tests run side by side already; libtorch's own threads on top would have them wait for each other.
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        command.env("OMP_NUM_THREADS", "1");
    }
    execute(command.args(&args.rest))
}
