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
