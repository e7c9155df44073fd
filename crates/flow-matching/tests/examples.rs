//! The examples run, and their results are what they should be.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout, clippy::unit_arg, reason = "examples in a test")]

#[path = "../examples/plain_arrays.rs"]
mod plain_arrays;

use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;

/// The energy distance of the source N(0, 1) to a set of points.
fn of_the_source(data: &Array2<f32>) -> f64 {
    let noise = normal_rows(Key::new(1, 0, Stream::Sample), 1_000, 2);
    let noise = Array2::from_shape_vec((1_000, 2), noise).unwrap();
    energy_distance(noise.view(), data.view()).unwrap()
}

#[test]
fn plain_arrays_learn_the_moons() {
    let (distance, source) = (plain_arrays::distance().unwrap(), of_the_source(&toy("moons", 5_000, 0).unwrap()));
    assert!(distance < 0.02 && distance < source / 20.0, "{distance}, of the source {source}");
}

#[cfg(feature = "torch")]
#[path = "../examples/cells.rs"]
mod cells;
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
    use super::{cells, data, of_the_source, own_loop, own_path, run};
    use flow_matching::prelude::*;

    #[test]
    fn a_loop_of_your_own_learns_the_moons() {
        let distance = own_loop::distance().unwrap();
        assert!(distance < 0.01, "{distance}");
    }

    #[test]
    fn a_path_and_times_of_your_own_learn_the_gaussians() {
        let distance = own_path::distance().unwrap();
        let source = of_the_source(&toy("8gaussians", 5_000, 0).unwrap());
        assert!(distance < 0.05 && distance < source / 20.0, "{distance}, of the source {source}");
    }

    #[test]
    fn a_run_of_your_own_resumes_loads_and_samples() {
        let distance = run::distance().unwrap();
        let angle = |i: usize| std::f32::consts::TAU * i as f32 / 1_000.0;
        let curve = Array2::from_shape_fn((1_000, 2), |(i, k)| [(2.0 * angle(i)).sin(), (3.0 * angle(i)).cos()][k]);
        let source = of_the_source(&curve);
        assert!(distance < 0.02 && distance < source / 5.0, "{distance}, of the source {source}");
    }

    #[test]
    fn generated_cells_are_of_their_type() {
        let found = cells::distances().unwrap();
        assert_eq!(found.len(), 3);
        for (name, [generated, all]) in found {
            assert!(generated < all / 2.0, "{name}: {generated}, of all types {all}");
        }
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
