//! Runs through the real binary: epochs, monitored values, the final artefact, names of other
//! trainers, and reflow in rounds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, run, succeed};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// 100 points, of which 80 are trained on: 5 steps of 16 rows per epoch.
const POINTS: &str = "--data moons --rows 100 --hold-out 0.2 --batch-size 16 --widths 8 --sample-every 0";

fn lines(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn epochs_are_counted_logged_and_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = format!("{POINTS} --decay constant --save-every 2e --log-every 1");
    succeed(&format!("train {flags} --epochs 4 --out {d}/whole"));
    let log = lines(&dir.path().join("whole"));
    assert_eq!((log.len(), log[0]["epoch"].as_f64(), log[19]["epoch"].as_f64()), (20, Some(0.2), Some(4.0)));
    for (k, line) in log.iter().enumerate() {
        let ends = (k + 1) % 5 == 0;
        assert_eq!(line.get("epoch_loss").is_some(), ends, "{line}");
        if ends {
            let mean = log[k - 4..=k].iter().map(|line| line["loss"].as_f64().unwrap()).sum::<f64>() / 5.0;
            assert!((line["epoch_loss"].as_f64().unwrap() - mean).abs() < 1e-12, "{line}");
        }
    }
    assert_eq!(names(&dir.path().join("whole/checkpoints")), ["step-10", "step-20"]);
    let meta = fs::read(dir.path().join("whole/checkpoints/step-10/meta.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&meta).unwrap()["epoch"], 2.0);

    // Lines that do not end with an epoch, and a stop in the middle of one.
    let flags = flags.replace("--log-every 1", "--log-every 3");
    succeed(&format!("train {flags} --epochs 4 --out {d}/threes"));
    let reported = |run: &str| {
        let line = |line: &Value| Some((line["step"].as_u64()?, line.get("epoch_loss")?.as_f64()?));
        lines(&dir.path().join(run)).iter().filter_map(line).collect::<Vec<_>>()
    };
    let ends: Vec<f64> = reported("whole").into_iter().map(|(_, loss)| loss).collect();
    let threes = reported("threes");
    assert_eq!(threes.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [6, 12, 15, 20]);
    assert!(threes.iter().zip(&ends).all(|((_, loss), end)| (loss - end).abs() < 1e-12), "{threes:?} {ends:?}");
    succeed(&format!("train {flags} --steps 7 --out {d}/parts"));
    succeed(&format!("train --resume --epochs 4 --out {d}/parts"));
    let last = |run: &str| lines(&dir.path().join(run)).pop().unwrap();
    assert_eq!(last("parts"), last("threes"));

    // Interval of validation in epochs.
    succeed(&format!("train {POINTS} --epochs 4 --log-every 1e --validate-every 2e --out {d}/validated"));
    let due: Vec<bool> =
        lines(&dir.path().join("validated")).iter().map(|line| line.get("val_loss").is_some()).collect();
    assert_eq!(due, [false, true, false, true]);
    let (code, _, error) = run(&format!("train {POINTS} --save-every 2x --out {d}/no"));
    assert!(code == Some(2) && error.contains("or of epochs as in 10e"), "{error}");
    let refused = fail(&format!("train {POINTS} --epochs 18446744073709551615 --out {d}/no"));
    assert!(refused.contains("too many for a number of steps; give fewer"), "{refused}");
}

#[test]
fn any_value_of_the_log_can_be_monitored_either_way() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = format!("{POINTS} --log-every 1 --decay constant --save-every 3");
    let best = |monitor: &str, steps: u64, keep: usize, out: &str| {
        succeed(&format!("train {flags} --steps {steps} --monitor {monitor} --keep-best {keep} --out {d}/{out}"));
        names(&dir.path().join(out).join("best"))
    };
    let of_log = |key: &str, highest: bool| {
        let mut log = lines(&dir.path().join("low"));
        log.sort_by(|a, b| a[key].as_f64().unwrap().total_cmp(&b[key].as_f64().unwrap()));
        if highest {
            log.reverse();
        }
        let mut steps: Vec<String> = log[..3].iter().map(|line| format!("step-{}", line["step"])).collect();
        steps.sort();
        steps
    };
    let low = best("loss", 12, 3, "low");
    assert_eq!(low, of_log("loss", false));
    assert_eq!(best("grad_norm:max", 12, 3, "high"), of_log("grad_norm", true));
    // The same in two sittings.
    best("loss", 6, 3, "parts");
    succeed(&format!("train --resume --steps 12 --out {d}/parts"));
    assert_eq!(names(&dir.path().join("parts/best")), low);
    // No improvement is as large as this.
    let said = succeed(&format!("train {flags} --steps 40 --early-stopping 3 --min-delta 100 --out {d}/delta"));
    assert!(
        said.contains("loss has not improved for 3 lines") && lines(&dir.path().join("delta")).len() == 4,
        "{said}"
    );
    for (words, says) in [
        ("--monitor los", "choose one of loss, epoch_loss"),
        ("--monitor loss:highest", "give loss if lower is better, or loss:max"),
        ("--min-delta=-1", "give an improvement of 0 or more (--min-delta)"),
    ] {
        let error = fail(&format!("train {flags} --steps 2 --early-stopping 2 {words} --out {d}/no"));
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_finished_run_has_its_weights_and_their_description_at_its_root() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    fs::write(dir.path().join("t.csv"), "a,b,kind\n".to_owned() + &"1,20,x\n3,40,y\n5,10,x\n2,30,y\n".repeat(10))
        .unwrap();
    let said = succeed(&format!(
        "train --data {d}/t.csv --labels kind --steps 6 --batch-size 8 --widths 8 --sample-every 0 --out {d}/run"
    ));
    assert!(said.contains("model.safetensors, config.json"), "{said}");
    let about: Value = serde_json::from_slice(&fs::read(dir.path().join("run/config.json")).unwrap()).unwrap();
    assert_eq!((about["step"].as_u64(), about["model"]["kind"].as_str()), (Some(6), Some("mlp")));
    let sample = |from: &str| {
        succeed(&format!("sample --checkpoint {d}/{from} --num-samples 20 --out {d}/s.csv"));
        fs::read_to_string(dir.path().join("s.csv")).unwrap()
    };
    // In the units of the table, with its columns and classes.
    let samples = sample("run");
    assert!(samples.starts_with("a,b,kind\n"), "{samples}");
    assert_eq!(sample("run/model.safetensors"), samples);
    // A resumed run replaces them when it ends.
    let before = fs::read(dir.path().join("run/model.safetensors")).unwrap();
    succeed(&format!("train --resume --steps 8 --out {d}/run"));
    assert!(fs::read(dir.path().join("run/model.safetensors")).unwrap() != before);
    assert_ne!(sample("run/model.safetensors"), samples);
}

#[test]
fn each_average_of_a_run_and_its_weights_can_be_sampled() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train {POINTS} --steps 20 --ema-decay 0.9,0 --ema-warmup false --out {d}/run"));
    let sample = |flags: &str| {
        let said = succeed(&format!("sample --checkpoint {d}/run --num-samples 9 {flags} --out {d}/s.csv"));
        (fs::read_to_string(dir.path().join("s.csv")).unwrap(), said)
    };
    let [(first, _), (second, _), (raw, said)] = ["", "--ema-decay 0", "--raw-weights"].map(sample);
    assert!(said.contains("raw weights of step 20"), "{said}");
    // An average with decay 0 is the weights themselves.
    assert!(raw == second && raw != first);
    assert!(
        fail(&format!("sample --checkpoint {d}/run --ema-decay 0.5 --num-samples 9 --out {d}/s.csv")).contains("0.9")
    );
}

/// Averages of any width follow from the snapshots of a run, which are not removed, and which a
/// resumed run continues.
#[test]
fn averages_of_other_widths_are_computed_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let train = |steps: u64, out: &str, flags: &str| {
        succeed(&format!("train {POINTS} --steps {steps} --save-every 4 --decay constant {flags} --out {d}/{out}"))
    };
    train(40, "run", "--ema-sigma 0.05,0.1");
    let every: Vec<String> = (1..=10).map(|k| format!("step-{}", 4 * k)).collect();
    let sorted = |mut names: Vec<String>| {
        names.sort_by_key(|name| name[5..].parse::<u64>().unwrap());
        names
    };
    assert_eq!(sorted(names(&dir.path().join("run/averages"))), every);
    assert_eq!(names(&dir.path().join("run/checkpoints")).len(), 3);
    let sample = |flags: &str| {
        let words = format!("sample --checkpoint {d}/run --num-samples 9 {flags} --out {d}/s.csv");
        let (code, said, notes) = run(&words);
        assert_eq!(code, Some(0), "{notes}");
        (fs::read_to_string(dir.path().join("s.csv")).unwrap(), said + &notes)
    };
    let [(plain, _), (near, said), (wide, _)] = ["", "--ema-sigma 0.08", "--ema-sigma 0.2"].map(sample);
    assert!(said.contains("averaged weights (sigma 0.08) of step 40"), "{said}");
    assert!(said.contains("averaged  width 0.08 from 20 snapshots"), "{said}");
    assert!(plain != near && near != wide);

    train(20, "parts", "--ema-sigma 0.05,0.1");
    succeed(&format!("train --resume --steps 40 --out {d}/parts"));
    for step in &every {
        for file in ["averages/STEP/ema-sigma-0.05.safetensors", "averages/STEP/ema-sigma-0.1.safetensors"] {
            let read = |run: &str| fs::read(dir.path().join(run).join(file.replace("STEP", step))).unwrap();
            assert!(read("run") == read("parts"), "{step}");
        }
    }
    let fails = |words: &str, says: &str| {
        let error = fail(&words.replace("DIR", &d.to_string()));
        assert!(error.contains(says), "{error}");
    };
    fails("train --resume --steps 50 --ema-sigma 0.1 --out DIR/parts", "ema_sigma");
    fails("sample --checkpoint DIR/run --ema-sigma 0.5 --out DIR/s.csv", "give 0.001 to 0.28");
    fails("sample --checkpoint DIR/run/model.safetensors --ema-sigma 0.1 --out DIR/s.csv", "are for runs");
    fails(&format!("train {POINTS} --steps 4 --ema-sigma 0.1,0.1 --out DIR/no"), "give each width once");
    train(4, "without", "");
    fails("sample --checkpoint DIR/without --ema-sigma 0.1 --out DIR/s.csv", "ema_sigma = [0.05, 0.1]");
}

