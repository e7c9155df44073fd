//! Counts CUDA devices by loading libtorch's CUDA half, as the programs do.
//!
//! xtask does not link libtorch, and a broken driver may crash a process that loads its libraries.
//! So xtask runs itself with the hidden command `count-cuda-devices`, which opens the two libraries
//! and calls `c10::cuda::device_count()`.

#![allow(unsafe_code, reason = "loads shared libraries and calls one function of them")]

use anyhow::{Context, anyhow};
use clap::Args;
use fm_terminal::println;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::error::Error;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(crate) use xtask_shell::CUDA_HALF;
const CPU_HALF: &str = "libtorch_cpu.so";
/// `signed char c10::cuda::device_count()`.
const DEVICE_COUNT: &[u8] = b"_ZN3c104cuda12device_countEv";
/// Loading libtorch_cuda.so takes seconds from a cold disk, and initialising the first device a few
/// more.
const LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(crate) struct CountArgs {
    /// Directory of libtorch_cpu.so.
    cpu: PathBuf,
    /// Path of libtorch_cuda.so.
    cuda: PathBuf,
}

/// Prints the number of devices. Runs in a separate process.
pub(crate) fn run(args: &CountArgs) -> anyhow::Result<()> {
    let _cpu = open(&args.cpu.join(CPU_HALF))?;
    let cuda = open(&args.cuda)?;
    // SAFETY: the symbol is a function without arguments that returns an 8-bit integer.
    let count = unsafe {
        let device_count = cuda.get::<unsafe extern "C" fn() -> i8>(DEVICE_COUNT);
        device_count.map_err(|_| anyhow!("{} has no c10::cuda::device_count()", args.cuda.display()))?()
    };
    println!("{count}");
    Ok(())
}

/// The library stays loaded until the process ends.
fn open(path: &Path) -> anyhow::Result<std::mem::ManuallyDrop<Library>> {
    // SAFETY: runs the initialisers of libtorch's own library.
    match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => Ok(std::mem::ManuallyDrop::new(library)),
        Err(error) => Err(anyhow!("{}", error.source().map_or_else(|| error.to_string(), ToString::to_string))),
    }
}

/// The CUDA half that a program would load: from `LD_LIBRARY_PATH`, then from `lib/cuda`, then from
/// `lib`.
pub(crate) fn find(lib: &Path) -> Option<PathBuf> {
    let variable = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let listed: Vec<PathBuf> = std::env::split_paths(&variable).filter(|p| !p.as_os_str().is_empty()).collect();
    let places = listed.into_iter().chain([lib.join("cuda"), lib.to_owned()]);
    places.map(|place| place.join(CUDA_HALF)).find(|path| path.exists())
}

/// Counts the devices in a child process.
///
/// # Errors
/// The reason that devices cannot be counted: the dynamic linker's message, a crash, or a child
/// that does not end.
pub(crate) fn count(lib: &Path, half: &Path) -> anyhow::Result<usize> {
    let mut child = Command::new(std::env::current_exe().context("cannot find xtask's own program")?);
    child.arg("count-cuda-devices").arg(lib).arg(half);
    counted_by(&mut child, LIMIT)
}

fn counted_by(command: &mut Command, limit: Duration) -> anyhow::Result<usize> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().context("cannot start the process that loads CUDA")?;
    let Some(status) = wait(&mut child, limit)? else {
        let _ = (child.kill(), child.wait());
        return Err(anyhow!("loading CUDA did not end within {} s", limit.as_secs_f64()));
    };
    let (mut printed, mut complaint) = (String::new(), String::new());
    child.stdout.take().context("no output")?.read_to_string(&mut printed)?;
    child.stderr.take().context("no output")?.read_to_string(&mut complaint)?;
    if let Some(signal) = status.signal() {
        return Err(anyhow!("the process that loads CUDA crashed (signal {signal})"));
    }
    if !status.success() {
        let line = complaint.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or(complaint.trim());
        return Err(anyhow!("{line}"));
    }
    let number = printed.trim().parse::<i8>().with_context(|| format!("an unreadable count: {:?}", printed.trim()))?;
    Ok(usize::try_from(number).unwrap_or(0))
}

/// The exit status, or `None` after the time limit. The output of the child fits into the pipes.
fn wait(child: &mut Child, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(POLL);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Result<usize, String> {
        counted_by(Command::new("sh").args(["-c", script]), limit).map_err(|error| error.to_string())
    }

    #[test]
    fn crashes_and_hangs_of_the_child_are_reported() {
        let soon = Duration::from_secs(20);
        assert_eq!(shell("echo 2", soon), Ok(2));
        assert_eq!(shell("echo -1", soon), Ok(0));
        assert!(shell("kill -SEGV $$", soon).is_err_and(|e| e.contains("crashed (signal 11)")));
        assert_eq!(shell("echo noise >&2; echo 'error: no driver' >&2; exit 2", soon), Err("no driver".into()));
        assert!(
            shell("exec sleep 30", Duration::from_millis(100)).is_err_and(|e| e.contains("did not end within 0.1 s"))
        );
        assert!(shell("echo many", soon).is_err_and(|e| e.contains("unreadable count")));
    }
}
