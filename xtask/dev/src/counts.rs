//! `cargo xtask counts`: detects whether the hot paths do more work than before. It compares
//! instructions (callgrind), allocations (a counting allocator) and, for networks, libtorch's
//! operators and tensor memory with the values in benches/counts.json. It measures no time, so the
//! numbers are the same on a busy machine.

use anyhow::{Context, bail, ensure};
use clap::Args;
use fm_terminal::println;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use xtask_shell::ensure_libtorch;
use xtask_shell::{cargo, execute, output, root, target};

/// Growth of a count that is not yet an error: counts differ a little with compilers, and with
/// processors' instruction sets and cache sizes, which determine the blocking of products.
const TOLERANCE: f64 = 0.10;
/// Number of allocations to ignore: a thread's first use of something.
const SLACK: u64 = 4;

#[derive(Debug, Args)]
pub(crate) struct CountsArgs {
    /// Store the current counts as the new reference.
    #[arg(long)]
    update: bool,
}

/// Counts of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Counts {
    /// Instructions by callgrind; 0 if they are not counted.
    #[serde(default, skip_serializing_if = "zero")]
    instructions: u64,
    /// Operators of libtorch; 0 if there are none.
    #[serde(default, skip_serializing_if = "zero")]
    operators: u64,
    allocations: u64,
    bytes: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn zero(count: &u64) -> bool {
    *count == 0
}

/// The programs that count: without libtorch, and with it.
const PROGRAMS: [&str; 2] = ["counts", "network-counts"];

pub(crate) fn run(args: &CountsArgs) -> anyhow::Result<()> {
    ensure_libtorch()?;
    // Built separately: in one build, both would be linked with libtorch.
    let build = ["build", "--quiet", "-p", "fm-benches", "--bin"];
    execute(&mut cargo(&[&build[..], &[PROGRAMS[0]]].concat()))?;
    execute(&mut cargo(&[&build[..], &[PROGRAMS[1], "--features", "tch"]].concat()))?;
    let valgrind = Command::new("valgrind").arg("--version").output().is_ok_and(|o| o.status.success());
    ensure!(
        valgrind || !args.update,
        "counts are updated with valgrind; install it (Debian: apt-get install valgrind)"
    );
    if !valgrind {
        println!("no valgrind here (Debian: apt-get install valgrind): instructions are not compared");
    }
    let path = root().join("benches/counts.json");
    let known: BTreeMap<String, Counts> = match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("{} does not read; restore it from git", path.display()))?,
        Err(_) => BTreeMap::new(),
    };
    let mut found = BTreeMap::new();
    let mut names = Vec::new();
    for program in PROGRAMS {
        let list = output(Command::new(path_of(program)).arg("list"))?;
        names.extend(list.lines().map(|name| (program, name.to_owned())));
    }
    let titles = ["instructions", "operators", "allocations", "bytes"];
    println!("{:18}{}", "", titles.map(|title| format!("{title:>14}{:>9}", "")).concat());
    for (program, name) in &names {
        let counts = counts(program, name, valgrind)?;
        let before = known.get(name);
        let change = |now: u64, then: Option<u64>| match then {
            Some(then) if then > 0 && now > 0 => format!("{:+.1} %", 100.0 * (now as f64 / then as f64 - 1.0)),
            _ => String::new(),
        };
        let cell = |of: fn(&Counts) -> u64| {
            let now = of(&counts);
            let shown = if now == 0 { String::new() } else { now.to_string() };
            format!("{shown:>14}{:>9}", change(now, before.map(of)))
        };
        let cells = [cell(|c| c.instructions), cell(|c| c.operators), cell(|c| c.allocations), cell(|c| c.bytes)];
        println!("{name:18}{}", cells.concat());
        found.insert(name.clone(), counts);
    }
    if args.update {
        std::fs::write(&path, serde_json::to_string_pretty(&found)? + "\n")?;
        println!("wrote {}", path.display());
        return Ok(());
    }
    let problems = problems(&known, &found);
    if !problems.is_empty() {
        bail!("{}; if that is meant, `cargo xtask counts --update` and say why in the commit", problems.join("; "));
    }
    Ok(())
}

/// Counts that have grown, and work without a reference.
fn problems(known: &BTreeMap<String, Counts>, found: &BTreeMap<String, Counts>) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, now) in found {
        let Some(then) = known.get(name) else {
            problems.push(format!("{name} is not in benches/counts.json"));
            continue;
        };
        for (what, now, then, slack) in [
            ("instructions", now.instructions, then.instructions, 0),
            ("operators", now.operators, then.operators, 0),
            ("allocations", now.allocations, then.allocations, SLACK),
            ("bytes", now.bytes, then.bytes, 1024 * SLACK),
        ] {
            if now as f64 > (then + slack) as f64 * (1.0 + TOLERANCE) {
                problems.push(format!("{name} takes {now} {what}, it took {then}"));
            }
        }
    }
    problems.extend(known.keys().filter(|k| !found.contains_key(*k)).map(|k| format!("{k} is no longer measured")));
    problems
}

fn path_of(program: &str) -> PathBuf {
    target().join("debug").join(program)
}

/// Instructions are 0 without valgrind, and for work inside libtorch, whose instructions depend on
/// the processor.
fn counts(program: &str, name: &str, valgrind: bool) -> anyhow::Result<Counts> {
    let path = path_of(program);
    let plain: serde_json::Value = serde_json::from_str(&output(Command::new(&path).arg(name))?)?;
    let number = |key: &str| {
        plain[key].as_u64().with_context(|| format!("`{program} {name}` said no {key}; correct the program"))
    };
    let operators = plain["operators"].as_u64().unwrap_or(0);
    let mut counts =
        Counts { instructions: 0, operators, allocations: number("allocations")?, bytes: number("bytes")? };
    if valgrind && program == PROGRAMS[0] {
        let mut command = Command::new("valgrind");
        command.args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--collect-atstart=no",
            "--toggle-collect=*counts::perform*",
        ]);
        let said = command.arg(&path).arg(name).output().context("cannot start valgrind; install it")?;
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        let line = text.lines().find_map(|l| l.split("Collected :").nth(1));
        let read = line.and_then(|l| l.trim().parse().ok()).filter(|n| *n > 0);
        counts.instructions =
            read.with_context(|| format!("callgrind counted nothing of {name}; look at its output: {text}"))?;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_beyond_the_tolerance_is_a_problem_and_shrinking_is_not() {
        let of = |instructions, allocations, bytes| Counts { instructions, operators: 50, allocations, bytes };
        let one = |counts| BTreeMap::from([("work".to_owned(), counts)]);
        let known = one(of(1000, 100, 100_000));
        let told = |now| problems(&known, &one(now)).join("; ");
        assert_eq!(told(of(1100, 110, 110_000)), "");
        assert_eq!(told(of(10, 1, 1)), "");
        assert_eq!(told(of(1101, 100, 100_000)), "work takes 1101 instructions, it took 1000");
        assert!(
            told(of(1000, 120, 120_000)).contains("120 allocations") && told(of(1000, 120, 120_000)).contains("bytes")
        );
        assert!(told(Counts { operators: 56, ..of(1000, 100, 100_000) }).contains("56 operators"));
        assert_eq!(problems(&known, &BTreeMap::new()), ["work is no longer measured"]);
        assert!(problems(&BTreeMap::new(), &known)[0].contains("not in benches/counts.json"));
    }
}
