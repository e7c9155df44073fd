//! Guidance: a sweep over scales, the rules, and weaker models.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, read, succeed};
use serde_json::Value;

#[test]
fn each_scale_of_a_sweep_is_an_evaluation_at_that_scale() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    // A transformer: a U-Net this narrow has groups of one channel, whose normalisation removes the
    // class.
    let config = "preset = \"quickstart\"\nbatch_size = 8\nsample_every = 0\nnum_workers = 0\nwarmup_steps = 0\n\
                  ema_decay = [0.9]\n[model]\nkind = \"dit\"\nwidth = 32\ndepth = 1\nheads = 2\npatch = 2\n";
    std::fs::write(dir.path().join("dit.toml"), config).unwrap();
    succeed(&format!("train --config {d}/dit.toml --steps 60 --lr 0.01 --out {d}/run"));
    let json = |name: &str| -> Value { serde_json::from_slice(&read(dir.path().join(name))).unwrap() };
    let evaluate = |flags: &str, name: &str| {
        succeed(&format!(
            "evaluate --checkpoint {d}/run --num-samples 40 --num-steps 3 --metrics energy-pixels,pr-pixels,nn --cache {d}/cache {flags} --json {d}/{name}"
        ))
    };
    let said = evaluate(&format!("--sweep cfg=0,1,30 --plot {d}/sweep.png --picture {d}/rows.png"), "sweep.json");
    assert!(said.contains("guidance 0") && said.contains("guidance 30") && said.contains("energy-pixels"), "{said}");
    assert!(image::open(dir.path().join("sweep.png")).unwrap().width() > 100);
    assert!(image::open(dir.path().join("rows.png")).unwrap().width() > 20 * 40);
    let sweep = json("sweep.json");
    let cases = sweep.as_array().unwrap();
    let scales: Vec<f64> = cases.iter().map(|case| case["samples"]["cfg_scale"].as_f64().unwrap()).collect();
    assert_eq!(scales, [0.0, 1.0, 30.0]);
    for (scale, case) in [0, 1, 30].iter().zip(cases) {
        assert_eq!(case["samples"]["nfe"].as_f64(), Some(3.0));
        evaluate(&format!("--cfg-scale {scale}"), "one.json");
        let alone = json("one.json");
        for key in ["energy-pixels", "recall-pixels", "class_agreement"] {
            let value = |result: &Value| result["metrics"][key]["value"].as_f64().unwrap();
            assert_eq!(value(case), value(&alone), "{key} at {scale}");
        }
    }
    let energy = |case: &Value| case["metrics"]["energy-pixels"]["value"].as_f64().unwrap();
    assert!(energy(&cases[0]) != energy(&cases[2]), "the scale changed nothing");
}

/// A run of a narrow transformer with a checkpoint every 20 steps; the directory is the test's.
fn trained(d: &str, steps: usize, flags: &str, name: &str) {
    let config = "preset = \"quickstart\"\nbatch_size = 8\nsample_every = 0\nnum_workers = 0\nwarmup_steps = 0\n\
                  save_every = 20\nkeep_checkpoints = 0\nema_decay = [0.9]\n\
                  [sampling]\nsolver = \"euler\"\nnum_steps = 3\ncfg_scale = 2.0\nguidance = \"apg:eta=0.5\"\ncfg_rescale = 0.25\n\
                  [model]\nkind = \"dit\"\nwidth = 32\ndepth = 1\nheads = 2\npatch = 2\n";
    std::fs::write(format!("{d}/apg.toml"), config).unwrap();
    succeed(&format!("train --config {d}/apg.toml --steps {steps} --lr 0.01 {flags} --out {d}/{name}"));
}

