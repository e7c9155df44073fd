//! The potentials of a run's semidiscrete coupling.

use crate::accepted::accepted;
use crate::seeds;
use crate::target::{Finish, Target};
use fm_ot::semidiscrete::FitRow;
use fm_run::potentials::{Stored, read};
use fm_train::files::sha256;

pub(super) const POTENTIALS: Target = Target {
    name: "potentials",
    seeds: || {
        seeds::texts(&[
            "5e-1\n-1.25e1\n0e0\n",
            "1e308\n",
            "+ 3 5e-1\n1e0 2e0 0e0 1e-3\n",
            "+ 0 none\n0e0 0e0 0e0 0e0\n",
        ])
    },
    words: &["# ", " ", "\n", "\r", "-", "e", "NaN", "inf", "1e400", "5e-324", "0x1"],
    finish: Finish::Pack(|lines| text(&String::from_utf8_lossy(lines))),
    read: |bytes| {
        let found = read(bytes);
        let finite =
            |row: &FitRow| [row.average, row.potential, row.moments[0], row.moments[1]].iter().all(|g| g.is_finite());
        assert!(found.iter().all(|(_, stored)| match stored {
            Stored::Fitted(potentials) => potentials.iter().all(|g| g.is_finite()),
            Stored::Unfinished(state) => state.rows.iter().all(finite),
        }));
        accepted(found)
    },
};

/// The lines with their hash; a first line after a plus sign is what the comment says of an
/// unfinished fit.
fn text(lines: &str) -> Vec<u8> {
    let (more, lines) = lines.strip_prefix('+').and_then(|rest| rest.split_once('\n')).unwrap_or(("", lines));
    format!("# key {}{more}\n{lines}", sha256(format!("{lines}{more}").as_bytes())).into_bytes()
}
