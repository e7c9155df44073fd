//! The programs under test: built, then started with strikes, with outputs that fail, and with a
//! time limit.

use anyhow::{Context, ensure};
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use xtask_shell::{TESTED, cargo, execute, target};

/// The names of the programs.
const PROGRAMS: [&str; 2] = ["cifar-train", "tabular-train"];
const SHIM: &str = include_str!("shim.c");

/// Built programs, and the library that strikes at their calls.
#[derive(Debug)]
pub(crate) struct Programs {
    binaries: PathBuf,
    shim: PathBuf,
    work: PathBuf,
}

/// A strike at a call that changes files, by the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    /// Its name in `shim.c`.
    pub(crate) action: &'static str,
    /// The number of the call, from 1.
    pub(crate) call: usize,
    /// The signal or the error number.
    pub(crate) value: i32,
}

/// Where the outputs of a program go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// Into files.
    Kept,
    /// Standard output is a pipe that nobody reads.
    ClosedPipe,
    /// Both outputs are such pipes.
    ClosedPipes,
    /// Standard output is a full disk.
    Full,
    /// Standard error is a full disk.
    FullError,
    /// Neither output is open.
    Shut,
}

/// How to run a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How<'a> {
    /// The directory whose calls are counted.
    pub(crate) root: &'a Path,
    pub(crate) at: Option<At>,
    pub(crate) outputs: Outputs,
    /// The process is killed after this time.
    pub(crate) kill_after: Option<Duration>,
    /// A process that runs longer hangs.
    pub(crate) limit: Duration,
}

/// The end of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// The program ran longer than the limit, and was killed.
    pub(crate) hung: bool,
    pub(crate) seconds: f64,
    /// The calls that were counted: name and path.
    pub(crate) calls: Vec<(String, PathBuf)>,
    /// The last line of standard error.
    pub(crate) error: String,
    /// All of standard error.
    pub(crate) said: String,
}

impl Programs {
    /// Builds the programs and the library.
    pub(crate) fn build(work: &Path) -> anyhow::Result<Self> {
        xtask_shell::ensure_libtorch()?;
        let mut build = cargo(&["build", "--quiet", "--workspace", "--features", TESTED]);
        execute(build.args(PROGRAMS.iter().flat_map(|name| ["--bin", name])))?;
        let (source, shim) = (work.join("shim.c"), work.join("shim.so"));
        fs::write(&source, SHIM)?;
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut compile = Command::new(compiler);
        compile.args(["-std=gnu11", "-O1", "-fPIC", "-shared", "-pthread", "-o"]).arg(&shim).arg(&source);
        execute(&mut compile).context("torture compiles a library that the programs preload")?;
        Ok(Self { binaries: target().join("debug"), shim, work: work.into() })
    }

    /// The text that a program prints, with its exit code 0.
    pub(crate) fn text(&self, program: &str, words: &[&str]) -> anyhow::Result<String> {
        xtask_shell::output(Command::new(self.binaries.join(program)).args(words))
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, program: &str, words: &[String], how: &How<'_>) -> anyhow::Result<Ended> {
        let [log, out, err] = ["calls", "out", "err"].map(|name| self.work.join(name));
        for path in [&log, &out, &err] {
            fs::write(path, "")?;
        }
        let binary = self.binaries.join(program);
        let mut command = if how.outputs == Outputs::Shut {
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec \"$0\" \"$@\" >&- 2>&-"]).arg(&binary);
            shell
        } else {
            Command::new(&binary)
        };
        command.args(words).current_dir(&self.work).stdin(Stdio::null());
        command.env("OMP_NUM_THREADS", "1").env_remove("RUST_BACKTRACE");
        // A shell would use up the strike.
        if how.outputs != Outputs::Shut {
            command.env("LD_PRELOAD", &self.shim).env("TORTURE_ROOT", how.root).env("TORTURE_LOG", &log);
        }
        if let Some(At { action, call, value }) = how.at {
            command.env("TORTURE_ACTION", action);
            command.env("TORTURE_AT", call.to_string()).env("TORTURE_VALUE", value.to_string());
        }
        let full = || OpenOptions::new().write(true).open("/dev/full");
        command.stdout(match how.outputs {
            Outputs::ClosedPipe | Outputs::ClosedPipes => Stdio::piped(),
            Outputs::Full => full()?.into(),
            _ => File::create(&out)?.into(),
        });
        command.stderr(match how.outputs {
            Outputs::ClosedPipes => Stdio::piped(),
            Outputs::FullError => full()?.into(),
            _ => File::create(&err)?.into(),
        });
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        drop((child.stdout.take(), child.stderr.take()));
        let mut hung = false;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            hung = started.elapsed() > how.limit;
            if hung || how.kill_after.is_some_and(|after| started.elapsed() >= after) {
                child.kill()?;
                break child.wait()?;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok(Ended::new(status, hung, started.elapsed(), (&log, &err)))
    }
}

impl Ended {
    fn new(status: ExitStatus, hung: bool, took: Duration, (log, err): (&Path, &Path)) -> Self {
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let split = |line: &str| line.split_once(' ').map(|(call, path)| (call.to_owned(), path.into()));
        Self {
            code: status.code(),
            signal: status.signal(),
            hung,
            seconds: took.as_secs_f64(),
            calls: text(log).lines().filter_map(split).collect(),
            error: text(err).lines().next_back().unwrap_or_default().chars().take(300).collect(),
            said: text(err),
        }
    }

    /// What is wrong with this end, whatever the strike was: a hang, a panic, an abort, a fault of
    /// memory.
    pub(crate) fn crash(&self) -> Option<String> {
        const FAULTS: [i32; 6] = [4, 6, 7, 8, 11, 31];
        let panicked = self.code.is_some_and(|code| code == 101 || code >= 132);
        let faulted = self.signal.is_some_and(|signal| FAULTS.contains(&signal));
        (self.hung || panicked || faulted).then(|| self.describe())
    }

    /// The end in words.
    pub(crate) fn describe(&self) -> String {
        let how = match (self.hung, self.code, self.signal) {
            (true, ..) => format!("it hung for {:.0} s", self.seconds),
            (_, Some(code), _) => format!("exit code {code}"),
            (.., Some(signal)) => format!("signal {signal}"),
            _ => "an unknown end".into(),
        };
        if self.error.is_empty() { how } else { format!("{how}: {}", self.error) }
    }

    /// Requires the exit code 0.
    pub(crate) fn success(&self) -> anyhow::Result<()> {
        ensure!(self.code == Some(0) && !self.hung, "{}", self.describe());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_aborts_and_hangs_are_crashes_and_other_ends_are_not() {
        let ended = |code, signal, hung| Ended {
            code,
            signal,
            hung,
            seconds: 1.0,
            calls: vec![],
            error: String::new(),
            said: String::new(),
        };
        let crashes = [(Some(101), None), (Some(134), None), (Some(139), None), (None, Some(6)), (None, Some(11))];
        assert!(crashes.iter().all(|(code, signal)| ended(*code, *signal, false).crash().is_some()));
        let ends = [(Some(0), None), (Some(2), None), (Some(130), None), (None, Some(9)), (None, Some(1))];
        assert!(ends.iter().all(|(code, signal)| ended(*code, *signal, false).crash().is_none()));
        assert!(ended(None, Some(9), true).crash().is_some());
    }
}
