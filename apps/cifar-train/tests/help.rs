//! The length of the help, and what it leaves to `--help-all`.

#[path = "../../common/tests/support/help.rs"]
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
