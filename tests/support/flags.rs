//! Every flag of the given commands with invalid and extreme values: the exit code is 0 or 2, and
//! an error is one short line. One drawn value per flag; all values with FLAGS=all.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Values at and past the ends of the ranges of integers, floats, lists, names and paths.
const VALUES: [&str; 20] = [
    "0",
    "-1",
    "1",
    "3",
    "1000000",
    "1000000000",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e300",
    "-1e300",
    "1e-300",
    "nan",
    "inf",
    "-inf",
    "",
    "1,nan",
    "/dev/null",
    "nowhere:1e999",
    "\u{1b}[2J\u{fffd}",
];

/// Address space of a case: more than a command of this size needs, less than would hurt a machine.
const KIBIBYTES: u64 = 8 << 20;

/// A case that still runs after this time has accepted its value.
const LONG: Duration = Duration::from_secs(10);

/// The commands of a program.
pub(crate) struct Commands<'a> {
    pub(crate) program: &'a str,
    pub(crate) directory: &'a Path,
    pub(crate) seed: u64,
    pub(crate) calls: Cell<usize>,
}

impl Commands<'_> {
    /// Checks the flags of a command, in a valid call of it. `rest` are its words, where OUT stands
    /// for a new path in each call. Returns the number of cases.
    pub(crate) fn check(&self, name: &str, rest: &str) -> usize {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (status, error) = self.run(name, &words);
        assert!(status.success(), "{name} {rest} is not a valid call: {error}");
        let flags = self.flags(name);
        assert!(!flags.is_empty(), "{name} has no flags");
        let all = std::env::var("FLAGS").is_ok_and(|which| which == "all");
        let mut cases = 0;
        for (at, flag) in flags.iter().enumerate() {
            let drawn = (at as u64 * 7 + name.len() as u64 * 5 + self.seed) as usize % VALUES.len();
            let values = if all { &VALUES[..] } else { &VALUES[drawn..=drawn] };
            values.iter().for_each(|value| self.case(name, rest, flag, value));
            cases += values.len();
        }
        cases
    }

    /// The flags with a value, as the help lists them.
    fn flags(&self, name: &str) -> Vec<String> {
        let help = |flag| Command::new(self.program).args(name.split(' ')).arg(flag).output().unwrap();
        let whole = Some(help("--help-all")).filter(|output| output.status.success());
        let text = String::from_utf8(whole.unwrap_or_else(|| help("--help")).stdout).unwrap();
        let words = |line: &str| {
            let (flag, rest) = line.trim_start().split_once(' ')?;
            (flag.starts_with("--") && rest.starts_with('<')).then(|| flag.to_owned())
        };
        text.lines().filter_map(words).collect()
    }

    fn case(&self, name: &str, rest: &str, flag: &str, value: &str) {
        // The flag replaces the one of the valid call.
        let mut words: Vec<&str> = Vec::new();
        let mut rest = rest.split_whitespace();
        while let Some(word) = rest.next() {
            if word == flag {
                rest.next();
            } else {
                words.push(word);
            }
        }
        let given = format!("{flag}={value}");
        words.push(&given);
        let (status, error) = self.run(name, &words);
        let call = format!("{name} {}", words.join(" "));
        let code = status.code();
        assert!(matches!(code, Some(0 | 2)) || status.signal() == Some(9), "{call}: {status}\n{error}");
        assert!(!error.contains("panicked"), "{call}: {error}");
        if code == Some(2) {
            let told: Vec<&str> = error.lines().filter(|line| line.starts_with("error:")).collect();
            assert_eq!(told.len(), 1, "{call}: {error}");
        }
        let longest = error.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(longest <= 310 && !error.contains('\u{1b}'), "{call}: a line of {longest} characters\n{error}");
    }

    fn run(&self, name: &str, words: &[&str]) -> (std::process::ExitStatus, String) {
        let errors = self.directory.join("stderr");
        self.calls.update(|calls| calls + 1);
        let out = format!("out-{}", self.calls.get());
        let words = words.iter().map(|word| if *word == "OUT" { &out } else { *word });
        let bounded = format!("ulimit -v {KIBIBYTES}; exec \"$0\" \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &bounded, self.program])
            .args(name.split(' '))
            .args(words)
            .current_dir(self.directory)
            .env("OMP_NUM_THREADS", "1")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let end = Instant::now() + LONG;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > end => child.kill().unwrap(),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        (status, String::from_utf8_lossy(&std::fs::read(&errors).unwrap()).into_owned())
    }
}
