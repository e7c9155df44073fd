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
    execute(cargo(&["test", "--workspace"]).args(&args.rest))
}