/// The weights of a flow start a flow map, from a run or from a file.
#[test]
fn a_run_starts_from_given_weights() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let train = |flags: &str, out: &str| format!("train {POINTS} {flags} --out {d}/{out}");
    succeed(&train("--steps 20", "flow"));
    // A step of no length leaves what the run started from.
    let still = "--steps 1 --warmup-steps 1 --lr 1e-12 --task split";
    let raw = |run: &str, step: u64, file: &str| {
        let bytes = fs::read(dir.path().join(format!("{run}/checkpoints/step-{step}/{file}"))).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let value = |data: &[u8]| data.chunks_exact(4).map(|v| f32::from_le_bytes(v.try_into().unwrap())).collect();
        let all = tensors.iter().map(|(name, view)| (name.to_owned(), value(view.data())));
        all.collect::<std::collections::BTreeMap<String, Vec<f32>>>()
    };
    let want = raw("flow", 20, "ema.safetensors");
    for (init, out) in [("flow", "from-run"), ("flow/model.safetensors", "from-file")] {
        succeed(&train(&format!("{still} --init {d}/{init}"), out));
        let got = raw(out, 1, "model.safetensors");
        let close = |(name, want): (&String, &Vec<f32>)| got[name].iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(want.iter().all(close), "{init}");
        assert!(got["interval.weight"].iter().all(|w| w.abs() < 1e-9));
    }
    let fails = |words: String, says: &str| {
        let error = fail(&words);
        assert!(error.contains(says), "{error}");
    };
    fails(train(&format!("--steps 1 --init {d}/flow --widths 9"), "no"), "has another network");
    fails(train(&format!("--steps 1 --init {d}/absent"), "no"), "cannot start from");
    fails(format!("reflow --teacher {d}/flow --steps 1 --init {d}/flow --out {d}/no"), "drop --init");
    // A run does not need them again, and a student of it starts from it.
    succeed(&train(&format!("--steps 4 --save-every 2 --init {d}/flow"), "later"));
    fs::remove_dir_all(dir.path().join("flow")).unwrap();
    succeed(&format!("train --resume --steps 6 --out {d}/later"));
    succeed(&format!("reflow --teacher {d}/later --teacher-steps 2 --steps 2 --batch-size 16 --out {d}/student"));
}

