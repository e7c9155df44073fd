//! How a network is trained: optimizers, what decay shrinks, and learning rates.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use crate::common::succeed;
use crate::{numbers, reference_of, section, within};
use fm_train::optimizer::{DecayOn, Rule};
use fm_train::schedule::Decay;
use serde_json::Value;

pub(crate) fn sections() -> String {
    let plain = |_: &_| "";
    let held = "`crates/fm-train/tests/optimizers.rs`";
    let mut text = section::<Rule>("Optimizers", "--optimizer", &plain, &|name| match name {
        "adamw" | "adam" => format!("PyTorch's, 100 steps of a network, to 1e-6 ({held})"),
        "muon" => format!(
            "PyTorch's `Muon` and `AdamW` without their rounding to bfloat16, 100 steps of a network, to 1e-6 ({held})"
        ),
        other => panic!("optimizer {other} has no reference"),
    });
    let decayed = |_: &_| "--weight-decay 0.1";
    text += &section::<DecayOn>("What weight decay shrinks", "--decay-on", &decayed, &|name| match name {
        "all" | "matrices" => format!("PyTorch's AdamW with such parameter groups, to 1e-6 ({held})"),
        other => panic!("decay on {other} has no reference"),
    });
    text += &section::<Decay>("Learning rates after the warm-up", "--decay", &plain, &|name| {
        let by = if name == "inverse-sqrt" { "transformers'" } else { "diffusers'" };
        within(&format!("the rates logged: {by} schedule"), rate_deviation(name), 1e-12)
    });
    text
}

/// The learning rates that the program logs, against the reference's.
fn rate_deviation(name: &str) -> f64 {
    let want = numbers(&reference_of("fm-train", "schedules")[name]);
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    // A rate at which nothing moves far: the reference's peak is 1.
    succeed(&format!(
        "train --data moons --rows 50 --batch-size 8 --widths 4 --steps 60 --warmup-steps 10 --lr 1e-3 --decay {name} --log-every 1 \
         --sample-every 0 --out {d}/run"
    ));
    let text = std::fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    let rate = |line: &str| serde_json::from_str::<Value>(line).unwrap()["lr"].as_f64().unwrap() / 1e-3;
    let rates: Vec<f64> = text.lines().map(rate).collect();
    crate::deviation(&rates, &want)
}
