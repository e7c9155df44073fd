//! `cifar-train inspect`: shows the content of a checkpoint.

use fm_run::inspect::{self, InspectArgs};
use std::process::ExitCode;

pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    inspect::run(args, |_, _| Vec::new())
}
