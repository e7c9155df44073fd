//! Worker processes for one side of a comparison, and the Python environment of the peers.

use super::places;
use anyhow::{Context, bail, ensure};
use fm_terminal::println;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use xtask_shell::{execute, output, python};

/// OpenBLAS threads spin for 2^28 cycles after their work, on cores that the next contestant needs.
const PAUSE: Duration = Duration::from_millis(150);

/// A process that answers one line of JSON for each request.
pub(super) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// The answer to a request for work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) seconds: f64,
    /// The result; NaN if there is none.
    pub(super) value: f64,
    /// The L1 error of the marginals.
    pub(super) error: f64,
}

/// Starts one of our programs, built with optimisation.
pub(super) fn ours(name: &str) -> Command {
    Command::new(places::workers().join(name))
}

/// Starts a script of the peers.
pub(super) fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(places::root().join("benches/peers").join(name));
    command
}

/// A directory for the files that a suite's workers share.
pub(super) fn folder(suite: &str) -> anyhow::Result<String> {
    let home = places::root().join("target").join(format!("bench-{suite}"));
    std::fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    Ok(home.to_str().context("the workspace's path is not UTF-8")?.to_owned())
}

/// The number of threads: at most `most`, and at most the number of cores.
pub(super) fn threads(most: usize) -> usize {
    most.min(std::thread::available_parallelism().map_or(1, usize::from))
}

impl Worker {
    pub(super) fn start(command: &mut Command, threads: usize) -> anyhow::Result<Self> {
        for variable in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
            command.env(variable, threads.to_string());
        }
        // Without backtraces, an error is one line.
        command.env_remove("RUST_BACKTRACE");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start a worker")?;
        let (input, stdout) = (child.stdin.take(), child.stdout.take().context("a worker has no output")?);
        Ok(Self { child, input, answers: BufReader::new(stdout) })
    }

    pub(super) fn ask(&mut self, request: &str) -> anyhow::Result<Value> {
        self.send(request)?;
        self.receive(request)
    }

    /// The versions of the worker's libraries.
    pub(super) fn versions(&mut self) -> anyhow::Result<String> {
        let known = self.ask("versions")?;
        let name = |(k, v): (&String, &Value)| format!("{k} {}", v.as_str().unwrap_or_default());
        Ok(known.as_object().into_iter().flatten().map(name).collect::<Vec<_>>().join(", "))
    }

    pub(super) fn send(&mut self, request: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.input.as_mut().context("the worker is closed")?, "{request}")?)
    }

    /// Receives the answer to a request.
    pub(super) fn receive(&mut self, request: &str) -> anyhow::Result<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "a worker ended at `{request}`; its reason is above");
        serde_json::from_str(&line).with_context(|| format!("a worker answered `{request}` with {line}"))
    }

    /// Does a piece of work once, after the threads of the previous contestant have gone to sleep.
    pub(super) fn solve(&mut self, request: &str) -> anyhow::Result<Answer> {
        std::thread::sleep(PAUSE);
        let answer = self.ask(request)?;
        let number = |key: &str| answer[key].as_f64().unwrap_or(f64::NAN);
        let seconds = answer["seconds"].as_f64().with_context(|| format!("`{request}` was answered without a time"))?;
        Ok(Answer { seconds, value: number("value"), error: number("error") })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The worker ends when its input is closed.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The peers that a suite needs: those without PyTorch and its gigabytes, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peers {
    Light,
    All,
}

impl Peers {
    /// The requirements file for pip; the longer one includes the other.
    fn list(self) -> &'static str {
        match self {
            Self::Light => "requirements-light.txt",
            Self::All => "requirements.txt",
        }
    }

    /// The pinned requirements.
    fn pinned(self, home: &Path) -> anyhow::Result<String> {
        let read = |list: Self| {
            let path = home.join(list.list());
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(if self == Self::All { read(Self::Light)? + &read(Self::All)? } else { read(Self::Light)? })
    }
}

/// The Python of a virtual environment with the pinned peers; it is created, or updated if packages
/// are missing or their versions have changed.
pub(super) fn environment(peers: Peers) -> anyhow::Result<PathBuf> {
    if let Some(python) = places::python() {
        return Ok(python);
    }
    let (home, lists) = (places::root().join("target/peers"), places::root().join("benches/peers"));
    let python_there = home.join("bin/python");
    let installed = |peers: Peers| -> anyhow::Result<bool> {
        let wanted = peers.pinned(&lists)?;
        Ok(std::fs::read_to_string(home.join(peers.list())).is_ok_and(|stamp| stamp == wanted))
    };
    if python_there.exists() && (installed(peers)? || installed(Peers::All)?) {
        return Ok(python_there);
    }
    println!("installing the peers into {}", home.display());
    if !python_there.exists() {
        output(Command::new(python()?).args(["-m", "venv", "--clear"]).arg(&home))
            .context("Python cannot make a virtual environment (Debian: apt-get install python3-venv)")?;
    }
    let list = lists.join(peers.list());
    let mut pip = Command::new(&python_there);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&list);
    if execute(&mut pip).is_err() {
        bail!("pip could not install {}; check the network, and that Python is 3.11 or newer", list.display());
    }
    std::fs::write(home.join(peers.list()), peers.pinned(&lists)?)?;
    Ok(python_there)
}