#[test]
fn rules_change_samples_and_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    trained(&d, 40, "", "run");
    let drawn = |flags: &str| -> (String, ndarray::Array4<f32>) {
        let said = succeed(&format!(
            "sample --checkpoint {d}/run --num-samples 6 --num-steps 3 {flags} --out {d}/s.png --npy {d}/s.npy"
        ));
        (said, ndarray_npy::read_npy(format!("{d}/s.npy")).unwrap())
    };
    let most =
        |a: &ndarray::Array4<f32>, b: &ndarray::Array4<f32>| (a - b).iter().fold(0f32, |most, off| most.max(off.abs()));
    // The rule of the configuration is the default.
    let (said, own) = drawn("");
    assert!(
        said.contains("guidance 2 by apg:eta=0.5,norm=5,momentum=-0.5, rescale 0.25 (two network passes"),
        "{said}"
    );
    assert_eq!(own, drawn("--guidance apg:eta=0.5 --cfg-scale 2 --cfg-rescale 0.25").1);
    let plain = drawn("--guidance cfg --cfg-rescale 0").1;
    let rules = ["apg", "cfg-zero", "rectified-cfg++", "cfg --cfg-rescale 0.7"];
    let others: Vec<_> = rules.map(|rule| drawn(&format!("--guidance {rule}")).1).into();
    for (k, other) in others.iter().enumerate() {
        assert!(
            most(other, &plain) > 1e-4 && others[..k].iter().all(|known| most(other, known) > 1e-4),
            "{}",
            rules[k]
        );
    }
    // All of the difference, without a limit or momentum, is classifier-free guidance.
    let whole = drawn("--guidance apg:eta=1,norm=1000000,momentum=0 --cfg-rescale 0").1;
    assert!(most(&whole, &plain) < 1e-4, "{}", most(&whole, &plain));
    // Without guidance there is no rule.
    assert!(drawn("--cfg-scale 1").0.contains("class-conditional"));

    let evaluate = |flags: &str| -> Value {
        succeed(&format!(
            "evaluate --checkpoint {d}/run --num-samples 20 --num-steps 2 --metrics energy-pixels --cache {d}/cache {flags} --json {d}/e.json"
        ));
        serde_json::from_slice(&read(dir.path().join("e.json"))).unwrap()
    };
    let energy = |found: &Value| found["metrics"]["energy-pixels"]["value"].as_f64().unwrap();
    let [plain, zero, again] = ["cfg", "cfg-zero", "cfg"].map(|rule| evaluate(&format!("--guidance {rule}")));
    assert!(energy(&plain) != energy(&zero) && energy(&plain) == energy(&again));
    let about = &zero["samples"]["guidance"];
    assert_eq!((about["rule"].as_str(), about["scale"].as_f64()), (Some("cfg-zero:share=0.04"), Some(2.0)));
    assert_eq!((about["rescale"].as_f64(), about["guide_with"].is_null()), (Some(0.25), true));

    // Pairs of one rule are not continued with another.
    let pairs = |rule: &str| {
        format!("reflow pairs --checkpoint {d}/run --num-pairs 4 --num-steps 1 --guidance {rule} --out {d}/pairs")
    };
    succeed(&pairs("apg"));
    assert!(succeed(&pairs("apg")).contains("4 of 4 pairs are there"));
    fail(&pairs("cfg-zero"));
}

#[test]
fn a_weaker_model_guides() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    trained(&d, 40, "", "run");
    trained(&d, 1, "--prediction noise --time-clip 0.01", "noise");
    trained(&d, 1, "--image-size 4", "small");
    trained(&d, 20, "--conditional false", "plain");
    let sample = |run: &str, flags: &str| {
        format!(
            "sample --checkpoint {d}/{run} --num-samples 4 --num-steps 3 {flags} --guidance cfg --cfg-rescale 0 --out {d}/s.png --npy {d}/s.npy"
        )
    };
    let drawn = |run: &str, flags: &str| -> (String, ndarray::Array4<f32>) {
        (succeed(&sample(run, flags)), ndarray_npy::read_npy(format!("{d}/s.npy")).unwrap())
    };
    let most =
        |a: &ndarray::Array4<f32>, b: &ndarray::Array4<f32>| (a - b).iter().fold(0f32, |most, off| most.max(off.abs()));
    let unguided = drawn("run", "--cfg-scale 1").1;
    let (said, by_early) = drawn("run", "--cfg-scale 2 --guide-with step-20");
    assert!(
        said.contains("guidance 2 away from EMA weights of step 20 of") && most(&by_early, &unguided) > 1e-3,
        "{said}"
    );
    // The same by the path of the checkpoint, and nothing away from itself.
    assert_eq!(by_early, drawn("run", &format!("--cfg-scale 2 --guide-with {d}/run/checkpoints/step-20")).1);
    let by_itself = drawn("run", &format!("--cfg-scale 2 --guide-with {d}/run")).1;
    assert!(most(&by_itself, &unguided) < 1e-5, "{}", most(&by_itself, &unguided));
    // Scale 0 is the weak model.
    let weak = drawn("run", "--cfg-scale 0 --guide-with step-20").1;
    let alone = drawn("run/checkpoints/step-20", "--cfg-scale 1").1;
    assert!(most(&weak, &alone) < 1e-5, "{}", most(&weak, &alone));
    // A model without classes guides one with classes, and is guided itself.
    drawn("run", &format!("--cfg-scale 2 --guide-with {d}/plain"));
    drawn("plain", &format!("--cfg-scale 2 --guide-with {d}/plain/checkpoints/step-20 --size 8x12"));
    for (run, weak, says) in [
        ("run", "step-21", "cannot find step-21 in"),
        ("run", "noise", "its prediction is noise, the model's velocity"),
        ("run", "small", "its image shape is [1, 4, 4]"),
        ("plain", "run", "its number of classes is 10, the model's 0"),
    ] {
        let weak = if weak.starts_with("step") { weak.to_owned() } else { format!("{d}/{weak}") };
        let error = fail(&sample(run, &format!("--cfg-scale 2 --guide-with {weak}")));
        assert!(error.contains(says), "{error}");
    }
}
