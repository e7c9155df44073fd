//! Averages of other lengths through the real binary: a sweep over their widths.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, read, succeed, tiny_config};

/// A sweep over averages of the weights gives each width the numbers of that width alone.
#[test]
fn averages_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let (d, config) = (dir.path().display(), tiny_config(dir.path()));
    succeed(&format!("train --config {config} --ema-sigma 0.05,0.1 --lr 1e-2 --out {d}/run"));
    let evaluate = |flags: &str, out: &str| {
        let from = format!("evaluate --checkpoint {d}/run --num-samples 40 --metrics energy --num-steps 1");
        succeed(&format!("{from} {flags} --json {d}/{out}.json"));
        serde_json::from_slice::<serde_json::Value>(&read(dir.path().join(format!("{out}.json")))).unwrap()
    };
    let swept = evaluate(&format!("--sweep ema-sigma=0.03,0.2 --plot {d}/sweep.png"), "sweep");
    let energy = |result: &serde_json::Value| result["metrics"]["energy-pixels"]["value"].as_f64().unwrap();
    let alone = ["0.03", "0.2"].map(|width| energy(&evaluate(&format!("--ema-sigma {width}"), width)));
    assert_eq!([0, 1].map(|k| energy(&swept[k])), alone, "{swept}");
    assert!(alone[0] != alone[1]);
    assert!(swept[1]["samples"]["weights"].as_str().unwrap().contains("sigma 0.2"), "{swept}");
    assert!(image::open(dir.path().join("sweep.png")).is_ok());
    let refused = fail(&format!("evaluate --checkpoint {d}/run --sweep ema-sigma=0.5"));
    assert!(refused.contains("0.001 to 0.28"), "{refused}");
}
