//! The length of the help, and what it leaves to `--help-all`.

#[path = "../../../tests/support/help.rs"]
mod help;

#[test]
fn help_fits_two_screens_and_help_all_has_the_rest() {
    let rare = [
        ("train", "--loss-aware"),
        ("train", "--keep-checkpoints"),
        ("sample", "--controller"),
        ("evaluate", "--nll-probes"),
        ("vqvae", "--num-workers"),
    ];
    help::check(env!("CARGO_BIN_EXE_cifar-train"), &rare);
}

#[test]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
fn help_has_the_default_solver_of_this_program() {
    let help =
        std::process::Command::new(env!("CARGO_BIN_EXE_cifar-train")).args(["sample", "--help"]).output().unwrap();
    let words: Vec<String> = String::from_utf8(help.stdout).unwrap().split_whitespace().map(String::from).collect();
    let text = words.join(" ");
    assert!(text.contains("(default: the solver of the run, if it has one, or ab3)"), "{text}");
}

/// What to do about a file beyond its limits may name a command and its flag.
#[test]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
fn flags_in_remedies_of_limits_exist() {
    let mut flags = 0;
    for limits in fm_core::budget::limits::ALL {
        let words: Vec<&str> = limits.remedy.split(' ').collect();
        for (k, flag) in words.iter().enumerate().filter(|(_, word)| word.starts_with("--")) {
            let command = words[k - 1];
            let mut help = std::process::Command::new(env!("CARGO_BIN_EXE_cifar-train"));
            let help = help.args([command, "--help-all"]).output().unwrap();
            let text = String::from_utf8_lossy(&help.stdout).into_owned();
            assert!(text.lines().any(|line| line.trim_start().starts_with(flag)), "{command} has no {flag}: {text}");
            flags += 1;
        }
    }
    assert_eq!(flags, 1);
}
