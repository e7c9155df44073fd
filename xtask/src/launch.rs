//! `cargo xtask launch`: runs a program as several processes, with the environment variables of
//! torchrun.

use crate::guard::Guard;
use crate::ranks::{Patience, Ranks};
use anyhow::{Context, ensure};
use clap::Args;
use fm_terminal::{eprintln, interrupt};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use xtask_shell::{cargo, execute, target};

#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// Number of processes on this machine.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    nproc: u32,
    /// Number of machines; run this command on each of them.
    #[arg(long, default_value_t = 1, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=65536))]
    nnodes: u32,
    /// Index of this machine, 0 to M - 1.
    #[arg(long, default_value_t = 0, value_name = "R")]
    node_rank: u32,
    /// Host name or address of the machine of rank 0.
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST")]
    master_addr: String,
    /// Port on that machine [default: a free one, or 29500 with several machines]
    #[arg(long, value_name = "PORT")]
    master_port: Option<u16>,
    /// Maximum number of restarts of all processes after a failure; training resumes from its last
    /// checkpoint.
    #[arg(long, default_value_t = 0, value_name = "K")]
    max_restarts: u32,
    /// Build programs of this workspace with optimisation.
    #[arg(long)]
    release: bool,
    /// Features to build them with: nccl, if several GPUs exchange gradients directly.
    #[arg(long, value_name = "NAME,...")]
    features: Option<String>,
    /// The program and its arguments; cifar-train and tabular-train are built first.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Time that processes have to end by themselves after one has failed, before they are killed.
const END: Duration = Duration::from_secs(60);
const PATIENCE: Patience = Patience { look: Duration::from_millis(50), end: END, killed: Duration::from_secs(10) };

