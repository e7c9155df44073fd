//! The length of the help, and what it leaves to `--help-all`.

#[path = "../../../tests/support/help.rs"]
mod help;

#[test]
fn help_fits_two_screens_and_help_all_has_the_rest() {
    let rare = [("train", "--trainable-source"), ("train", "--encoding"), ("sample", "--sde-method")];
    help::check(env!("CARGO_BIN_EXE_tabular-train"), &rare);
}

#[test]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
fn help_has_the_default_solver_of_this_program() {
    let help =
        std::process::Command::new(env!("CARGO_BIN_EXE_tabular-train")).args(["sample", "--help"]).output().unwrap();
    let words: Vec<String> = String::from_utf8(help.stdout).unwrap().split_whitespace().map(String::from).collect();
    let text = words.join(" ");
    assert!(text.contains("(default: ab3)") && !text.contains("solver of the run"), "{text}");
}
