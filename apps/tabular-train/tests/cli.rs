//! The real binary: train, go on, sample in the table's own units, refuse bad input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{columns, fail, run, succeed};
use std::fs;

#[test]
fn a_table_is_learned_in_its_own_units() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    // x uniform on 1000..1002, y = -5 x + 7000 up to rounding: far from standard normal, strongly
    // correlated.
    let rows = (0..400).map(|i| 1000.0 + f64::from(i) / 200.0).map(|x| format!("{x},{}\n", 7000.0 - 5.0 * x));
    fs::write(dir.path().join("t.csv"), format!("a,b\n{}", rows.collect::<String>())).unwrap();
    let flags = format!("--data {d}/t.csv --coupling exact --batch-size 64 --out {d}/run");
    assert!(succeed(&format!("train {flags} --steps 200")).contains("360 rows of 2 columns, 40 more held out"));
    succeed(&format!("train --resume --steps 500 --out {d}/run"));
    let text =
        succeed(&format!("sample --checkpoint {d}/run --num-samples 500 --solver heun --num-steps 20 --out {d}/s.csv"));
    assert!(text.contains("NFE 40") && text.contains("step 500"), "{text}");
    let rows = columns(&dir.path().join("s.csv"), 1);
    assert_eq!(rows.len(), 500);
    let mean = |i: usize| rows.iter().map(|r| r[i]).sum::<f64>() / 500.0;
    assert!((mean(0) - 1001.0).abs() < 0.2 && (mean(1) - 1995.0).abs() < 1.0, "{} {}", mean(0), mean(1));
    let residual = rows.iter().map(|r| (r[1] - (7000.0 - 5.0 * r[0])).powi(2)).sum::<f64>() / 500.0;
    let spread = rows.iter().map(|r| (r[1] - mean(1)).powi(2)).sum::<f64>() / 500.0;
    assert!(residual < 0.15 * spread, "the correlation is lost: {residual} against {spread}");
    assert!(dir.path().join("run/samples/step-500.png").exists());
    succeed(&format!("report {d}/run --plots {d}/plots"));
    let page = fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    assert!(
        page.contains("Cost of coupled pairs")
            && page.contains("step 500")
            && page.contains("coupling = &quot;exact&quot;")
    );
    // The same numbers from NumPy's file train to the same weights.
    let table = columns(&dir.path().join("t.csv"), 1);
    let array = ndarray::Array2::from_shape_fn((400, 2), |(i, j)| table[i][j]);
    ndarray_npy::write_npy(dir.path().join("t.npy"), &array).unwrap();
    for kind in ["csv", "npy"] {
        succeed(&format!("train --data {d}/t.{kind} --batch-size 64 --steps 20 --sample-every 0 --out {d}/{kind}"));
    }
    let weights = |kind: &str| fs::read(dir.path().join(kind).join("checkpoints/step-20/model.safetensors")).unwrap();
    assert!(weights("csv") == weights("npy"));
}

#[test]
fn every_toy_runs_and_bad_input_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    for toy in ["spiral", "moons", "8gaussians", "checkerboard"] {
        succeed(&format!("train --data {toy} --rows 500 --steps 3 --sample-every 0 --out {d}/{toy}"));
    }
    fs::write(dir.path().join("bad.csv"), "1,2\n3,x\n").unwrap();
    fs::write(dir.path().join("one.csv"), "1,2\n").unwrap();
    fs::write(dir.path().join("half.csv"), "0.5\n").unwrap();
    fs::write(dir.path().join("three.csv"), "1,2\n3,4\n5,6\n").unwrap();
    for (words, says) in [
        (format!("train --data {d}/bad.csv --out {d}/x"), "line 2, column 2"),
        (format!("train --data {d}/none.csv --out {d}/x"), "none.csv"),
        (format!("train --data cube --out {d}/x"), "choose one of spiral"),
        (format!("train --batch-size 0 --out {d}/x"), "--batch-size"),
        (format!("train --out {d}/moons"), "already holds a run"),
        (format!("sample --checkpoint {d}/none --out {d}/s.csv"), "No such file or directory"),
        (format!("train --coupling schroedinger-bridge --out {d}/x"), "choose path schroedinger-bridge"),
        (format!("train --ot-batch 0 --out {d}/x"), "ot_batch is 0"),
        (format!("couple {d}/one.csv"), "at least two"),
        (format!("couple {d}/one.csv {d}/three.csv {d}/three.csv"), "equal rows"),
        (format!("couple {d}/one.csv {d}/three.csv --coupling c2ot"), "give tables of one length"),
        (format!("couple {d}/one.csv {d}/one.csv --coupling independent"), "leaves rows as they are"),
        (
            format!("couple {d}/one.csv {d}/one.csv {d}/one.csv --coupling semidiscrete"),
            "cannot couple 3 tables by semidiscrete",
        ),
        (format!("couple {d}/one.csv {d}/one.csv --coupling semidiscrete --classes {d}/one.csv"), "drop --classes"),
        (format!("train --data moons --rows 0 --coupling semidiscrete --out {d}/x"), "--rows 10000"),
        (format!("couple {d}/one.csv {d}/one.csv --coupling c2ot"), "give labels"),
        (format!("couple {d}/one.csv {d}/one.csv --coupling c2ot --classes {d}/one.csv"), "2 conditions"),
        (format!("couple {d}/one.csv {d}/one.csv --coupling c2ot --classes {d}/half.csv"), "no class"),
    ] {
        let error = fail(&words);
        assert!(error.contains(says), "{words}\n{error}");
    }
    assert!(!dir.path().join("x").exists());
}

