//! Warnings of flags without an effect, and no warnings of flags with one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{run, tiny_config};

/// The flags without effect in a command that must succeed, by its warnings and advice.
fn idle(words: &str) -> Vec<String> {
    let output = run(words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}\n{text}");
    let lines = text.lines().filter(|line| line.contains("has no effect without"));
    lines.map(|line| line.split_once("--").unwrap().1.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn flags_without_effect_cause_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let (config, d) = (tiny_config(dir.path()), dir.path().display());
    let train = format!("train --config {config} --steps 8 --hold-out 0.9 --ema-sigma 0.05,0.1 --out {d}");
    let decays = "--weight-decay 0 --decay-on all";
    let alone = "--reduce-in bf16 --dist-timeout 60";
    for (k, (flags, want)) in [
        (format!("{decays} {alone}"), &["decay-on", "reduce-in", "dist-timeout"][..]),
        ("--importance true --ema-decay 0 --ema-warmup true".into(), &["ema-warmup", "importance"]),
        ("--importance true --time logit-normal --time-clip 0.01 --ema-warmup true --weight-decay 0.1 --decay-on all".into(), &[]),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(idle(&format!("{train}/run{k} {flags}")), *want, "{flags}");
    }
    let evaluate = "evaluate --samples digits --data digits --metrics kid-pixels --num-samples 60";
    let model =
        format!("evaluate --checkpoint {d}/run0 --metrics kid-pixels --num-samples 20 --num-steps 2 --cache {d}/c");
    for (words, want) in [
        (format!("{evaluate} --cache {d}/c"), &[][..]),
        (
            format!("{evaluate} --cache {d}/c --nll-images 3 --nll-probes 2 --held-out digits"),
            &["nll-images", "nll-probes", "held-out"],
        ),
        (
            format!("{evaluate} --cache {d}/c --protocol clean-fid --inception-weights {d}/none"),
            &["inception-weights", "protocol"],
        ),
        (
            format!("{evaluate} --cache {d}/c --seed 3 --solver euler --raw-weights --path linear"),
            &["seed", "solver", "raw-weights", "path"],
        ),
        (format!("{model} --seed 3 --solver euler --raw-weights"), &[]),
        (format!("{model} --sweep ema-sigma=0.07 --sweep-solvers euler"), &["sweep-solvers"]),
    ] {
        let mut found = idle(&words);
        found.sort();
        let mut want = want.to_vec();
        want.sort_unstable();
        assert_eq!(found, want, "{words}");
    }
}
