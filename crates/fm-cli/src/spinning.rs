//! A bound on the spinning of OpenMP's barriers.
//!
//! At the end of each parallel loop, libgomp's threads spin until the last one arrives. On a
//! machine that others use too, that thread may not be running, and the spinning takes its core.
//! libgomp reads the bound once, when it is loaded, which is before `main`; so the program starts
//! itself again with the variable set.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Iterations that a thread spins before it sleeps.
const SPINS: &str = "10000";

/// Commands that compute long enough for a second start.
const LONG: [&str; 11] = [
    "train",
    "distill",
    "reflow",
    "vqvae",
    "sample",
    "evaluate",
    "likelihood",
    "trajectory",
    "picture",
    "animate",
    "solve",
];

/// Environment variables with which a user may have set the spinning of threads.
const GIVEN: [&str; 3] = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME"];

/// Replaces this process by the same program with bounded spinning, unless the user has set a
/// bound, there is one thread, or the command is short. If that fails, the program continues
/// unchanged.
pub(crate) fn bound() {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let long = words.get(1).is_some_and(|command| LONG.contains(&command.as_str()));
    let short = words.iter().any(|word| ["-h", "--help", "--help-all", "--dry-run"].contains(&word.as_str()));
    let given = GIVEN.iter().any(|name| std::env::var_os(name).is_some());
    let alone = std::env::var("OMP_NUM_THREADS").is_ok_and(|threads| threads.trim() == "1")
        || std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
    if !long || short || given || alone {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        let mut args = std::env::args_os();
        let name = args.next().unwrap_or_else(|| program.clone().into());
        // Returns only if it fails.
        let _ = Command::new(program).arg0(name).args(args).env("GOMP_SPINCOUNT", SPINS).exec();
    }
}
