//! Running other programs, and the directories of this workspace.

pub mod ours;

use anyhow::{Context, ensure};
use fm_terminal::eprintln;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

/// The exit code of a command: 2 after an error, which is printed as one line.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let complete = || match fm_terminal::print::lost() {
        Some(error) => Err(anyhow::anyhow!("cannot write standard output: {error}; free space or redirect it")),
        None => Ok(()),
    };
    result.and_then(|()| complete()).map_or_else(
        |error| {
            eprintln!("error: {}", one_line(&error));
            ExitCode::from(2)
        },
        |()| ExitCode::SUCCESS,
    )
}

/// An error on one line; a failure of the operating system comes with its remedy.
fn one_line(error: &anyhow::Error) -> String {
    let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
    let outside = error.root_cause().downcast_ref::<io::Error>().filter(|error| error.raw_os_error().is_some());
    let remedy = outside.filter(|_| !line.contains("; ")).map(|error| match error.kind() {
        ErrorKind::NotFound => "check the path",
        ErrorKind::PermissionDenied => "check its permissions",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space",
        ErrorKind::IsADirectory => "give a file",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "give another path",
        _ => "check that the path can be used",
    });
    remedy.map_or_else(|| line.clone(), |remedy| format!("{line}; {remedy}"))
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

/// The directory of libtorch in this workspace.
pub fn libtorch() -> PathBuf {
    root().join("libtorch")
}

/// The features with which the whole workspace is tested. Building with the same ones builds
/// nothing twice.
pub const TESTED: &str = "fm-benches/tch,flow-matching/torch,fuzz/tch,hostile/tch,xtask-dev/libtorch";

/// The library with libtorch's CUDA half.
pub const CUDA_HALF: &str = "libtorch_cuda.so";

/// Fetches libtorch, if it is missing, by the project's own command.
///
/// # Errors
/// The failure of the command.
pub fn ensure_libtorch() -> anyhow::Result<()> {
    if std::env::var_os("LIBTORCH").is_some_and(|dir| Path::new(&dir) != libtorch()) {
        return Ok(());
    }
    let mut fetch = cargo(&["run", "--quiet", "--package", "xtask", "--", "fetch-libtorch"]);
    // Standard output is for results.
    execute(fetch.stdout(std::io::stderr())).context("there is no libtorch")
}

/// The target directory of cargo.
pub fn target() -> PathBuf {
    target_of(std::env::var_os("CARGO_TARGET_DIR"))
}

/// The target directory for a value of `CARGO_TARGET_DIR`. Cargo runs in the root of the workspace.
fn target_of(variable: Option<OsString>) -> PathBuf {
    root().join(variable.unwrap_or_else(|| "target".into()))
}

/// A cargo command in the workspace.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    // The programs bound the spinning of libgomp's barriers themselves; tests do not. A measurement
    // is left alone, because the programs beside it would be bounded too.
    let given =
        ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME"].iter().any(|name| std::env::var_os(name).is_some());
    if args.first() == Some(&"test") && !given {
        command.env("GOMP_SPINCOUNT", "10000");
    }
    command
}

/// Runs a program to its end, and passes its output through.
pub fn execute(command: &mut Command) -> anyhow::Result<()> {
    let name = describe(command);
    let status = command.status().with_context(|| format!("cannot start `{name}`; is it installed?"))?;
    ensure!(status.success(), "`{name}` failed ({status}); its output above has the cause");
    Ok(())
}

/// Runs a program and returns its output.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = describe(command);
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("cannot start `{name}`; is it installed?"))?;
    ensure!(
        status.success(),
        "`{name}` failed ({status}): {}; correct this, and run again",
        String::from_utf8_lossy(&stderr).trim()
    );
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A Python that starts, under one of its usual names.
pub fn python() -> anyhow::Result<&'static str> {
    let starts = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    ["python3", "python"].into_iter().find(starts).context("no Python found; install python3 with pip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_where_cargo_builds_them() {
        assert_eq!(target_of(None), root().join("target"));
        assert_eq!(target_of(Some("/elsewhere".into())), Path::new("/elsewhere"));
        assert_eq!(target_of(Some("relative".into())), root().join("relative"));
    }

    #[test]
    fn failures_of_the_operating_system_come_with_a_remedy_on_one_line() {
        let error = std::fs::read("/no/such/file").context("cannot read\n/no/such/file").unwrap_err();
        assert!(one_line(&error).starts_with("cannot read /no/such/file: "), "{error:#}");
        assert!(one_line(&error).ends_with("; check the path"), "{error:#}");
        assert_eq!(one_line(&anyhow::anyhow!("it is wrong; correct it")), "it is wrong; correct it");
    }
}