/// A source that is trained is part of the weights.
#[test]
fn the_weights_of_a_finished_run_have_its_trained_source() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train {POINTS} --steps 30 --lr 0.1 --trainable-source true --out {d}/run"));
    let sample = |from: &str| {
        succeed(&format!("sample --checkpoint {d}/{from} --num-samples 20 --out {d}/s.csv"));
        fs::read_to_string(dir.path().join("s.csv")).unwrap()
    };
    assert_eq!(sample("run/model.safetensors"), sample("run"));
}

fn table(path: &Path) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(',').map(|value| value.parse().unwrap()).collect()).collect()
}

/// 2 E|X - Y| - E|X - X'| - E|Y - Y'| over distinct pairs.
fn energy_distance(x: &[Vec<f64>], y: &[Vec<f64>]) -> f64 {
    let mean = |a: &[Vec<f64>], b: &[Vec<f64>], pairs: usize| {
        let distance = |p: &Vec<f64>, q: &Vec<f64>| p.iter().zip(q).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt();
        a.iter().flat_map(|p| b.iter().map(move |q| distance(p, q))).sum::<f64>() / pairs as f64
    };
    let (n, m) = (x.len(), y.len());
    2.0 * mean(x, y, n * m) - mean(x, x, n * (n - 1)) - mean(y, y, m * (m - 1))
}

