//! Commands of other programs of this workspace, which are built when one of them is called:
//! `benches/measure`, `tests/fuzz`, `tests/torture` and `xtask/dev`.

use crate::libtorch::ensure_present;
use fm_terminal::eprintln;
use std::ffi::OsString;
use std::process::{Command, ExitCode};
use xtask_shell::{cargo, exit_code};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments of the command; --help lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Runs a command of a package's program and returns its exit code.
pub(crate) fn run(package: &str, command: &str, args: &Args) -> ExitCode {
    status(&mut cargo(&["run", "--quiet", "--package", package, "--", command]), args)
}

/// As [`run`], for a program that needs libtorch with this feature.
pub(crate) fn run_on_libtorch(package: &str, feature: &str, command: &str, args: &Args) -> ExitCode {
    if let Err(error) = ensure_present() {
        return exit_code(Err(error));
    }
    status(&mut cargo(&["run", "--quiet", "--package", package, "--features", feature, "--", command]), args)
}

fn status(program: &mut Command, args: &Args) -> ExitCode {
    match program.args(&args.rest).status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: cannot start cargo ({error}); is it installed?");
            ExitCode::from(2)
        }
    }
}
