//! A velocity and a score on a Brownian bridge, through the program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{columns, fail, succeed};
use std::fs;
use std::path::Path;

const BRIDGE: &str = "--data moons --rows 200 --path schroedinger-bridge:sigma=1 --coupling schroedinger-bridge \
                      --prediction velocity+score:weight=0.5 --time-clip 0.001 --batch-size 32 --widths 16 \
                      --sample-every 0 --log-every 1";

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// Resumed in micro-batches, sampled by ODE and SDE, evaluated, inspected and exported.
#[test]
fn a_bridge_with_its_score_goes_through_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = format!(
        "{BRIDGE} --source 8gaussians --hold-out 0.2 --validate-every 10 --micro-batch-size 12 --save-every 10"
    );
    succeed(&format!("train {flags} --steps 20 --out {d}/whole"));
    succeed(&format!("train {flags} --steps 10 --out {d}/halves"));
    succeed(&format!("train --resume --steps 20 --out {d}/halves"));
    let weights = |run: &str| bytes(&dir.path().join(run).join("model.safetensors"));
    assert_eq!(weights("whole"), weights("halves"));

    let said = succeed(&format!("inspect {d}/whole"));
    assert!(
        said.contains("predicts         velocity+score:weight=0.5 on the schroedinger-bridge:sigma=1 path"),
        "{said}"
    );
    let sample = |checkpoint: &str, how: &str| {
        let out = dir.path().join("s.csv");
        succeed(&format!("sample --checkpoint {d}/{checkpoint} --num-samples 50 {how} --out {}", out.display()));
        let rows = columns(&out, 0);
        assert!(rows.len() == 50 && rows.iter().flatten().all(|v| v.is_finite()), "{how}");
        rows
    };
    let ode = sample("whole", "--solver euler --num-steps 10");
    let noisy = "--sde constant:scale=1 --sde-method euler-maruyama --num-steps 10";
    let sde = sample("whole", noisy);
    assert_ne!(ode, sde);
    assert_ne!(sde, sample("whole", "--sde constant:scale=0.5 --sde-method euler-maruyama --num-steps 10"));
    // Without noise the SDE is the ODE, to the last step.
    let still = sample("whole", "--sde constant:scale=0 --sde-method euler-maruyama --num-steps 10");
    let off = ode.iter().flatten().zip(still.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off < 1e-4, "{off}");
    sample("whole", "--sde sigma --rtol 0.05 --atol 0.05");
    let evaluated = succeed(&format!("evaluate --checkpoint {d}/whole --num-samples 40 {noisy}"));
    assert!(evaluated.contains("energy distance"), "{evaluated}");

    // Files of weights.
    assert_eq!(sde, sample("whole/model.safetensors", noisy));
    let said = succeed(&format!("convert {d}/whole {d}/net.pt"));
    assert!(said.contains("The second half of its output is the score times sigma^2 / 2."), "{said}");
    assert_eq!(sde, sample("net.pt", noisy));
    let script = fs::read_to_string(dir.path().join("net.py")).unwrap();
    assert!(script.contains(r#""score":true"#), "the network of the script has no score");
}

#[test]
fn likelihoods_are_those_of_the_velocity() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train {BRIDGE} --model concat-squash --steps 3 --out {d}/run"));
    fs::write(dir.path().join("rows.csv"), "0.5,0.5\n1.0,-0.5\n").unwrap();
    let said = succeed(&format!("likelihood {d}/rows.csv --checkpoint {d}/run"));
    assert!(said.contains("2 rows: mean log-density"), "{said}");
}

#[test]
fn a_score_needs_a_bridge_and_a_second_output() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let refused = fail(&format!("train --data moons --prediction velocity+score --out {d}/run"));
    assert!(refused.contains("path linear") && refused.contains("choose path schroedinger-bridge"), "{refused}");
    let refused = fail(&format!(
        "train --data ecg --window 8 {} --model transformer --out {d}/run",
        &BRIDGE["--data moons --rows 200".len()..]
    ));
    assert!(refused.contains("no second output for a score"), "{refused}");
    let excess = fail(&format!(
        "train --data moons --rows 50 --path schroedinger-bridge --time-clip 0.001 --prediction velocity+score --excess-loss true --out {d}/run"
    ));
    assert!(excess.contains("one quantity"), "{excess}");
    // A velocity alone leaves the score of a bridge open.
    let plain = "--data moons --rows 50 --path schroedinger-bridge --time-clip 0.001 --batch-size 16 --sample-every 0";
    succeed(&format!("train {plain} --steps 1 --out {d}/plain"));
    let refused = fail(&format!("sample --checkpoint {d}/plain --sde sigma --num-steps 4 --out {d}/s.csv"));
    assert!(refused.contains("velocity+score"), "{refused}");
}
