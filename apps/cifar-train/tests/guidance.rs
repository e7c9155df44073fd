//! A sweep over guidance scales.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{read, succeed};
use serde_json::Value;

#[test]
fn each_scale_of_a_sweep_is_an_evaluation_at_that_scale() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    // A transformer: a U-Net this narrow has groups of one channel, whose normalisation removes the
    // class.
    let config = "preset = \"quickstart\"\nbatch_size = 8\nsample_every = 0\nnum_workers = 0\nwarmup_steps = 0\n\
                  ema_decay = [0.9]\n[model]\nkind = \"dit\"\nwidth = 32\ndepth = 1\nheads = 2\npatch = 2\n";
    std::fs::write(dir.path().join("dit.toml"), config).unwrap();
    succeed(&format!("train --config {d}/dit.toml --steps 60 --lr 0.01 --out {d}/run"));
    let json = |name: &str| -> Value { serde_json::from_slice(&read(dir.path().join(name))).unwrap() };
    let evaluate = |flags: &str, name: &str| {
        succeed(&format!(
            "evaluate --checkpoint {d}/run --num-samples 40 --num-steps 3 --metrics energy-pixels,pr-pixels,nn --cache {d}/cache {flags} --json {d}/{name}"
        ))
    };
    let said = evaluate(&format!("--sweep cfg=0,1,30 --plot {d}/sweep.png --picture {d}/rows.png"), "sweep.json");
    assert!(said.contains("guidance 0") && said.contains("guidance 30") && said.contains("energy-pixels"), "{said}");
    assert!(image::open(dir.path().join("sweep.png")).unwrap().width() > 100);
    assert!(image::open(dir.path().join("rows.png")).unwrap().width() > 20 * 40);
    let sweep = json("sweep.json");
    let cases = sweep.as_array().unwrap();
    let scales: Vec<f64> = cases.iter().map(|case| case["samples"]["cfg_scale"].as_f64().unwrap()).collect();
    assert_eq!(scales, [0.0, 1.0, 30.0]);
    for (scale, case) in [0, 1, 30].iter().zip(cases) {
        assert_eq!(case["samples"]["nfe"].as_f64(), Some(3.0));
        evaluate(&format!("--cfg-scale {scale}"), "one.json");
        let alone = json("one.json");
        for key in ["energy-pixels", "recall-pixels", "class_agreement"] {
            let value = |result: &Value| result["metrics"][key]["value"].as_f64().unwrap();
            assert_eq!(value(case), value(&alone), "{key} at {scale}");
        }
    }
    let energy = |case: &Value| case["metrics"]["energy-pixels"]["value"].as_f64().unwrap();
    assert!(energy(&cases[0]) != energy(&cases[2]), "the scale changed nothing");
}
