//! Sampling and densities through the real binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{columns, fail, succeed};
use std::fs;

/// A trained model's density integrates to one over a grid, and the mass that it gives to parts of
/// the plane is the share of its own samples that lie there: the likelihood and the sampler agree.
#[test]
fn the_density_is_that_of_the_samples() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train --data moons --rows 5000 --steps 600 --sample-every 0 --out {d}/run"));
    let side = |i: usize, low: f64, high: f64, n: usize| low + (high - low) * (i as f64 + 0.5) / n as f64;
    let (nx, ny, wide, tall) = (90, 70, (-6.5, 8.5), (-5.0, 6.0));
    let cells: Vec<(f64, f64)> =
        (0..nx * ny).map(|k| (side(k % nx, wide.0, wide.1, nx), side(k / nx, tall.0, tall.1, ny))).collect();
    let text: String = cells.iter().map(|(x, y)| format!("{x},{y}\n")).collect();
    fs::write(dir.path().join("grid.csv"), text).unwrap();
    let said = succeed(&format!("likelihood {d}/grid.csv --checkpoint {d}/run --tolerance 1e-4 --out {d}/log.csv"));
    assert!(said.contains("exact divergence") && said.contains("6300 rows"), "{said}");
    let area = (wide.1 - wide.0) * (tall.1 - tall.0) / (nx * ny) as f64;
    let mass: Vec<f64> = columns(&dir.path().join("log.csv"), 0).iter().map(|row| row[0].exp() * area).collect();
    let total: f64 = mass.iter().sum();
    assert!((total - 1.0).abs() < 0.01, "the density integrates to {total}");

    let count = 20_000;
    succeed(&format!(
        "sample --checkpoint {d}/run --num-samples {count} --solver tsit5 --rtol 1e-4 --atol 1e-4 --out {d}/s.csv"
    ));
    let samples = columns(&dir.path().join("s.csv"), 0);
    // Lines between cells, so that no cell is cut.
    for (cut_x, cut_y) in [(30, 35), (45, 28), (60, 40)] {
        let (x, y) = (wide.0 + 15.0 * cut_x as f64 / nx as f64, tall.0 + 11.0 * cut_y as f64 / ny as f64);
        for right in [false, true] {
            for above in [false, true] {
                let inside = |px: f64, py: f64| (px > x) == right && (py > y) == above;
                let density: f64 =
                    cells.iter().zip(&mass).filter(|((px, py), _)| inside(*px, *py)).map(|(_, m)| m).sum();
                let share = samples.iter().filter(|s| inside(s[0], s[1])).count() as f64 / f64::from(count);
                let error = (density * (1.0 - density) / f64::from(count)).sqrt();
                assert!((density - share).abs() < 5.0 * error + 0.003, "{density} and {share} beyond ({x}, {y})");
            }
        }
    }
}

/// Densities of a class, and those of a model of logarithms, integrate to one in the table's units.
#[test]
fn densities_of_classes_and_of_logarithms_are_those_of_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let row = |i: usize| format!("{},{}\n", (i as f64 / 200.0).exp(), if i < 200 { "low" } else { "high" });
    fs::write(dir.path().join("t.csv"), format!("x,kind\n{}", (0..400).map(row).collect::<String>())).unwrap();
    let flags = "--labels kind --hold-out 0 --preprocess log1p --widths 32,32 --steps 400 --sample-every 0";
    succeed(&format!("train --data {d}/t.csv {flags} --out {d}/run"));
    let (count, low, high) = (3000, -0.5, 24.5);
    let cells = || (0..count).map(|i| low + (high - low) * (f64::from(i) + 0.5) / f64::from(count));
    fs::write(dir.path().join("grid.csv"), format!("x\n{}", cells().map(|x| format!("{x}\n")).collect::<String>()))
        .unwrap();
    let density = |rows: &str, flags: &str| -> Vec<f64> {
        succeed(&format!("likelihood {d}/{rows} --checkpoint {d}/run --tolerance 1e-4 {flags} --out {d}/log.csv"));
        columns(&dir.path().join("log.csv"), 0).iter().map(|row| row[0].exp()).collect()
    };
    let classes = ["low", "high"].map(|class| density("grid.csv", &format!("--class {class}")));
    for (k, class) in classes.iter().enumerate() {
        let cell = (high - low) / f64::from(count);
        let total = class.iter().sum::<f64>() * cell;
        assert!((total - 1.0).abs() < 0.01, "the density of class {k} integrates to {total}");
        // The classes lie below and above e.
        let below =
            class.iter().zip(cells()).filter(|(_, x)| *x < std::f64::consts::E).map(|(p, _)| p * cell).sum::<f64>();
        assert!(if k == 0 { below > 0.9 } else { below < 0.1 }, "{below} of class {k} lie below e");
    }
    fs::write(dir.path().join("rows.csv"), "x,kind\n2.000416666666667,high\n2.000416666666667,low\n").unwrap();
    let by_row = density("rows.csv", "--labels kind");
    assert!(
        (by_row[0] - classes[1][300]).abs() < 1e-3 && (by_row[1] / classes[0][300] - 1.0).abs() < 1e-2,
        "{by_row:?}"
    );
    for (words, says) in [
        ("grid.csv", "give --class CLASS, or --labels COLUMN of the rows"),
        ("grid.csv --class none", "there is no class 'none'"),
        ("rows.csv --labels none", "none"),
    ] {
        let error = fail(&format!("likelihood {d}/{words} --checkpoint {d}/run"));
        assert!(error.contains(says), "{error}");
    }
}

