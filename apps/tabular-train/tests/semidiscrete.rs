//! The semidiscrete coupling through the real binary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{columns, run, succeed};
use std::fs;
use std::path::Path;

const RUN: &str = "--data moons --rows 200 --batch-size 32 --widths 8 --steps 40 --sample-every 0 --log-every 1";

/// The number after a word of a text.
fn after(text: &str, word: &str) -> f64 {
    let rest = text.split(word).nth(1).unwrap();
    rest.split_whitespace().next().unwrap().trim_end_matches(',').parse().unwrap()
}

fn gains(run: &Path) -> Vec<f64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["coupling_gain"].as_f64().unwrap();
    text.lines().map(line).collect()
}

/// The bytes of the weights and of the log.
fn result(run: &Path) -> [Vec<u8>; 3] {
    ["checkpoints/step-40/ema.safetensors", "metrics.jsonl", "potentials.txt"]
        .map(|name| fs::read(run.join(name)).unwrap())
}

#[test]
fn potentials_are_fitted_kept_and_resumed_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (d, whole) = (dir.path().display(), dir.path().join("whole"));
    let said = succeed(&format!("train {RUN} --coupling semidiscrete --out {d}/whole"));
    assert!(said.contains("200 potentials fitted in") && said.contains("not one pass over them"), "{said}");
    assert!(after(&said, "chi^2") < 0.05, "{said}");
    // The pairs cost much less than independent ones, and less than those of exact plans.
    succeed(&format!("train {RUN} --coupling exact --out {d}/exact"));
    let [own, exact] = [&whole, &dir.path().join("exact")].map(|run| gains(run).iter().sum::<f64>() / 40.0);
    assert!(own < 0.6 && own < exact, "{own} {exact}");

    // Stopped in the middle: the potentials are read again, or fitted again if they are damaged.
    let want = result(&whole);
    for (name, damage) in [("kept", None), ("lost", Some("")), ("damaged", Some("# a b\n1e0\n"))] {
        let parts = dir.path().join(name);
        succeed(&format!("train {RUN} --coupling semidiscrete --save-every 17 --out {d}/{name}"));
        ["step-34", "step-40"]
            .iter()
            .for_each(|step| fs::remove_dir_all(parts.join("checkpoints").join(step)).unwrap());
        match damage {
            None => {}
            Some("") => fs::remove_file(parts.join("potentials.txt")).unwrap(),
            Some(text) => fs::write(parts.join("potentials.txt"), text).unwrap(),
        }
        let (code, said, warned) = run(&format!("train --resume --out {d}/{name}"));
        assert_eq!(code, Some(0), "{warned}");
        assert_eq!(said.contains("200 potentials of the run"), damage.is_none(), "{said}");
        assert_eq!(warned.contains("fitting the potentials again"), damage.is_some(), "{warned}");
        assert!(result(&parts) == want, "{name}");
    }
    // A folder under the name of the file stops a resumed run before the fit.
    let lost = dir.path().join("lost");
    fs::remove_dir_all(lost.join("checkpoints/step-40")).unwrap();
    fs::remove_file(lost.join("potentials.txt")).unwrap();
    fs::create_dir(lost.join("potentials.txt")).unwrap();
    let (_, said, error) = run(&format!("train --resume --out {d}/lost"));
    assert!(error.contains("potentials.txt: it is not a plain file") && !said.contains("fitted in"), "{said}{error}");
    // Another seed, and another number of draws, are another fit.
    for flags in ["--coupling semidiscrete --seed 1", "--coupling semidiscrete:draws=4000"] {
        succeed(&format!("train {RUN} {flags} --out {d}/other"));
        assert_ne!(result(&dir.path().join("other"))[2], want[2]);
        fs::remove_dir_all(dir.path().join("other")).unwrap();
    }
}

#[test]
fn classes_have_potentials_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    // Two classes far apart: potentials over both would give each class half of the noise.
    let row = |i: usize| format!("{},{},{}\n", i % 2 * 40, i as f64 / 10.0, ["a", "b"][i % 2]);
    let text: String = (0..100).map(row).collect();
    fs::write(dir.path().join("t.csv"), format!("x,y,kind\n{text}")).unwrap();
    let flags = "--batch-size 32 --widths 8 --steps 10 --sample-every 0 --hold-out 0";
    let said = succeed(&format!("train --data {d}/t.csv --labels kind {flags} --coupling semidiscrete --out {d}/run"));
    assert!(after(&said, "chi^2") < 0.1, "{said}");
    let potentials = fs::read_to_string(dir.path().join("run/potentials.txt")).unwrap();
    assert_eq!(potentials.lines().count(), 101);
    succeed(&format!("sample --checkpoint {d}/run --num-samples 4 --num-steps 2 --out {d}/s.csv"));
}

#[test]
fn couple_fits_shows_and_draws() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = format!("--coupling semidiscrete --out {d}/pairs.csv --picture {d}/pairs.png");
    let said = succeed(&format!("couple gaussian:dim=2 moons --rows 300 {flags}"));
    assert!(said.contains("choose among 300 rows of moons") && after(&said, "chi^2") < 2.0, "{said}");
    let pairs = columns(&dir.path().join("pairs.csv"), 1);
    assert!(pairs.len() == 300 && pairs.iter().enumerate().all(|(i, pair)| pair[0] == i as f64 && pair[1] < 300.0));
    assert!(fs::read(dir.path().join("pairs.png")).unwrap().starts_with(b"\x89PNG"));
    succeed(&format!("couple moons 8gaussians --rows 50 --picture {d}/exact.png"));
    assert!(dir.path().join("exact.png").exists());
}