pub(crate) fn run(args: &LaunchArgs) -> ExitCode {
    let interrupts = interrupt::count().context("cannot handle Ctrl-C");
    interrupts.and_then(|interrupts| launch(args, &interrupts)).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn launch(args: &LaunchArgs, interrupts: &AtomicUsize) -> anyhow::Result<ExitCode> {
    ensure!(args.node_rank < args.nnodes, "--node-rank is {}; choose 0 to {}", args.node_rank, args.nnodes - 1);
    let alone = args.nnodes == 1;
    ensure!(alone || args.master_addr != "127.0.0.1", "several machines need the host of rank 0; give --master-addr");
    let program = program(args)?;
    let mut guard = Guard::start(END)?;
    for restart in 0..=args.max_restarts {
        let port = match args.master_port {
            Some(port) => port,
            None if alone => free_port()?,
            None => 29500,
        };
        let mut ranks = Ranks::default();
        let interrupted = || interrupts.load(Ordering::SeqCst) > 0;
        for local in 0..args.nproc {
            if interrupted() {
                break;
            }
            let (rank, child) = start(args, &program, local, port, restart)?;
            let id = child.id();
            ranks.add(rank, child);
            guard.watch(id)?;
        }
        let first = ranks.wait(interrupts, PATIENCE);
        // Their numbers may become those of other processes.
        guard.forget()?;
        let all = ranks.end();
        let interrupted = interrupted();
        let Some((rank, status)) = first.and_then(|first| all.get(first)) else {
            let complete = all.len() == args.nproc as usize;
            return Ok(ExitCode::from(if complete { 0 } else { 130 }));
        };
        let (code, said) = status.map_or((None, "an unknown end".into()), |status| (status.code(), status.to_string()));
        if !interrupted {
            eprintln!("launch: rank {rank} ended first, by {said}");
        }
        if interrupted || restart == args.max_restarts {
            return Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
        }
        eprintln!("launch: starting all processes anew, {} of {}", restart + 1, args.max_restarts);
    }
    Ok(ExitCode::SUCCESS)
}

/// The program to run; programs of this workspace are built first.
fn program(args: &LaunchArgs) -> anyhow::Result<PathBuf> {
    let name = &args.command[0];
    if !["cifar-train", "tabular-train"].contains(&name.as_str()) {
        return Ok(name.into());
    }
    let mut build = cargo(&["build", "--quiet", "-p", name]);
    build.args(args.release.then_some("--release"));
    build.args(args.features.iter().flat_map(|features| ["--features", features]));
    execute(&mut build)?;
    Ok(target().join(if args.release { "release" } else { "debug" }).join(name))
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

fn start(args: &LaunchArgs, program: &PathBuf, local: u32, port: u16, restart: u32) -> anyhow::Result<(u32, Child)> {
    let rank = args.node_rank * args.nproc + local;
    let mut command = Command::new(program);
    command.args(&args.command[1..]);
    let numbers = [
        ("RANK", rank),
        ("LOCAL_RANK", local),
        ("WORLD_SIZE", args.nproc * args.nnodes),
        ("MASTER_PORT", port.into()),
        ("TORCHELASTIC_RESTART_COUNT", restart),
    ];
    command.envs(numbers.map(|(name, value)| (name, value.to_string()))).env("MASTER_ADDR", &args.master_addr);
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        command.env("OMP_NUM_THREADS", (cores / args.nproc as usize).max(1).to_string());
    }
    // A separate process group, so that Ctrl-C reaches the processes only once, through this one.
    command.process_group(0);
    with_launcher(&mut command);
    let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    Ok((rank, child))
}

/// Makes a process save and stop when this one is killed; the guard stops its children.
fn with_launcher(command: &mut Command) {
    let launcher = std::process::id();
    // SAFETY: both calls are safe between fork and exec, and allocate nothing.
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            // It may have been killed before the call.
            let parent = libc::getppid();
            if u32::try_from(parent).is_ok_and(|parent| parent == launcher) {
                Ok(())
            } else {
                Err(ErrorKind::BrokenPipe.into())
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::Parser;

    fn launched(flags: &str, command: &[&str]) -> Result<ExitCode, String> {
        with_interrupts(flags, command, 0)
    }

    fn with_interrupts(flags: &str, command: &[&str], interrupts: usize) -> Result<ExitCode, String> {
        let words = ["xtask", "launch"].into_iter().chain(flags.split_whitespace()).chain(["--"]);
        let words = words.chain(command.iter().copied());
        let crate::Command::Launch(args) = Cli::try_parse_from(words).unwrap().command else { panic!("not launch") };
        launch(&args, &AtomicUsize::new(interrupts)).map_err(|error| error.to_string())
    }

    /// Runs a shell script and returns its exit code.
    fn shell(flags: &str, script: &str) -> String {
        format!("{:?}", launched(flags, &["sh", "-c", script]).unwrap())
    }

    fn code(code: u8) -> String {
        format!("{:?}", ExitCode::from(code))
    }

    #[test]
    fn processes_know_their_place_and_are_started_anew_when_one_fails() {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path().display();
        let say = format!(
            "echo $RANK of $WORLD_SIZE, $LOCAL_RANK here, $MASTER_ADDR > {d}/$RANK.$TORCHELASTIC_RESTART_COUNT"
        );
        let flags = "--nproc 2 --nnodes 2 --node-rank 1 --master-addr node0";
        assert_eq!(shell(flags, &say), code(0));
        let said = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((said("2.0").trim(), said("3.0").trim()), ("2 of 4, 0 here, node0", "3 of 4, 1 here, node0"));
        // Rank 1 fails on the first run.
        let fragile = format!("{say}; test $RANK.$TORCHELASTIC_RESTART_COUNT != 1.0 || exit 3");
        assert_eq!(shell("--nproc 2", &fragile), code(3));
        assert_eq!(shell("--nproc 2 --max-restarts 2", &fragile), code(0));
        assert_eq!((said("0.1").trim(), dir.path().join("0.2").exists()), ("0 of 2, 0 here, 127.0.0.1", false));
    }

    #[test]
    fn what_cannot_be_launched_is_told() {
        let told = |flags, program| launched(flags, &[program]).unwrap_err();
        assert!(told("--nproc 1 --nnodes 2", "true").contains("give --master-addr"));
        assert!(told("--nproc 1 --node-rank 1", "true").contains("choose 0 to 0"));
        assert!(told("--nproc 1", "no-such-program").contains("cannot start no-such-program"));
    }

    #[test]
    fn a_signal_before_the_first_process_starts_none() {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("made");
        let ended = with_interrupts("--nproc 2", &["touch", made.to_str().unwrap()], 1).unwrap();
        assert_eq!((format!("{ended:?}"), made.exists()), (code(130), false));
    }
}
