//! A killed `cargo xtask launch` leaves nothing running: neither ranks nor what they started.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// Waits until the condition holds, for at most 30 seconds.
fn until(what: &str, reached: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !reached() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process runs; one that ended and was not waited for does not.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A rank that is a script: it starts a program, which notes each SIGTERM, and ends a second later.
fn script(dir: &Path) -> String {
    let d = dir.display();
    format!(
        "sh -c 'trap \"echo told >> {d}/told.$RANK; sleep 1; echo saved >> {d}/told.$RANK; exit\" TERM; echo $$ > {d}/inner.$RANK; \
         while :; do sleep 0.05; done' & \
         sh -c 'trap \"\" HUP; echo $$ > {d}/deaf.$RANK; exec sleep 300' & \
         echo $$ > {d}/rank.$RANK; wait"
    )
}

const NAMES: [&str; 6] = ["rank.0", "rank.1", "inner.0", "inner.1", "deaf.0", "deaf.1"];

fn pids(dir: &Path) -> Vec<String> {
    let read = |name: &&str| fs::read_to_string(dir.join(name)).ok().map(|text| text.trim().to_owned());
    NAMES.iter().filter_map(read).filter(|text| !text.is_empty()).collect()
}

/// Launches two such ranks, and sends a signal to the launcher.
fn signalled(signal: i32) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut launch = Command::new(XTASK);
    launch.args(["launch", "--nproc", "2", "--", "sh", "-c", &script(dir.path())]);
    let mut launcher = launch.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the ranks do not start", || pids(dir.path()).len() == NAMES.len());
    let all = pids(dir.path());
    assert!(all.iter().all(|pid| runs(pid)));
    let sent = Command::new("kill").args([format!("-{signal}"), launcher.id().to_string()]).status().unwrap();
    assert!(sent.success());
    launcher.wait().unwrap();
    assert!(signal == 9 || !all.iter().any(|pid| runs(pid)), "the launcher has not waited");
    until("a process is left", || !all.iter().any(|pid| runs(pid)));
    let told = |rank| fs::read_to_string(dir.path().join(format!("told.{rank}"))).unwrap_or_default();
    vec![told(0), told(1)]
}

#[test]
fn a_killed_launcher_leaves_nothing_running_and_each_program_is_told_once() {
    assert_eq!(signalled(9), ["told\nsaved\n"; 2]);
}

#[test]
fn a_launcher_that_is_asked_to_stop_passes_it_on_and_waits() {
    assert_eq!(signalled(15), ["told\nsaved\n"; 2]);
}
