//! Files of learned time grids.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{scratch, seeds};

pub(super) const GRID: Target = Target {
    name: "grid-file",
    seeds: || seeds::texts(&[SEED, r#"{"times": [0, 1], "solver": "unipc:order=3"}"#]),
    words: &["\"times\"", "\"solver\"", "\"errors\"", "\"about\"", "0", "1", "1e400", "null", "[", "]", "{", "}", ","],
    finish: Finish::Nothing,
    read: |bytes| {
        let path = scratch::file("grid.json", bytes);
        accepted(fm_run::grids::read(&path).map(|file| assert!(fm_run::grids::rises(&file.times))))
    },
};

const SEED: &str =
    r#"{"times": [0.0, 0.25, 1.0], "solver": "heun", "errors": [["uniform", 0.1]], "about": {"rows": 256}}"#;
