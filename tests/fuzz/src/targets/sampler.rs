//! Descriptions of solvers and their steps, as pairs and results have them.

use crate::accepted::accepted;
use crate::seeds;
use crate::target::{Finish, Target};
use fm_solvers::sampler::Steps;
use fm_solvers::{Grid, Sampler};

pub(super) const SAMPLER: Target = Target {
    name: "sampler",
    seeds: || {
        seeds::texts(&[
            r#"{"solver": "rk4", "steps": {"fixed": ["uniform", 8]}}"#,
            r#"{"solver": "euler", "steps": {"listed": [0.0, 0.25, 1.0]}, "schedule": "linear"}"#,
        ])
    },
    words: &["\"fixed\"", "\"listed\"", "\"adaptive\"", "\"euler\"", "\"stochastic\"", "null", "[", "]", "0.5", "1e-6"],
    finish: Finish::Nothing,
    read,
};

/// The most steps whose times are computed here.
const STEPS: usize = 1 << 12;

fn read(bytes: &[u8]) -> bool {
    let sampler = serde_json::from_slice::<Sampler>(bytes);
    if let Ok(sampler) = &sampler {
        assert!(!sampler.describe().is_empty() && !sampler.key().is_empty());
        if let Steps::Fixed(grid, steps) = &sampler.steps {
            times(grid, (*steps).min(STEPS));
        }
    }
    sampler.is_ok()
}

fn times(grid: &Grid, steps: usize) {
    let times = grid.times(steps);
    assert!(times.as_ref().map_or(true, |times| times.iter().all(|time| (0.0..=1.0).contains(time))), "{grid}");
    accepted(times);
}
