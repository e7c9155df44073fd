//! Bad input: one clear line that names cause and remedy, exit code 2, nothing left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, succeed, tiny_config};
use std::fs;

#[test]
fn data_that_is_not_there_or_broken() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let train = |data: &str| fail(&format!("train --preset cifar10-tiny --data {data} --out {}", out.display()));
    let d = dir.path().display();
    let missing = train(&format!("cifar10:{d}/nowhere"));
    assert!(missing.contains("nowhere") && missing.contains("fetch-cifar10"), "{missing}");
    fs::write(dir.path().join("data_batch_1.bin"), vec![0; 3073 * 2 - 100]).unwrap();
    let truncated = train(&format!("cifar10:{d}"));
    assert!(truncated.contains("data_batch_1.bin") && truncated.contains("truncated"), "{truncated}");
    assert!(train("cifar100").contains("did you mean 'cifar10'"));
    assert!(train("folder").contains("folder:DIR"));
    assert!(train(&format!("folder:{d}/no")).contains("not found"));
    assert!(!out.exists(), "a refused run must leave no directory");
}

#[test]
fn names_and_numbers_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let out = format!("--out {}/run", dir.path().display());
    for (flags, says) in [
        ("--preset quickstrat", "did you mean 'quickstart'"),
        ("--batch-size 0", "--batch-size"),
        ("--steps 0", "--steps"),
        ("--epochs 0", "--steps"),
        ("--lr -1", "learning rate above 0"),
        ("--lr nan", "learning rate above 0"),
        ("--label-drop 2", "[0, 1]"),
        ("--device tpu", "choose auto, cpu, cuda"),
        ("--device cuda:9", "--device cpu"),
        ("--config nowhere.toml", "nowhere.toml"),
        ("--resume", "nothing to resume"),
    ] {
        let preset = if flags.contains("--preset") || flags.contains("--resume") { "" } else { "--preset quickstart" };
        let error = fail(&format!("train {preset} {flags} {out}").replace("--lr -1", "--lr=-1"));
        assert!(error.contains(says), "{flags}: {error}");
    }
}

#[test]
fn configurations_with_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let train = |text: &str| {
        fs::write(&path, format!("preset = \"quickstart\"\n{text}")).unwrap();
        fail(&format!("train --config {} --out {}/run", path.display(), dir.path().display()))
    };
    for (text, says) in [
        ("batchsize = 3", "unknown key 'batchsize' in the configuration; did you mean 'batch_size'"),
        ("[model]\nchanels = 3", "did you mean 'model.channels'"),
        ("steps = \"many\"", "steps"),
        ("[model]\nkind = \"gan\"", "choose unet or dit"),
        ("[model]\nchannels = 33", "multiple of 32"),
        ("time = \"logit-normal:scale=0\"", "time logit-normal needs scale above 0"),
        ("path = \"vpp\"", "choose one of linear, linear-sigma-min"),
        ("path = \"vp\"", "time_clip of 1e-3"),
        ("prediction = \"score\"", "time_clip of 1e-3"),
        ("prediction = \"score\"\nsource = \"sparse\"", "gaussian source only"),
        ("weighting = \"snr\"", "time_clip of 1e-3"),
        ("time_clip = 0.5", "at least 0 and below 0.5"),
        ("path = \"bridge\"\ntime_clip = 0.01\nprediction = \"data\"", "choose a path without extra noise"),
        ("source = \"nowhere\"", "neither a source"),
        ("flow_type = \"reflow\"", "choose cfm, ot_cfm or rectified_flow"),
        ("excess_loss = true", "drop --excess-loss"),
        ("steps = = 3", "not valid TOML"),
    ] {
        let error = train(text);
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn an_output_directory_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = fail(&format!("train --preset quickstart --steps 1 --out {}/file/run", dir.path().display()));
    assert!(error.contains("cannot create") && error.contains("a part of the path is a file"), "{error}");
}

#[test]
fn checkpoints_that_are_corrupt_foreign_or_absent() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    succeed(&format!("train --config {} --steps 2 --save-every 1 --out {}", tiny_config(dir.path()), run.display()));
    let sample =
        |place: &str| fail(&format!("sample --checkpoint {place} --out {}/x.png --num-steps 1", dir.path().display()));
    assert!(sample(&format!("{}/nowhere", dir.path().display())).contains("No such file or directory"));

    let newest = run.join("checkpoints/step-2");
    let mut weights = common::read(newest.join("ema.safetensors"));
    let middle = weights.len() / 2;
    weights[middle] ^= 1;
    fs::write(newest.join("ema.safetensors"), &weights).unwrap();
    let flipped = sample(&newest.display().to_string());
    assert!(flipped.contains("ema.safetensors does not match its recorded hash"), "{flipped}");
    fs::write(newest.join("ema.safetensors"), &weights[..100]).unwrap();
    assert!(sample(&newest.display().to_string()).contains("100 bytes instead of"));
    fs::write(newest.join("meta.json"), "{\"model\": \"someone else's\"}").unwrap();
    assert!(sample(&newest.display().to_string()).contains("not ours"));
    // A run directory falls back to the last good one, and says so.
    let output = common::run(&format!(
        "sample --checkpoint {} --num-samples 4 --num-steps 1 --out {}/y.png",
        run.display(),
        dir.path().display()
    ));
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: "), "the damage must be reported");
    assert!(String::from_utf8_lossy(&output.stdout).contains("of step 1"));
}