#[test]
fn the_quality_of_samples_is_measured_during_training() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train {POINTS} --steps 1 --out {d}/moons"));
    succeed(&format!("sample --checkpoint {d}/moons --num-samples 60 --solver rk4 --out {d}/data.csv"));
    let flags = format!(
        "--data {d}/data.csv --header no --preprocess none --hold-out 0 --batch-size 16 --widths 8 --sample-every 0 --log-every 1 \
         --save-every 3 --ema-decay 0 --decay constant --quality-every 3 --quality-samples 40 --monitor quality --keep-best 2"
    );
    succeed(&format!("train {flags} --steps 12 --out {d}/run"));
    let values = |run: &str| {
        let value = |line: &Value| Some((line["step"].as_u64()?, line.get("quality")?.as_f64()?));
        lines(&dir.path().join(run)).iter().filter_map(value).collect::<Vec<_>>()
    };
    let found = values("run");
    assert_eq!(found.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [3, 6, 9, 12]);
    // The same samples, drawn by the command from the checkpoints that are kept, against the same
    // rows.
    for (step, quality) in &found[1..] {
        succeed(&format!(
            "sample --checkpoint {d}/run/checkpoints/step-{step} --num-samples 40 --seed 0 --solver euler --num-steps 50 --out {d}/s.csv"
        ));
        let expected = energy_distance(&table(&dir.path().join("s.csv")), &table(&dir.path().join("data.csv")));
        assert!((quality - expected).abs() < 1e-5, "step {step}: {quality} and {expected}");
    }
    let mut best = found.clone();
    best.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut best: Vec<String> = best[..2].iter().map(|(step, _)| format!("step-{step}")).collect();
    best.sort();
    assert_eq!(names(&dir.path().join("run/best")), best);
    // The same in two sittings.
    succeed(&format!("train {flags} --steps 6 --out {d}/parts"));
    succeed(&format!("train --resume --steps 12 --out {d}/parts"));
    assert_eq!(values("parts"), found);
    // Samples that diverge have no quality, and do not end the run.
    succeed(&format!("train {flags} --steps 3 --lr 1e20 --clip inf --non-finite-patience 100 --out {d}/far"));
    assert_eq!(lines(&dir.path().join("far"))[2].get("quality"), Some(&Value::Null));
}

