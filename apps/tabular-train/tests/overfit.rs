//! The loss on held-out rows shows that a network memorises its rows, and a resumed run shows the
//! same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::succeed;
use serde_json::Value;
use std::fs;

/// Of 200 points, 160 are held out: the loss on them is least before step 2,500 of 5,000, and ends
/// at least 5 % above that, while the training loss falls.
#[test]
fn the_held_out_loss_rises_when_rows_are_memorised() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let flags = "--data 8gaussians --rows 200 --hold-out 0.8 --preprocess none --widths 256,256,256 --validate-every 100 \
                 --log-every 100 --sample-every 0 --save-every 2500";
    succeed(&format!("train {flags} --steps 5000 --out {}", run.display()));
    let read = || {
        let files =
            ["metrics.jsonl", "checkpoints/step-5000/model.safetensors", "checkpoints/step-5000/ema.safetensors"];
        files.map(|file| fs::read(run.join(file)).unwrap())
    };
    let whole = read();
    let lines: Vec<Value> =
        String::from_utf8_lossy(&whole[0]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let losses = |key: &str| lines.iter().map(|line| line[key].as_f64().unwrap()).collect::<Vec<_>>();
    for key in ["val_loss", "val_loss_raw"] {
        let held_out = losses(key);
        let (least, at) = held_out.iter().zip(1..).fold((f64::INFINITY, 0), |(least, at), (loss, k)| {
            if *loss < least { (*loss, 100 * k) } else { (least, at) }
        });
        let last = held_out[held_out.len() - 1];
        assert!(at < 2500 && last > 1.05 * least, "{key}: {least} at step {at}, {last} at the end");
    }
    let trained = losses("loss");
    let mean = |lines: &[f64]| lines.iter().sum::<f64>() / lines.len() as f64;
    assert!(mean(&trained[40..]) < 0.98 * mean(&trained[2..12]), "{trained:?}");

    fs::remove_dir_all(run.join("checkpoints/step-5000")).unwrap();
    succeed(&format!("train --resume --out {}", run.display()));
    assert!(read() == whole);
}
