//! Export of networks for tables, and import of other programs'.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;
#[path = "../../../crates/fm-models/tests/common/mod.rs"]
mod weights;

use common::{columns, fail, succeed};
use fm_models::interchange;
use serde_json::json;
use std::fs;

/// A run, its exports and an import of one of them draw the same rows.
#[test]
fn exports_of_a_run_draw_its_samples() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!(
        "train --data gaussian4 --trainable-source true --model concat-squash --preprocess minmax --steps 3 --sample-every 0 --out {d}/run"
    ));
    let sample = |from: &str, to: &str| {
        succeed(&format!("sample --checkpoint {d}/{from} --num-samples 20 --solver rk4 --num-steps 4 --out {d}/{to}"));
        fs::read_to_string(dir.path().join(to)).unwrap()
    };
    let want = sample("run", "run.csv");
    succeed(&format!("convert {d}/run {d}/net.safetensors"));
    succeed(&format!("convert {d}/net.safetensors {d}/net.pt"));
    assert_eq!(sample("net.safetensors", "a.csv"), want);
    assert_eq!(sample("net.pt", "b.csv"), want);
    succeed(&format!("convert {d}/run {d}/raw.pt --raw-weights"));
    assert_ne!(sample("raw.pt", "c.csv"), want);
    for file in ["run", "net.safetensors", "net.pt"] {
        let said = succeed(&format!("inspect {d}/{file}"));
        let all = [
            "source           gaussian, trained",
            "units            to [-1, 1], column by column",
            "activation       tanh",
        ];
        assert!(all.iter().all(|text| said.contains(text)), "{said}");
    }
}

/// torchcfm's MLP of points: its description is made, a source that is not given stays open.
#[test]
fn networks_of_torchcfm_are_imported_with_their_source() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let config = json!({"kind": "mlp", "dim": 2, "widths": [64, 64, 64], "activation": "selu"});
    let (store, _) = weights::build(&serde_json::from_value(config).unwrap());
    fs::write(dir.path().join("cfm.pt"), interchange::torch(&interchange::named(&store)).unwrap()).unwrap();
    let said = succeed(&format!("inspect {d}/cfm.pt"));
    assert!(said.contains("assumed          source = gaussian") && said.contains("activation = \"selu\""), "{said}");
    let (_, _, assumed) = common::run(&format!("convert {d}/cfm.pt {d}/open.safetensors"));
    assert!(assumed.contains("assumed   source = gaussian"), "{assumed}");
    let (_, _, assumed) =
        common::run(&format!("sample --checkpoint {d}/open.safetensors --num-samples 2 --out {d}/s.csv"));
    assert!(assumed.contains("assumed   source = gaussian"), "{assumed}");
    succeed(&format!("convert {d}/cfm.pt {d}/moons.safetensors --source 8gaussians"));
    let (_, _, assumed) =
        common::run(&format!("sample --checkpoint {d}/moons.safetensors --num-samples 2 --out {d}/s.csv"));
    assert_eq!(assumed, "");
    assert!(succeed(&format!("inspect {d}/moons.safetensors")).contains("source           8gaussians"));
    // The same points, whether named as the source or as the start.
    let draw = |words: &str| {
        succeed(&format!("sample {words} --num-samples 50 --seed 3 --solver euler --num-steps 2 --out {d}/s.csv"));
        columns(&dir.path().join("s.csv"), 0)
    };
    let started = draw(&format!("--checkpoint {d}/open.safetensors --from 8gaussians"));
    assert_eq!(started.len(), 50);
    let far = started.iter().filter(|x| x[0].hypot(x[1]) > 2.0).count();
    assert!(far > 0, "starts of eight Gaussians are five from the origin");
    assert!(
        fail(&format!("sample --checkpoint {d}/moons.safetensors --from nowhere.csv --out {d}/s.csv"))
            .contains("cannot start from nowhere.csv")
    );
}
