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

/// Programs that a user would write, with the largest number of lines of each: what a reader has to
/// take in. Those of other crates run in the tests of these crates.
const PROGRAMS: [(&str, usize); 14] = [
    ("crates/fm-ot/examples/pair_clouds.rs", 60),
    ("crates/fm-solvers/examples/lorenz.rs", 60),
    ("crates/fm-solvers/examples/own_method.rs", 60),
    ("crates/flow-matching/examples/own_path.rs", 60),
    ("crates/flow-matching/examples/plain_arrays.rs", 60),
    ("examples/candle/src/main.rs", 60),
    ("crates/flow-matching/examples/run.rs", 60),
    ("crates/fm-metrics/examples/metrics_f64.rs", 60),
    ("crates/flow-matching/examples/data.rs", 60),
    ("crates/flow-matching/examples/cells.rs", 60),
    ("crates/flow-matching/examples/conditions.rs", 60),
    ("crates/flow-matching/examples/guided_class.rs", 50),
    ("crates/flow-matching/examples/loop.rs", 30),
    ("crates/fm-train/examples/first.rs", 25),
];

#[test]
fn programs_are_short_and_import_little() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, most) in PROGRAMS {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        let lines = text.lines().count();
        let imports = text.lines().filter(|line| line.trim_start().starts_with("use ")).count();
        assert!(lines <= most && imports <= 8, "{path}: {lines} lines, {imports} use lines");
    }
}

#[cfg(feature = "torch")]
#[path = "../examples/cells.rs"]
mod cells;
#[cfg(feature = "torch")]
#[path = "../examples/conditions.rs"]
mod conditions;
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
#[path = "../examples/guided_class.rs"]
mod guided_class;

#[cfg(feature = "torch")]
mod torch {
    use super::{cells, conditions, data, guided_class, of_the_source, own_loop, own_path, run};
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
    fn points_lie_at_the_angle_of_their_condition_and_guidance_brings_them_nearer() {
        let [plain, guided] = conditions::distances().unwrap();
        // The data are at a mean distance of 0.2 sqrt(pi / 2) = 0.25.
        assert!((0.15..0.35).contains(&plain), "{plain}");
        assert!(guided < 0.25 && guided < plain, "{plain} {guided}");
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

    #[test]
    fn a_run_is_loaded_sampled_by_class_and_evaluated() {
        let report = guided_class::report().unwrap();
        let value = |name: &str| report.value(name).unwrap_or_else(|| panic!("{report}"));
        // The data of a class have a standard deviation of 0.3.
        assert!(value("energy_distance") < 0.1 && value("sliced_wasserstein") < 0.2, "{report}");
        assert!(value("precision") > 0.5 && value("recall") > 0.3, "{report}");
    }
}
