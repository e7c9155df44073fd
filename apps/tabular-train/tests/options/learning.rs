//! How a network is trained: optimizers, what decay shrinks, and learning rates.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use crate::common::succeed;
use crate::{numbers, reference_of, section, within};
use fm_run::process_group::ReduceIn;
use fm_train::flow_map::TaskKind;
use fm_train::optimizer::{DecayOn, Rule};
use fm_train::schedule::Decay;
use serde_json::Value;

pub(crate) fn sections() -> String {
    let plain = |_: &_| "";
    let held = "`crates/fm-train/tests/optimizers.rs`";
    let map = "targets by PyTorch's `torch.func.jvp`, to 1e-12; the exact map between two Gaussians (`crates/fm-train/src/flow_map/tests.rs`)";
    let mut text = section::<TaskKind>("Tasks", "--task", &plain, &|name| match name {
        "flow" => "flow matching: the tables above".into(),
        _ => map.to_owned(),
    });
    text += &section::<Rule>("Optimizers", "--optimizer", &plain, &|name| match name {
        "adamw" | "adam" => format!("PyTorch's, 100 steps of a network, to 1e-6 ({held})"),
        "muon" => format!(
            "PyTorch's `Muon` and `AdamW` without their rounding to bfloat16, 100 steps of a network, to 1e-6 ({held})"
        ),
        other => panic!("optimizer {other} has no reference"),
    });
    let decayed = |_: &_| "--weight-decay 0.1";
    text +=
        &section::<DecayOn>("Parameters that weight decay applies to", "--decay-on", &decayed, &|name| match name {
            "all" | "matrices" => format!("PyTorch's AdamW with such parameter groups, to 1e-6 ({held})"),
            other => panic!("decay on {other} has no reference"),
        });
    text += &section::<ReduceIn>("Gradients between processes", "--reduce-in", &plain, &|name| {
        let bound = if name == "f32" { 1e-4 } else { 0.05 };
        let what = "sums are PyTorch's over Gloo to the bit (`crates/fm-dist/tests/loopback.rs`); weights of two processes against one's";
        within(what, shared_deviation(name), bound)
    });
    text += &section::<Decay>("Learning rates after the warm-up", "--decay", &plain, &|name| {
        let by = if name == "inverse-sqrt" { "transformers'" } else { "diffusers'" };
        within(&format!("the rates logged: {by} schedule"), rate_deviation(name), 1e-12)
    });
    text
}

/// |two - one| / |one| of the weights that processes arrive at which add up their gradients in a precision.
fn shared_deviation(name: &str) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let words = |run: &str, more: &str| {
        let out = dir.path().join(run);
        format!(
            "train --data moons --rows 500 --batch-size 30 --steps 40 --sample-every 0 {more} --out {}",
            out.display()
        )
    };
    succeed(&words("one", ""));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let start = |rank: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tabular-train"));
        command.env("OMP_NUM_THREADS", "1").env("RANK", rank).env("WORLD_SIZE", "2").env("MASTER_ADDR", "127.0.0.1");
        let flags = words("two", &format!("--reduce-in {name} --dist-timeout 60"));
        command
            .env("MASTER_PORT", &port)
            .args(flags.split_whitespace())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    for mut process in ["0", "1"].map(start) {
        assert!(process.wait().unwrap().success());
    }
    let weights = |run: &str| {
        let bytes = std::fs::read(dir.path().join(run).join("checkpoints/step-40/model.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut named = tensors.tensors();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let bytes: Vec<u8> = named.iter().flat_map(|(_, view)| view.data().to_vec()).collect();
        bytes.as_chunks::<4>().0.iter().map(|v| f64::from(f32::from_le_bytes(*v))).collect::<Vec<_>>()
    };
    let (one, two) = (weights("one"), weights("two"));
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut one.iter().zip(&two).map(|(a, b)| a - b)) / norm(&mut one.iter().copied())
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