/// Three days of three points on a line, in other orders: paths keep the order of the line.
#[test]
fn couple_joins_snapshots_into_paths() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    for (name, text) in [("a", "0\n10\n20\n"), ("b", "21\n1\n11\n"), ("c", "12\n22\n2\n")] {
        fs::write(dir.path().join(format!("{name}.csv")), text).unwrap();
    }
    let said = succeed(&format!("couple {d}/a.csv {d}/b.csv {d}/c.csv --out {d}/paths.csv"));
    assert!(said.contains("cost 1 of mass 1") && said.contains("pairs     cost 1, 1"), "{said}");
    let text = fs::read_to_string(dir.path().join("paths.csv")).unwrap();
    assert_eq!(text, "table_0,table_1,table_2\n0,1,2\n1,2,0\n2,0,1\n");
    let drawn = "--coupling sinkhorn:0.001 --pairing drawn --seed 3";
    succeed(&format!("couple {d}/a.csv {d}/b.csv {d}/c.csv {drawn} --out {d}/drawn.csv"));
    assert_eq!(fs::read_to_string(dir.path().join("drawn.csv")).unwrap(), text);
    // Tables of different lengths share masses: rows 0 and 10 of a third each go to one of two.
    fs::write(dir.path().join("two.csv"), "0\n20\n").unwrap();
    let said = succeed(&format!("couple {d}/a.csv {d}/two.csv --out {d}/masses.csv"));
    // Row 10 is split, at a cost of 100 for a third of the mass.
    assert!(said.contains("3 rows of") && said.contains("cost 33.3333"), "{said}");
    let masses = columns(&dir.path().join("masses.csv"), 1);
    let sum = |side: usize, row: f64| masses.iter().filter(|m| m[side] == row).map(|m| m[2]).sum::<f64>();
    for (side, rows) in [(0, 3), (1, 2)] {
        (0..rows).for_each(|row| assert!((sum(side, f64::from(row)) - 1.0 / f64::from(rows)).abs() < 1e-12));
    }
    let drawn = succeed(&format!("couple {d}/a.csv {d}/two.csv --coupling sinkhorn:0.001 --out {d}/soft.csv"));
    assert!(drawn.contains("cost 33.3333"), "{drawn}");
}

/// Loss-aware times are part of the state: stopped between two moves of their density, a run goes
/// on to the same bytes.
#[test]
fn loss_aware_times_resume_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = "--data spiral --rows 2000 --batch-size 64 --sample-every 0 --loss-aware 10 --time-draw antithetic";
    succeed(&format!("train {flags} --steps 160 --out {d}/whole"));
    // The schedule depends on the number of steps, so the run is cut by its checkpoint and not by
    // its length.
    succeed(&format!("train {flags} --steps 160 --save-every 80 --out {d}/parts"));
    fs::remove_dir_all(dir.path().join("parts/checkpoints/step-160")).unwrap();
    succeed(&format!("train --resume --out {d}/parts"));
    let read = |run: &str, file: &str| fs::read(dir.path().join(run).join(file)).unwrap();
    for file in ["checkpoints/step-160/model.safetensors", "checkpoints/step-160/ema.safetensors", "metrics.jsonl"] {
        assert!(read("whole", file) == read("parts", file), "{file}");
    }
    let plain = flags.replace("--loss-aware 10", "");
    succeed(&format!("train {plain} --steps 160 --out {d}/plain"));
    let weights = "checkpoints/step-160/model.safetensors";
    assert!(read("whole", weights) != read("plain", weights), "loss-aware times changed nothing");
}

