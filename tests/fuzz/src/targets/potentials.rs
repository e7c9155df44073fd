//! The potentials of a run's semidiscrete coupling.

use crate::accepted::accepted;
use crate::seeds;
use crate::target::{Finish, Target};
use fm_run::potentials::read;
use fm_train::files::sha256;

pub(super) const POTENTIALS: Target = Target {
    name: "potentials",
    seeds: || seeds::texts(&["5e-1\n-1.25e1\n0e0\n", "1e308\n"]),
    words: &["# ", " ", "\n", "\r", "-", "e", "NaN", "inf", "1e400", "5e-324", "0x1"],
    finish: Finish::Pack(|lines| text(&String::from_utf8_lossy(lines))),
    read: |bytes| {
        let found = read(bytes);
        assert!(found.iter().all(|(_, potentials)| potentials.iter().all(|g| g.is_finite())));
        accepted(found)
    },
};

/// The lines with their hash.
fn text(lines: &str) -> Vec<u8> {
    format!("# key {}\n{lines}", sha256(lines.as_bytes())).into_bytes()
}