/// A sample is its own: alone, or in any company, it comes out the same to the rounding of matrix
/// products.
#[test]
fn a_sample_does_not_depend_on_its_company() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train --data 8gaussians --rows 2000 --steps 100 --sample-every 0 --out {d}/run"));
    let sample = |flags: &str| {
        succeed(&format!("sample --checkpoint {d}/run {flags} --out {d}/s.csv"));
        columns(&dir.path().join("s.csv"), 0)
    };
    let off = |flags: &str| {
        let (few, many) = (sample(&format!("--num-samples 4 {flags}")), sample(&format!("--num-samples 200 {flags}")));
        few.concat().iter().zip(many.concat()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    for steps in ["--solver dopri5 --rtol 1e-3 --atol 1e-3", "--sde sigma --rtol 0.02 --atol 0.02"] {
        let (own, shared) = (off(steps), off(&format!("{steps} --pace per-batch")));
        assert!(own < 2e-4 && shared > 10.0 * own, "{own} {shared}");
    }
}

#[test]
fn sampling_requests_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train --data moons --rows 100 --steps 2 --sample-every 0 --out {d}/run"));
    fs::write(dir.path().join("one.csv"), "1,2\n").unwrap();
    fs::write(dir.path().join("wide.csv"), "1,2,3\n").unwrap();
    for (words, says) in [
        ("sample --solver dopri5 --grid edm", "chooses its own steps"),
        ("sample --times 0,0.5", "must rise from 0 to 1"),
        ("sample --times 0,0.5,0.5,1", "must rise from 0 to 1"),
        ("sample --num-steps 0", "--num-steps is 0"),
        ("sample --grid edm:rho=7,sigma_min=3,sigma_max=2 --num-steps 5", "only rise or only fall"),
        ("sample --solver dopri5 --rtol 0 --atol 0", "not both zero"),
        ("sample --solver dopri5 --rtol 1e-3,1e-3,1e-3", "3 tolerances were given for rows of 2"),
        ("sample --solver tsit5 --max-evaluations 10", "used up the allowed evaluations"),
        ("sample --solver tsit5 --pace per-batch --max-evaluations 10", "used up the allowed evaluations"),
        ("likelihood wide.csv", "has 3 columns where 2 are expected"),
        ("likelihood one.csv --solver rk4", "no embedded error estimate"),
        ("likelihood one.csv --tolerance 0", "--tolerance is 0"),
        ("likelihood none.csv", "none.csv"),
        ("solve one.csv --deviation 0", "--deviation is 0"),
        ("solve one.csv --start wide.csv", "of 2 as the means"),
        ("solve one.csv --path schroedinger-bridge", "time_clip"),
        ("solve one.csv --path constant-noise --sde sigma", "noise of its own"),
        ("sample --sde sigma --sde-method euler-maruyama --atol 0.1", "only heun without churn has an error estimate"),
        ("sample --sde sigma --rtol 0.1 --num-steps 3", "or drop --num-steps"),
        ("sample --sde sigma --max-evaluations 9", "or give --rtol"),
        ("sample --sde sigma --rtol 0.1 --grid edm", "--sde with tolerances chooses its own steps"),
        ("sample --sde sigma --rtol 0.1 --max-evaluations 9", "used up the allowed evaluations"),
    ] {
        let words: Vec<String> = words
            .split(' ')
            .map(|word| if word.ends_with(".csv") { format!("{d}/{word}") } else { word.to_owned() })
            .collect();
        let run = if words[0] == "solve" { String::new() } else { format!("--checkpoint {d}/run") };
        let error = fail(&format!("{} {run} --out {d}/x.csv", words.join(" ")));
        assert!(error.contains(says), "{words:?}\n{error}");
    }
    for (flag, says) in [("--solver runge", "no solver is called 'runge'"), ("--sde constant:scale=-1", "scale")] {
        let (code, _, error) = common::run(&format!("sample --checkpoint {d}/run {flag} --out {d}/x.csv"));
        assert!(code == Some(2) && error.contains(says), "{flag}: {error}");
    }
    assert!(!dir.path().join("x.csv").exists());
    succeed(&format!("train --data moons --rows 100 --steps 2 --sample-every 0 --source sparse --out {d}/sparse"));
    let error = fail(&format!("likelihood {d}/one.csv --checkpoint {d}/sparse"));
    assert!(error.contains("only Gaussian sources"), "{error}");
}