/// Batches that are paired in groups of steps, resumed within a group and in the middle of drawn
/// pairs.
#[test]
fn rows_of_several_steps_are_paired_together_and_resume_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags =
        "--data moons --rows 500 --batch-size 32 --sample-every 0 --coupling sinkhorn --pairing drawn --ot-batch 4";
    succeed(&format!("train {flags} --steps 10 --out {d}/whole"));
    succeed(&format!("train {flags} --steps 10 --save-every 6 --out {d}/parts"));
    fs::remove_dir_all(dir.path().join("parts/checkpoints/step-10")).unwrap();
    succeed(&format!("train --resume --out {d}/parts"));
    succeed(&format!("train {} --steps 10 --out {d}/single", flags.replace("--ot-batch 4", "")));
    let read = |run: &str| fs::read(dir.path().join(run).join("checkpoints/step-10/model.safetensors")).unwrap();
    assert!(read("whole") == read("parts") && read("whole") != read("single"));
}

#[test]
fn other_trainers_names_data_to_data_and_the_excess_loss() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let theirs =
        "flow_type = \"ot_cfm\"\nsigma_min = 0.01\not_regularization = 0.5\ntime_sampling = \"u_shaped\"\nsteps = 3\n";
    fs::write(dir.path().join("c.toml"), theirs).unwrap();
    succeed(&format!("train --config {d}/c.toml --batch-size 32 --sample-every 0 --out {d}/theirs"));
    let ours = fs::read_to_string(dir.path().join("theirs/config.toml")).unwrap();
    for line in [
        "path = \"linear-sigma-min:sigma_min=0.01\"",
        "coupling = \"sinkhorn-absolute:epsilon=0.5\"",
        "time = \"arcsine\"",
        "steps = 3",
    ] {
        assert!(ours.lines().any(|l| l == line), "{line} is not in\n{ours}");
    }
    // A run's own config.toml starts the same run again.
    succeed(&format!("train --config {d}/theirs/config.toml --sample-every 0 --out {d}/again"));
    let weights = "checkpoints/step-3/model.safetensors";
    assert!(
        fs::read(dir.path().join("theirs").join(weights)).unwrap()
            == fs::read(dir.path().join("again").join(weights)).unwrap()
    );

    // Eight Gaussians to moons: the source lies where its data set does.
    let pair = "--data moons --source 8gaussians --rows 2000 --coupling exact --batch-size 64 --sample-every 0";
    succeed(&format!("train {pair} --steps 200 --out {d}/pair"));
    succeed(&format!("sample --checkpoint {d}/pair --num-samples 200 --num-steps 10 --out {d}/s.csv"));
    let drawn = columns(&dir.path().join("s.csv"), 0);
    let inside = drawn.iter().filter(|r| (-6.0..9.0).contains(&r[0]) && (-5.0..5.0).contains(&r[1])).count();
    assert!(inside > 190, "{inside} of 200 near the moons");

    let text = succeed(&format!(
        "train --data 8gaussians --rows 2000 --steps 400 --excess-loss true --sample-every 0 --out {d}/x"
    ));
    assert!(text.contains("least     loss "), "{text}");
    let last = fs::read_to_string(dir.path().join("x/metrics.jsonl")).unwrap().lines().last().unwrap().to_owned();
    let record: serde_json::Value = serde_json::from_str(&last).unwrap();
    let (loss, excess) = (record["loss"].as_f64().unwrap(), record["excess"].as_f64().unwrap());
    assert!(excess > 0.0 && excess < 0.5 * loss, "{last}");
    let (code, _, error) = run(&format!("train --coupling exact --excess-loss true --out {d}/y"));
    assert_eq!((code, error.lines().count()), (Some(2), 1), "{error}");
}

