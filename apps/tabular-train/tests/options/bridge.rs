//! A velocity and a score on the Brownian bridge.

use crate::{Shown, deviation, numbers, reference, within};

/// The velocity's target of a velocity and a score on the bridge, against torchcfm.
fn score_deviation() -> f64 {
    let (reference, path) = (reference("paths"), "schroedinger-bridge:sigma=0.7");
    let i = &reference["inputs"];
    let (dim, t) = (i["dim"].as_u64().unwrap() as usize, numbers(&i["t"]));
    let [x0, x1, eps] = ["x0", "x1", "eps"].map(|key| numbers(&i[key]));
    let shown = Shown::of(&format!("--path {path} --prediction velocity+score --time-clip 1e-3"), &t);
    let [a, b, c] = ["target_x1", "target_x0", "target_eps"].map(|name| shown.column(name));
    let at = |j: usize| a[j / dim] * x1[j] + b[j / dim] * x0[j] + c[j / dim] * eps[j];
    let got: Vec<f64> = (0..x0.len()).map(at).collect();
    deviation(&got, &numbers(&reference["torchcfm"][path]["velocity"]))
}

/// The outside reference of the option, checked.
pub(crate) fn row() -> String {
    within("velocity: torchcfm", score_deviation(), 1e-6)
        + "; loss and gradients of both: torchcfm, to 1e-5 (`crates/fm-train/tests/sf2m.rs`)"
}
