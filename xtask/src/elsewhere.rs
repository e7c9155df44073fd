//! Commands of other programs of this workspace, which are built when one of them is called:
//! `benches/measure`, `tests/torture` and `xtask/dev`.

use fm_terminal::eprintln;
use std::ffi::OsString;
use std::process::ExitCode;
use xtask_shell::cargo;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Arguments of the command; --help lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Runs a command of a package's program and returns its exit code.
pub(crate) fn run(package: &str, command: &str, args: &Args) -> ExitCode {
    let mut program = cargo(&["run", "--quiet", "--package", package, "--", command]);
    match program.args(&args.rest).status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: cannot start cargo ({error}); is it installed?");
            ExitCode::from(2)
        }
    }
}