#[test]
fn sampling_requests_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let config = tiny_config(dir.path());
    succeed(&format!("train --config {config} --steps 1 --conditional false --out {}", run.display()));
    let sample = |flags: &str| {
        fail(&format!("sample --checkpoint {} --out {}/x.png {flags}", run.display(), dir.path().display()))
    };
    assert!(sample("--class-label 3").contains("trained without classes"));
    assert!(sample("--cfg-scale 2").contains("the model was trained without --label-drop"));
    assert!(sample("--num-samples 0").contains("at least one sample"));
    assert!(sample("--num-steps 0").contains("--num-steps"));
    assert!(sample("--solver dopri5 --rtol 0 --atol 0").contains("tolerances"));
    assert!(sample("--cfg-interval 0.8,0.2").contains("two rising times"));
    let likelihood = |flags: &str| fail(&format!("likelihood --checkpoint {} {flags}", run.display()));
    assert!(likelihood("--num-images 0").contains("at least 1"));
    assert!(likelihood("--data cifar10-tset").contains("did you mean 'cifar10-test'"));
    let busy = fail(&format!("train --config {config} --out {}", run.display()));
    assert!(busy.contains("already holds a run") && busy.contains("--resume"), "{busy}");
    let changed = fail(&format!("train --resume --batch-size 4 --out {}", run.display()));
    assert!(changed.contains("'batch_size' cannot change"), "{changed}");
}

#[test]
fn what_cannot_be_evaluated_is_told_in_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    fs::write(dir.path().join("w.pth"), "no weights").unwrap();
    let tiny = fm_models::interchange::safetensors(&Default::default(), &Default::default()).unwrap();
    fs::write(dir.path().join("tiny.safetensors"), tiny).unwrap();
    ndarray_npy::write_npy(dir.path().join("colour.npy"), &ndarray::Array4::<u8>::zeros((40, 3, 32, 32))).unwrap();
    let both = format!("evaluate --samples digits --data digits --cache {d}/cache");
    for (words, says) in [
        (format!("{both} --metrics fid"), "pt_inception-2015-12-05-6726825d.pth"),
        (format!("{both} --metrics fid --inception-weights {d}/none.pth"), "none.pth"),
        (format!("{both} --metrics fid --inception-weights {d}/w.pth"), "w.pth cannot be read as weights"),
        (format!("{both} --metrics fid --inception-weights {d}/tiny.safetensors"), "holds no tensors"),
        (format!("{both} --metrics fd-resnet20"), "resnet20 takes colour images of 32 x 32, these are [1, 8, 8]"),
        (format!("{both} --metrics is"), "needs a classifier"),
        (format!("{both} --metrics nll"), "give --checkpoint"),
        (format!("{both} --metrics fd,fidd"), "did you mean 'fid'"),
        (format!("{both} --metrics fd --num-samples 64"), "64 features needs more than 64 samples, got 64"),
        (format!("{both} --metrics kid --num-samples 1"), "at least 2 points"),
        (format!("{both} --metrics kid --num-samples 0"), "--num-samples is 0"),
        (
            format!("evaluate --samples {d}/colour.npy --data digits --metrics kid --cache {d}/cache"),
            "cannot compare pixels of [3, 32, 32]",
        ),
        (format!("{both} --metrics fd --statistics {d}/w.pth"), "it is not a zip archive"),
        (format!("{both} --metrics kid --save-statistics {d}/s.npz"), "ask for fd or fid too"),
        (format!("{both} --metrics nn --cache {d}/w.pth"), "choose another place with --cache"),
    ] {
        let words = if words.matches("--cache").count() > 1 {
            words.replacen(&format!("--cache {d}/cache "), "", 1)
        } else {
            words
        };
        let error = fail(&words);
        assert!(error.contains(says), "{words}: {error}");
    }
    let run = format!("{d}/run");
    succeed(&format!("train --config {} --steps 2 --save-every 0 --out {run}", tiny_config(dir.path())));
    for (flags, says) in [
        ("--sweep 1,2", "give whole numbers of evaluations"),
        ("--sweep nfe=0", "give whole numbers of evaluations"),
        ("--sweep nfe=2 --sde sigma", "drop --sde"),
        ("--sweep nfe=2 --metrics nll", "ask for it without --sweep"),
        ("--sweep nfe=1 --sweep-solvers rk4", "makes whole steps of [1]"),
    ] {
        let error = fail(&format!("evaluate --checkpoint {run} --num-samples 10 --cache {d}/cache {flags}"));
        assert!(error.contains(says), "{flags}: {error}");
    }
}
