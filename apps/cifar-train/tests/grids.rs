//! Time grids learned from a model.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, read, succeed, tiny_config};
use serde_json::Value;

#[test]
fn a_learned_grid_is_written_and_sampled_with() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    succeed(&format!("train --config {} --steps 30 --lr 0.01 --out {d}/run", tiny_config(dir.path())));
    let learn = format!("grid {d}/run --num-steps 3 --grid-rows 12 --fine-steps 8 --iterations 4 --out {d}/g.json");
    for solver in ["euler", "heun", "unipc"] {
        let said = succeed(&format!("{learn} --solver {solver}"));
        assert!(said.contains(&format!("3 steps of {solver}")) && said.contains("equal errors"), "{said}");
        let file: Value = serde_json::from_slice(&read(dir.path().join("g.json"))).unwrap();
        let errors: Vec<(String, f64)> = serde_json::from_value(file["errors"].clone()).unwrap();
        let (name, least) = errors.last().unwrap();
        assert_eq!((name.as_str(), errors.len()), ("learned", 6));
        assert!(errors.iter().all(|(name, error)| name == "edm" || least <= error), "{errors:?}");
        assert_eq!(file["about"]["guidance"]["scale"], 1.5);
        let times: Vec<String> = file["times"].as_array().unwrap().iter().map(Value::to_string).collect();
        let drawn = |flags: &str| {
            let said = succeed(&format!(
                "sample --checkpoint {d}/run --num-samples 4 {flags} --out {d}/s.png --npy {d}/s.npy"
            ));
            (said, read(dir.path().join("s.npy")))
        };
        let (said, by_file) = drawn(&format!("--times {d}/g.json"));
        assert!(said.contains(solver) && said.contains("3 listed steps"), "{said}");
        assert_eq!(by_file, drawn(&format!("--times {} --solver {solver}", times.join(","))).1);
        let (said, _) = drawn(&format!("--times {d}/g.json --solver midpoint"));
        assert!(said.contains("midpoint, 3 listed steps"), "{said}");
    }
    // The error that it states is that of its times, on the same samples.
    let error = |flags: &str| -> f64 {
        succeed(&format!("{} --solver euler {flags}", learn.replace("--iterations 4", "--iterations 0")));
        let file: Value = serde_json::from_slice(&read(dir.path().join("g.json"))).unwrap();
        let errors: Vec<(String, f64)> = serde_json::from_value(file["errors"].clone()).unwrap();
        errors[0].1
    };
    assert!(error("--seed 1") != error("--seed 2") && error("--seed 1") == error("--seed 1"));
    std::fs::write(dir.path().join("bad.json"), r#"{"times": [0, 2], "solver": "heun"}"#).unwrap();
    let bad = format!("sample --checkpoint {d}/run --times {d}/bad.json --out {d}/s.png");
    assert!(fail(&bad).contains("do not rise from 0 to 1"));
}