/// One network, sampled along another path than it was trained on: the same rows, up to the
/// error of the solver.
#[test]
fn a_change_of_schedule_moves_no_sample() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = "--data moons --rows 2000 --batch-size 64 --steps 300 --sample-every 0 --path trigonometric";
    succeed(&format!("train {flags} --out {d}/run"));
    let draw = |flags: &str| {
        succeed(&format!("sample --checkpoint {d}/run --num-samples 50 {flags} --out {d}/s.csv"));
        columns(&dir.path().join("s.csv"), 0)
    };
    let off = |flags: &str| {
        let (own, other) = (draw(flags), draw(&format!("{flags} --schedule linear")));
        own.iter().flatten().zip(other.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    assert!(off("--solver dopri5 --rtol 1e-6 --atol 1e-6") < 1e-3);
    assert!(off("--num-steps 4") > 1e-2, "a coarse solver must notice another path");
    let (code, _, error) = run(&format!("sample --checkpoint {d}/run --schedule bridge --out {d}/s.csv"));
    assert!(code == Some(2) && error.contains("noise of its own"), "{error}");
}

/// Ten thousand steps, averages, coupling and worker thread included, need no more memory than two
/// thousand.
#[test]
#[cfg(target_os = "linux")]
fn memory_stays_flat_over_ten_thousand_steps() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!(
        "train --data moons --rows 500 --batch-size 16 --widths 8 --steps 10000 --coupling exact --log-every 500 --sample-every 0 \
         --ema-decay 0.9,0.99 --out {d}/run"
    ));
    let text = std::fs::read_to_string(dir.path().join("run/timing.jsonl")).unwrap();
    let resident = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["step"].as_u64().unwrap(), line["resident_memory_bytes"].as_f64().unwrap())
    };
    let seen: Vec<(u64, f64)> = text.lines().map(resident).collect();
    let (early, late) = (seen.iter().find(|s| s.0 == 2000).unwrap().1, seen.last().unwrap().1);
    assert!(late < 1.01 * early, "{early} bytes after 2,000 steps, {late} after 10,000");
}

/// A run that goes nowhere stops by itself, the same after a resume; its best checkpoint is kept.
#[test]
fn early_stopping_and_the_best_checkpoint_survive_a_resume() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = "--data moons --rows 200 --batch-size 16 --widths 8 --log-every 10 --sample-every 0 --early-stopping 6 --keep-best true --lr 1e-5";
    let said = succeed(&format!("train {flags} --steps 400 --decay constant --out {d}/whole"));
    assert!(said.contains("loss has not improved for 6 lines"), "{said}");
    let log = |run: &str| std::fs::read_to_string(dir.path().join(run).join("metrics.jsonl")).unwrap();
    let losses: Vec<f64> = log("whole")
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["loss"].as_f64().unwrap())
        .collect();
    let best = (0..losses.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap();
    assert_eq!(losses.len(), best + 7, "{losses:?}");
    assert!(losses.len() < 40, "it never stopped");
    assert!(dir.path().join(format!("whole/best/step-{}/meta.json", 10 * (best + 1))).exists());
    assert_eq!(std::fs::read_dir(dir.path().join("whole/best")).unwrap().count(), 1);
    // The same in two sittings: stopped in the middle, resumed with all steps.
    let middle = 10 * (losses.len() - 3);
    succeed(&format!("train {flags} --steps {middle} --decay constant --out {d}/parts"));
    std::fs::remove_dir_all(dir.path().join("parts/best")).unwrap();
    succeed(&format!("train --resume --steps 400 --out {d}/parts"));
    let lines = |text: &str| text.lines().last().unwrap().to_owned();
    assert_eq!(lines(&log("whole")), lines(&log("parts")));
}

/// The loss on held-out rows is in the log of the lines that are due, stops a run, and is the same
/// bytes after a resume.
#[test]
fn the_loss_on_held_out_rows_is_logged_monitored_and_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = "--data moons --rows 200 --batch-size 16 --widths 8 --log-every 5 --sample-every 0 --hold-out 0.25";
    let measured = format!("{flags} --validate-every 10 --decay constant");
    let said = succeed(&format!("train {measured} --steps 40 --out {d}/whole"));
    assert!(said.contains("50 more held out") && said.contains("val_loss"), "{said}");
    let log = |run: &str| std::fs::read_to_string(dir.path().join(run).join("metrics.jsonl")).unwrap();
    let lines = |run: &str| -> Vec<serde_json::Value> {
        log(run).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let due: Vec<bool> = lines("whole").iter().map(|line| line.get("val_loss").is_some()).collect();
    assert_eq!(due, [false, true].repeat(4));
    let last = lines("whole").pop().unwrap();
    let number = |key: &str| last[key].as_f64().unwrap();
    assert!((0.3..4.0).contains(&number("val_loss")) && (0.3..4.0).contains(&number("val_loss_raw")), "{last}");
    assert!(last["val_loss_by_time"].as_array().unwrap().len() == 10 && number("val_loss") != number("val_loss_raw"));
    succeed(&format!("train {measured} --steps 20 --out {d}/parts"));
    succeed(&format!("train --resume --steps 40 --out {d}/parts"));
    assert_eq!(log("whole"), log("parts"));
    // Measuring changes nothing else.
    succeed(&format!("train {flags} --decay constant --steps 40 --out {d}/plain"));
    let weights =
        |run: &str| std::fs::read(dir.path().join(run).join("checkpoints/step-40/model.safetensors")).unwrap();
    assert!(weights("plain") == weights("whole"));

    // A network that does not move: the loss stops falling at once.
    let still = format!("{measured} --lr 1e-12 --monitor val_loss --early-stopping 3 --keep-best true");
    let said = succeed(&format!("train {still} --steps 400 --out {d}/still"));
    assert!(said.contains("val_loss has not improved for 3 lines"), "{said}");
    assert!(lines("still").len() < 20 && dir.path().join("still/best").is_dir());

    let refused =
        |flags: &str| fail(&format!("train --data moons --rows 200 --steps 2 --log-every 5 {flags} --out {d}/no"));
    let hint = refused("--validate-every 10");
    assert!(hint.contains("no rows are held out; pass --hold-out 0.1"), "{hint}");
    let hint = refused("--validate-every 7 --hold-out 0.1");
    assert!(hint.contains("choose a multiple of 5 (--validate-every)"), "{hint}");
    let hint = refused("--monitor val_loss --early-stopping 2");
    assert!(hint.contains("pass --validate-every STEPS and --hold-out 0.1"), "{hint}");
    // The remedies work.
    succeed(&format!(
        "train --data moons --rows 200 --steps 2 --log-every 5 --monitor val_loss --early-stopping 2 --validate-every 10 \
         --hold-out 0.1 --out {d}/yes"
    ));
}