/// What a single row cannot give is left out with its reason; the rest is measured.
#[test]
fn a_single_row_is_evaluated_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let rows: String = (0..10).map(|i| format!("{},{}\n", f64::from(i).sin(), f64::from(i).cos())).collect();
    fs::write(dir.path().join("ten.csv"), rows).unwrap();
    succeed(&format!("train --data {d}/ten.csv --steps 2 --widths 8 --batch-size 4 --sample-every 0 --out {d}/run"));
    for count in [1, 20] {
        let said =
            succeed(&format!("evaluate --checkpoint {d}/run --num-samples {count} --num-steps 2 --json {d}/e.json"));
        assert!(said.contains("energy distance") && said.contains("columns   left out: "), "{said}");
        let found: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("e.json")).unwrap()).unwrap();
        assert!(found["columns"].is_null() && found["straightness"].is_number(), "{found}");
    }
}

#[test]
fn a_learned_grid_is_written_and_sampled_with() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train --data moons --rows 300 --batch-size 64 --steps 300 --sample-every 0 --out {d}/run"));
    let said = succeed(&format!("grid --checkpoint {d}/run --solver heun --num-steps 3 --out {d}/g.json"));
    assert!(said.contains("3 steps of heun") && said.contains("learned"), "{said}");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.path().join("g.json")).unwrap()).unwrap();
    let errors: Vec<(String, f64)> = serde_json::from_value(file["errors"].clone()).unwrap();
    let (uniform, learned) = (errors[0].1, errors[5].1);
    assert!(learned < uniform, "{errors:?}");
    let said = succeed(&format!("sample --checkpoint {d}/run --num-samples 10 --times {d}/g.json --out {d}/s.csv"));
    assert!(said.contains("heun, 3 listed steps"), "{said}");
}

#[test]
fn a_weaker_model_guides_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let train = "train --data moons --rows 300 --batch-size 64 --sample-every 0 --save-every 50";
    succeed(&format!("{train} --steps 100 --out {d}/run"));
    succeed(&format!("{train} --steps 1 --path trigonometric --out {d}/other"));
    let drawn = |flags: &str| {
        let said =
            succeed(&format!("sample --checkpoint {d}/run --num-samples 10 --num-steps 4 {flags} --out {d}/s.npy"));
        let rows: ndarray::Array2<f64> = ndarray_npy::read_npy(dir.path().join("s.npy")).unwrap();
        (said, rows)
    };
    let (plain, (said, guided)) = (drawn("").1, drawn("--guide-with step-50 --cfg-scale 2"));
    assert!(said.contains("guidance 2 away from EMA weights of step 50"), "{said}");
    let most = |a: &ndarray::Array2<f64>| (a - &plain).iter().fold(0.0f64, |most, off| most.max(off.abs()));
    assert!(most(&guided) > 1e-3 && most(&drawn(&format!("--guide-with {d}/run --cfg-scale 2")).1) < 1e-5);
    let error = fail(&format!("sample --checkpoint {d}/run --guide-with {d}/other --cfg-scale 2 --out {d}/s.npy"));
    assert!(error.contains("its path is trigonometric, the model's linear"), "{error}");
}
