//! The length of the help, and what it leaves to `--help-all`.

#[path = "../../common/tests/support/help.rs"]
mod help;

#[test]
fn help_fits_two_screens_and_help_all_has_the_rest() {
    let rare = [("train", "--trainable-source"), ("train", "--encoding"), ("sample", "--sde-method")];
    help::check(env!("CARGO_BIN_EXE_tabular-train"), &rare);
}