#[test]
fn a_run_whose_checkpoints_are_all_damaged_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let train =
        format!("train --data moons --rows 200 --steps 4 --save-every 2 --log-every 1 --sample-every 0 --out {d}/run");
    succeed(&train);
    let run = dir.path().join("run");
    let log = fs::read(run.join("metrics.jsonl")).unwrap();
    // One value of the metadata changes, and nothing else: its own checksum notices.
    for step in [2, 4] {
        let meta = run.join(format!("checkpoints/step-{step}/meta.json"));
        let text = fs::read_to_string(&meta).unwrap();
        let changed = text.replacen("\"ema_updates\": ", "\"ema_updates\": 1", 1);
        assert_ne!(text, changed);
        fs::write(&meta, changed).unwrap();
    }
    let told = fail(&train);
    assert!(told.contains("run without a usable checkpoint, which cannot be resumed; pass another --out"), "{told}");
    let refused = fail(&format!("train --resume --out {d}/run"));
    assert!(refused.contains("meta.json does not match its own checksum"), "{refused}");
    assert_eq!(fs::read(run.join("metrics.jsonl")).unwrap(), log);
}

/// `tests/files/format-5` was written by the program before checkpoints had a checksum of their
/// metadata, after 2 steps of
/// `train --data moons --rows 200 --model mlp --widths 8 --steps 4 --loss-aware 4` with
/// `--ema-decay 0.9,0.99`.
#[test]
fn runs_of_format_5_are_sampled_and_resumed() {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/format-5");
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let text = succeed(&format!("sample --checkpoint {files} --num-samples 5 --num-steps 2 --out {d}/s.csv"));
    assert!(text.contains("step 2"), "{text}");
    let run = dir.path().join("run");
    for part in ["", "checkpoints", "checkpoints/step-2"] {
        fs::create_dir_all(run.join(part)).unwrap();
        for entry in fs::read_dir(format!("{files}/{part}")).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), run.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    succeed(&format!("train --resume --device cpu --out {d}/run"));
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let losses =
        log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64().unwrap());
    // Those of the run that was not interrupted.
    for (loss, want) in losses.skip(2).zip([2.345686912536621, 2.114415407180786]) {
        assert!((loss / want - 1.0).abs() < 1e-5, "{loss} {want}");
    }
    assert_eq!(log.lines().count(), 4);
    let meta = fs::read_to_string(run.join("checkpoints/step-4/meta.json")).unwrap();
    assert!(meta.starts_with("{\n  \"sha256\": \"") && meta.contains("\"format\": 6"), "{meta}");
}

#[test]
fn parameters_of_what_is_not_chosen_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let warnings = |flags: &str, out: &str| {
        let (code, _, error) = run(&format!("train --data moons --rows 50 --steps 1 {flags} --out {d}/{out}"));
        assert_eq!(code, Some(0), "{error}");
        error
    };
    let told = warnings("--ot-regularization 0.3 --logit-normal-loc 1", "idle");
    assert!(told.contains("ot_regularization has no effect without use_ot = true"), "{told}");
    assert!(told.contains("logit_normal_loc has no effect without time_sampling = \"logit_normal\""), "{told}");
    let chosen = "--use-ot true --ot-regularization 0.3 --time-sampling logit_normal --logit-normal-loc 1";
    assert!(!warnings(chosen, "used").contains("no effect"));
}
