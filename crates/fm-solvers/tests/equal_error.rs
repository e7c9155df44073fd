//! The errors of fixed-step solvers at equal evaluations, and the guide's table of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]
#![allow(clippy::expect_used, dead_code, reason = "the example has a main function")]

mod common;
#[path = "../examples/equal_error.rs"]
mod example;

use common::slope;
use example::{EVALUATIONS, NAMES, Problem, TARGETS};
use fm_solvers::sampler::SolverName;

/// The numbers of a solver in the guide.
fn written(guide: &str, name: &str) -> Vec<f64> {
    let (_, table) = guide.split_once("| solver | error at NFE 10 |").expect("the table");
    let row = table.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
    let row = row.unwrap_or_else(|| panic!("the guide has no row of {name}"));
    row.trim_matches('|').split('|').skip(1).map(|cell| cell.trim().parse().unwrap()).collect()
}

#[test]
fn the_guide_has_the_measured_errors() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/sample.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let problem = Problem::new().unwrap();
    for name in NAMES {
        let solver: SolverName = name.parse().unwrap();
        let each = solver.evaluations_per_step();
        let error = |nfe: usize| problem.error(solver, nfe / each).unwrap().0;
        let written = written(&guide, name);
        let (errors, needed) = written.split_at(EVALUATIONS.len());
        for (written, nfe) in errors.iter().zip(EVALUATIONS) {
            // Two digits are written.
            let measured = error(nfe);
            assert!((written / measured - 1.0).abs() < 0.05, "{name}: {written} is written, {measured} measured");
        }
        for (nfe, target) in needed.iter().map(|nfe| *nfe as usize).zip(TARGETS) {
            // The table has multiples of about 1 % of the evaluations.
            let fewer = nfe - (nfe / 100).max(1) * each;
            assert!(error(nfe) <= target && error(fewer) > target, "{name}: {nfe} evaluations for {target}");
        }
    }
}

/// With one evaluation per step the same error takes fewer evaluations.
#[test]
fn multistep_solvers_reach_their_errors() {
    let problem = Problem::new().unwrap();
    let error = |name: &str, nfe: usize| {
        let solver: SolverName = name.parse().unwrap();
        let (error, calls) = problem.error(solver, nfe / solver.evaluations_per_step()).unwrap();
        assert!(calls == nfe || name == "rk4" && !nfe.is_multiple_of(4), "{name}: {calls} evaluations, not {nfe}");
        error
    };
    let at = |name: &str| [10, 20, 40].map(|nfe| error(name, nfe));
    let [euler, midpoint, heun, rk4, ab2, ab3, pec, dpm, unipc, unipc3] = NAMES.map(at);
    assert!(ab2[0] <= 0.025 && pec[2] <= 0.0015, "{ab2:?}, {pec:?}");
    assert!(ab2[0] < midpoint[0] && ab2[0] < heun[0] && ab2[2] < midpoint[2], "{ab2:?}, {midpoint:?}, {heun:?}");
    assert!(pec[1] < rk4[1] && pec[2] < rk4[2] && dpm[0] < euler[0] / 2.0, "{pec:?}, {rk4:?}, {dpm:?}");
    assert!(unipc[0] < ab2[0] && unipc[2] < midpoint[2] / 1.5 && unipc3[2] < pec[2] / 2.0, "{unipc:?}, {unipc3:?}");
    // On equal steps both predict the same states.
    assert!(ab3.iter().zip(pec).all(|(a, p)| (a - p).abs() < 1e-12), "{ab3:?}, {pec:?}");
    assert!(EVALUATIONS.starts_with(&[10, 20, 40]));
}

/// Slopes on this problem, where steps are short enough for its sharp turns. The first step from
/// t = 0 is unbounded in log-SNR, which leaves the last three methods at order 2.
#[test]
fn errors_fall_with_the_order() {
    let problem = Problem::new().unwrap();
    let least = [("ab2", 1.9), ("ab3", 2.8), ("pec", 2.8), ("dpmpp-2m", 1.8), ("unipc", 1.9), ("unipc:order=3", 1.9)];
    for (name, least) in least {
        let error = |n: usize| problem.error(name.parse().unwrap(), n).unwrap().0;
        let measured = slope(&[160, 320, 640].map(|n| (1.0 / n as f64, error(n))));
        assert!(measured >= least, "{name}: {measured}");
    }
}