#[test]
fn other_trainers_names_are_flags_too() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let train = |flags: &str, out: &str| {
        succeed(&format!("train {POINTS} --steps 3 {flags} --out {d}/{out}"));
        fs::read(dir.path().join(out).join("checkpoints/step-3/model.safetensors")).unwrap()
    };
    for (theirs, ours) in [
        (
            "--flow-type ot_cfm --sigma-min 0.1 --ot-regularization 0.5",
            "--path linear-sigma-min:sigma_min=0.1 --coupling sinkhorn-absolute:epsilon=0.5",
        ),
        (
            "--time-sampling logit_normal --logit-normal-loc -1 --logit-normal-scale 0.5",
            "--time logit-normal:loc=-1,scale=0.5",
        ),
        ("--use-ot true", "--coupling sinkhorn-absolute:epsilon=0.01"),
    ] {
        let out = theirs.len().to_string();
        assert!(train(theirs, &out) == train(ours, &format!("{out}-ours")), "{theirs}");
    }
    let error = fail(&format!("train {POINTS} --flow-type cfm --path linear --out {d}/no"));
    assert!(error.contains("path is set twice"), "{error}");
}

/// Rounds that are stopped between and inside are repeated by their command, and give the bytes of
/// uninterrupted ones.
#[test]
fn reflow_in_rounds_is_one_command() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!(
        "train --data spiral --rows 500 --steps 30 --batch-size 32 --widths 16 --sample-every 0 --out {d}/teacher"
    ));
    let rounds = |count: usize, out: &str, more: &str| {
        format!(
            "reflow --teacher {d}/teacher --rounds {count} --teacher-steps 3 --steps 6 --save-every 3 --batch-size 16 {more} \
             --out {d}/{out}"
        )
    };
    let said = succeed(&rounds(2, "whole", ""));
    assert!(
        said.contains("round     2 of 2") && said.contains("NFE 32") && said.contains("round 0 is the teacher"),
        "{said}"
    );
    let table: Value = serde_json::from_slice(&fs::read(dir.path().join("whole/steps.json")).unwrap()).unwrap();
    assert_eq!(table.as_array().unwrap().len(), 3);
    assert_eq!(table[2]["euler"].as_array().unwrap().len(), 6);
    let weights = |run: &str| fs::read(dir.path().join(run).join("checkpoints/step-6/model.safetensors")).unwrap();
    let teacher_of = |run: &str| fs::read_to_string(dir.path().join(run).join("config.toml")).unwrap();
    assert!(teacher_of("whole/round-2").contains("whole/round-1"));

    // As a kill in the second round leaves it: a round that is not finished.
    succeed(&rounds(1, "parts", ""));
    succeed(&rounds(2, "parts", ""));
    fs::remove_dir_all(dir.path().join("parts/round-2/checkpoints/step-6")).unwrap();
    for name in ["model.safetensors", "config.json"] {
        fs::remove_file(dir.path().join("parts/round-2").join(name)).unwrap();
    }
    fs::write(dir.path().join("parts/done.json"), "1\n").unwrap();
    let said = succeed(&rounds(2, "parts", ""));
    assert!(said.contains("round     1 of 2 is done") && said.contains("resumed "), "{said}");
    assert!(
        weights("parts/round-1") == weights("whole/round-1") && weights("parts/round-2") == weights("whole/round-2")
    );
    // A fresh start differs, and is another experiment.
    let refused = fail(&rounds(2, "parts", "--fresh"));
    assert!(refused.contains("other settings"), "{refused}");
    succeed(&rounds(1, "fresh", "--fresh"));
    assert!(weights("fresh/round-1") != weights("whole/round-1"));
    let refused = fail(&rounds(0, "none", ""));
    assert!(refused.contains("--rounds is 0; choose 1 to 100"), "{refused}");
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join("mine/thesis.tex"), "mine").unwrap();
    let refused = fail(&rounds(2, "mine", ""));
    assert!(refused.contains("holds files of something else"), "{refused}");
    assert_eq!(names(&dir.path().join("mine")), ["thesis.tex"]);
}
