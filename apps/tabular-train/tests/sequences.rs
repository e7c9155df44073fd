//! Sequences through the real binary: windows of a series, arrays (N, L, C), the transformer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, succeed};
use ndarray::{Array2, Array3, Ix2, Ix3};
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;
use std::fs;

const SMALL: &str = "--model transformer --widths 16,16 --heads 2 --batch-size 32 --sample-every 0";

#[test]
fn windows_of_a_series_are_learned_in_its_own_units() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    // Two waves of very different scales.
    let rows: String =
        (0..400).map(|t| format!("{},{}\n", (t as f64 / 3.0).sin(), 1000.0 + 50.0 * (t as f64 / 5.0).cos())).collect();
    fs::write(dir.path().join("waves.csv"), format!("a,b\n{rows}")).unwrap();
    let said = succeed(&format!("train --data {d}/waves.csv --window 12 --stride 2 {SMALL} --steps 60 --out {d}/run"));
    // The last 40 rows are held out: windows of both parts share no row.
    assert!(said.contains("175 rows of 24 columns, 15 more held out") && said.contains("channel by channel"), "{said}");
    succeed(&format!("sample --checkpoint {d}/run --num-samples 50 --num-steps 4 --out {d}/s.npy"));
    let samples: Array3<f64> = read_npy(dir.path().join("s.npy")).unwrap();
    assert_eq!(samples.dim(), (50, 12, 2));
    let mean = |c: usize| samples.index_axis(ndarray::Axis(2), c).mean().unwrap();
    assert!(mean(0).abs() < 1.5 && (mean(1) - 1000.0).abs() < 75.0, "{} {}", mean(0), mean(1));
    succeed(&format!("sample --checkpoint {d}/run --num-samples 2 --num-steps 4 --out {d}/s.csv"));
    assert!(fs::read_to_string(dir.path().join("s.csv")).unwrap().starts_with("a@0,b@0,a@1,b@1"));
    let said = succeed(&format!("evaluate --checkpoint {d}/run --num-samples 60 --num-steps 4 --json {d}/e.json"));
    assert!(said.contains("a Gaussian fit") && said.contains("sequences autocorrelation"), "{said}");
    let found: Value = serde_json::from_slice(&fs::read(dir.path().join("e.json")).unwrap()).unwrap();
    assert!(found["sequences"]["trained"]["spectrum"].as_f64().unwrap() > 0.0);
    assert!(found["gaussian"]["energy_distance"].as_f64().unwrap().is_finite());
    // The run's final weights know the shape too, and a resumed run goes on.
    succeed(&format!("sample --checkpoint {d}/run/model.safetensors --num-samples 2 --num-steps 4 --out {d}/f.npy"));
    assert_eq!(read_npy::<_, Array3<f64>>(dir.path().join("f.npy")).unwrap().dim(), (2, 12, 2));
    succeed(&format!("train --resume --steps 62 --out {d}/run"));
}

#[test]
fn arrays_of_sequences_are_read_as_they_are_windowed() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let series = Array2::from_shape_fn((40, 2), |(t, c)| ((t * (c + 2)) as f64 / 7.0).sin());
    let rows = fm_data::series::windows(series.view(), 5, 1).unwrap();
    let sequences: Array3<f64> = rows.into_shape_with_order((36, 5, 2)).unwrap();
    write_npy(dir.path().join("x.npy"), &sequences).unwrap();
    let text: String = series.outer_iter().map(|row| format!("{},{}\n", row[0], row[1])).collect();
    fs::write(dir.path().join("x.csv"), text).unwrap();
    let weights = |data: &str, out: &str| {
        succeed(&format!("train --data {d}/{data} --hold-out 0 {SMALL} --steps 4 --out {d}/{out}"));
        fs::read(dir.path().join(out).join("checkpoints/step-4/model.safetensors")).unwrap()
    };
    let values = |bytes: Vec<u8>| {
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    assert!(values(weights("x.npy", "array")) == values(weights("x.csv --window 5", "windows")));
    // Any network for tables takes them, as rows of numbers.
    succeed(&format!("train --data {d}/x.npy --widths 8 --steps 2 --sample-every 0 --out {d}/mlp"));
    succeed(&format!("sample --checkpoint {d}/mlp --num-samples 3 --out {d}/s.npy"));
    assert_eq!(read_npy::<_, ndarray::Array<f64, Ix3>>(dir.path().join("s.npy")).unwrap().dim(), (3, 5, 2));
    succeed(&format!("train --data {d}/x.csv --widths 8 --steps 2 --sample-every 0 --out {d}/table"));
    succeed(&format!("sample --checkpoint {d}/table --num-samples 3 --out {d}/s.npy"));
    assert_eq!(read_npy::<_, ndarray::Array<f64, Ix2>>(dir.path().join("s.npy")).unwrap().dim(), (3, 2));
}

#[test]
fn what_is_no_sequence_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    for (flags, says) in [
        ("--data moons --rows 100 --model transformer", "give --window ROWS or an array (N, L, C)"),
        ("--data ecg --window 20000", "give shorter windows"),
        ("--data ecg --window 16 --stride 0", "(--stride)"),
        ("--data ecg --window 16 --model transformer --widths 16,32", "give equal --widths"),
        ("--data ecg --window 16 --model transformer --widths 16 --heads 3", "multiple of the heads"),
    ] {
        let error = fail(&format!("train {flags} --steps 2 --out {d}/no"));
        assert!(error.contains(says), "{flags}: {error}");
    }
}
