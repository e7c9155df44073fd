//! The examples run, and their results are what they should be.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout, clippy::unit_arg, reason = "examples in a test")]

#[path = "../examples/plain_arrays.rs"]
mod plain_arrays;

/// Energy distance of N(0, 1) to two moons: 0.54.
#[test]
fn plain_arrays_learn_the_moons() {
    let distance = plain_arrays::distance().unwrap();
    assert!(distance < 0.02, "{distance}");
}

#[cfg(feature = "torch")]
#[path = "../examples/data.rs"]
mod data;
#[cfg(feature = "torch")]
#[path = "../examples/loop.rs"]
mod own_loop;
#[cfg(feature = "torch")]
#[path = "../examples/own_path.rs"]
mod own_path;
#[cfg(feature = "torch")]
#[path = "../examples/run.rs"]
mod run;

#[cfg(feature = "torch")]
mod torch {
    use super::{data, own_loop, own_path, run};

    #[test]
    fn a_loop_of_ones_own_learns_the_moons() {
        let distance = own_loop::distance().unwrap();
        assert!(distance < 0.01, "{distance}");
    }

    #[test]
    fn a_path_and_times_of_ones_own_learn_the_gaussians() {
        let distance = own_path::distance().unwrap();
        assert!(distance < 0.05, "{distance}");
    }

    #[test]
    fn a_run_of_ones_own_resumes_loads_and_samples() {
        run::main().unwrap();
    }

    #[test]
    fn data_of_four_kinds_make_batches() {
        let batches = data::batches().unwrap();
        let shapes: Vec<&[i64]> = batches.iter().map(|b| &b.shape[..]).collect();
        assert_eq!(shapes, [&[3, 2, 2][..], &[2], &[2], &[2]]);
        assert!(batches[0].classes == [0, 0, 0] && batches[1].classes.len() == 3 && batches[2].classes.is_empty());
        let row = |i: usize| (batches[3].x1[2 * i], batches[3].conditions[i]);
        assert!((0..3).map(row).all(|(x, condition)| condition == 0.5 * x + 0.5), "{:?}", batches[3]);
    }
}
