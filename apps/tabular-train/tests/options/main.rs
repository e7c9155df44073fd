//! Every named option: run through the real binary, held against an outside reference, and written
//! into one table, docs/options.md.
//!
//! An option without a row here fails the test. `UPDATE_DOCS=1` rewrites the table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod bridge;
#[path = "../common/mod.rs"]
mod common;
mod learning;
mod networks;
mod solvers;

use common::{columns, fail, succeed};
use fm_core::choice::{Choice, Entry};
use fm_core::loss::{Loss, Reduction};
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::source::SourceKind;
use fm_core::time::{Draw, TimeKind};
use fm_core::weighting::Weighting;
use fm_data::points::Toy;
use fm_ot::CouplingKind;
use fm_ot::cost::Metric;
use fm_ot::pairs::PairSampling;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn reference(name: &str) -> Value {
    reference_of("fm-core", name)
}

fn reference_of(library: &str, name: &str) -> Value {
    let path = root().join(format!("crates/{library}/tests/reference/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The table of an objective at some times, as the binary writes it: rows by column name.
struct Shown {
    names: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl Shown {
    fn of(flags: &str, times: &[f64]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("o.csv");
        let at = times.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        succeed(&format!("objective {flags} --at {at} --csv {}", path.display()));
        let text = std::fs::read_to_string(&path).unwrap();
        let names = text.lines().next().unwrap().split(',').map(str::to_owned).collect();
        Self { names, rows: columns(&path, 1) }
    }

    fn column(&self, name: &str) -> Vec<f64> {
        let i = self.names.iter().position(|n| n == name).unwrap();
        self.rows.iter().map(|row| row[i]).collect()
    }
}

/// The largest deviation, relative to 1 + |reference|.
fn deviation(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(g, w)| (g - w).abs() / (1.0 + w.abs())).fold(0.0, f64::max)
}

/// x_t and velocity from the binary's coefficients and the reference's points, against the
/// reference's.
fn path_deviation(name: &str) -> f64 {
    let reference = reference("paths");
    let i = &reference["inputs"];
    let (dim, t) = (i["dim"].as_u64().unwrap() as usize, numbers(&i["t"]));
    let [x0, x1, eps] = ["x0", "x1", "eps"].map(|key| numbers(&i[key]));
    let shown = Shown::of(&format!("--path {name} --time-clip 1e-3"), &t);
    let combine = |keys: [&str; 3]| {
        let [a, s, g] = keys.map(|k| shown.column(k));
        let point = |j: usize| a[j / dim] * x1[j] + s[j / dim] * x0[j] + g[j / dim] * eps[j];
        (0..x0.len()).map(point).collect::<Vec<_>>()
    };
    let libraries = ["flow_matching", "torchcfm"].map(|l| &reference[l][name]);
    let known = libraries.into_iter().filter(|v| v.is_object());
    let off = known.flat_map(|want| {
        [
            deviation(&combine(["alpha", "sigma", "gamma"]), &numbers(&want["x_t"])),
            deviation(&combine(["d_alpha", "d_sigma", "d_gamma"]), &numbers(&want["velocity"])),
        ]
    });
    off.reduce(f64::max).unwrap_or_else(|| panic!("path {name} has no reference"))
}

fn time_deviation(name: &str) -> f64 {
    let reference = reference("times");
    let (u, t, law) = (numbers(&reference["u"]), numbers(&reference["t"]), &reference["laws"][name]);
    assert!(law.is_object(), "time {name} has no reference");
    let quantile = Shown::of(&format!("--time {name}"), &u).column("quantile");
    let shown = Shown::of(&format!("--time {name}"), &t);
    let pairs = [(quantile, "quantile"), (shown.column("cdf"), "cdf"), (shown.column("density"), "density")];
    pairs.iter().map(|(got, key)| deviation(got, &numbers(&law[*key]))).fold(0.0, f64::max)
}

fn weighting_deviation(name: &str) -> f64 {
    let reference = reference("weightings");
    let (path, t) = (reference["path"].as_str().unwrap(), numbers(&reference["t"]));
    let forms = reference["weights"][name].as_object().unwrap_or_else(|| panic!("weighting {name} has no reference"));
    let off = forms.iter().map(|(prediction, want)| {
        let flags = format!("--path {path} --weighting {name} --prediction {prediction} --time-clip 1e-3");
        deviation(&Shown::of(&flags, &t).column("weight"), &numbers(want))
    });
    off.fold(0.0, f64::max)
}

/// The target of a prediction on the quarter circle, against flow_matching's velocity and
/// autograd's score; data and noise are themselves.
fn prediction_deviation(name: &str) -> f64 {
    let reference = reference("paths");
    let i = &reference["inputs"];
    let (dim, t, path) = (i["dim"].as_u64().unwrap() as usize, numbers(&i["t"]), "trigonometric");
    let (x0, x1) = (numbers(&i["x0"]), numbers(&i["x1"]));
    let shown = Shown::of(&format!("--path {path} --prediction {name} --time-clip 1e-3"), &t);
    let (a, b) = (shown.column("target_x1"), shown.column("target_x0"));
    let got: Vec<f64> = (0..x0.len()).map(|j| a[j / dim] * x1[j] + b[j / dim] * x0[j]).collect();
    let want = match name {
        "velocity" => numbers(&reference["flow_matching"][path]["velocity"]),
        "score" => numbers(&reference["score"][path]),
        "data" => x1,
        "noise" => x0,
        other => panic!("prediction {other} has no reference"),
    };
    deviation(&got, &want)
}

/// What the plan of the reference's two point sets costs, by the binary; relative to the reference.
fn plan_deviation(flags: &str, want: &Value) -> f64 {
    let reference = reference_of("fm-ot", "couplings");
    let dir = tempfile::tempdir().unwrap();
    let table = |key: &str| {
        let line = |row: &Value| match row {
            Value::Array(values) => values.iter().map(Value::to_string).collect::<Vec<_>>().join(","),
            value => value.to_string(),
        };
        let rows = reference[key].as_array().unwrap();
        let path = dir.path().join(format!("{key}.csv"));
        std::fs::write(&path, rows.iter().map(|row| line(row) + "\n").collect::<String>()).unwrap();
        path.display().to_string()
    };
    let [x0, x1, classes] = ["x0", "x1", "classes"].map(table);
    let classes = if flags.contains("c2ot") { format!("--classes {classes}") } else { String::new() };
    let said = succeed(&format!("couple {x0} {x1} {classes} {flags} --out {}/paths.csv", dir.path().display()));
    let cost: f64 = said.split("cost ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let paths = columns(&dir.path().join("paths.csv"), 1);
    assert_eq!(paths.iter().map(|p| p[0] as usize).collect::<Vec<_>>(), (0..32).collect::<Vec<_>>());
    let mut reached: Vec<usize> = paths.iter().map(|p| p[1] as usize).collect();
    reached.sort_unstable();
    reached.dedup();
    assert!(reached.len() == 32 || flags.contains("bridge") || flags.contains("drawn"), "{flags}: {reached:?}");
    let want = want.as_f64().unwrap_or_else(|| panic!("{flags} has no reference"));
    (cost / want - 1.0).abs()
}

fn coupling_row(name: &str) -> String {
    let (by, bound) = match name {
        "independent" => return "the definition".into(),
        "semidiscrete" => {
            return "ten iterates: ott-jax's `SemidiscreteSolver`, to 1e-6 (`crates/fm-ot/tests/semidiscrete.rs`)"
                .into();
        }
        "exact" | "c2ot" => ("SciPy's `linear_sum_assignment`", 1e-9),
        "partial" => ("POT's `partial_wasserstein`", 1e-9),
        "unbalanced" => ("POT's `sinkhorn_unbalanced`", 1e-2),
        _ => ("POT's `sinkhorn_log`", 1e-2),
    };
    let path = if name == "schroedinger-bridge" { "--path schroedinger-bridge" } else { "" };
    let want = &reference_of("fm-ot", "couplings")["plans"][name];
    let digits = if bound > 1e-6 { "; plans run to the end: to 1e-6 (`crates/fm-ot/tests/entropic.rs`)" } else { "" };
    within(&format!("cost of {by}"), plan_deviation(&format!("--coupling {name} {path}"), want), bound) + digits
}

/// Trains some steps and samples, through the binary; the mean loss of the steps.
fn trained(flags: &str, steps: usize) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let data = if flags.contains("--data") { "" } else { "--data moons --rows 300" };
    succeed(&format!("train {data} --batch-size 32 --steps {steps} --sample-every 0 {flags} --out {d}/run"));
    succeed(&format!("sample --checkpoint {d}/run --num-samples 5 --num-steps 4 --out {d}/s.csv"));
    let named = ["--data genes", "--data ecg"].iter().any(|data| flags.contains(data));
    let drawn = columns(&dir.path().join("s.csv"), usize::from(named));
    assert!(drawn.len() == 5 && drawn.iter().flatten().all(|v| v.is_finite()), "{flags}: {drawn:?}");
    let text = std::fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    line["loss"].as_f64().unwrap()
}

/// What a table says of an option, once that has been checked.
type Cells<'a> = dyn Fn(&str) -> String + Sync + 'a;

/// One row an option: its name and defaults, the reference, and the bound within which it agrees.
fn rows_of<C: Choice>(tried: &(dyn Fn(&'static Entry) + Sync), check: &Cells<'_>) -> Vec<String> {
    let row = |entry: &'static Entry| {
        tried(entry);
        let parameter = |p: &fm_core::choice::Parameter| format!("{} = {} ({})", p.name, p.default, p.domain);
        let parameters = entry.parameters.iter().map(parameter).collect::<Vec<_>>().join("; ");
        let aliases = entry.names[1..].iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        format!("| `{}` | {aliases} | {parameters} | {} |\n", entry.name(), check(entry.name()))
    };
    // Most of the time goes into starting programs, so the rows are made side by side.
    std::thread::scope(|scope| {
        let started: Vec<_> = C::TABLE.iter().map(|entry| scope.spawn(move || row(entry))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn table(title: &str, flag: &str, rows: &[String]) -> String {
    let head =
        format!("\n## {title} (`{flag}`)\n\n| option | also | parameters | outside reference |\n|---|---|---|---|\n");
    head + &rows.concat()
}

/// A table whose options are tried by training.
fn section<C: Choice>(
    title: &str,
    flag: &str,
    extra: &(dyn Fn(&Entry) -> &'static str + Sync),
    check: &Cells<'_>,
) -> String {
    let tried = |entry: &'static Entry| {
        if entry.name() == "c2ot" {
            // Points have no classes here; cifar-train's options test trains with it.
            let refused = fail(&format!("train --data moons --coupling c2ot --out {}", root().join("none").display()));
            assert!(refused.contains("this model has none"), "{refused}");
            return;
        }
        let loss = trained(&format!("{flag} {} {}", entry.name(), extra(entry)), 3);
        assert!(loss.is_finite() && loss > 0.0, "{flag} {}: {loss}", entry.name());
    };
    table(title, flag, &rows_of::<C>(&tried, check))
}

fn within(what: &str, off: f64, bound: f64) -> String {
    assert!(off <= bound, "{what}: {off} is more than {bound}");
    format!("{what}, to {bound:e}")
}

/// The name under which a reference holds an option; some have no parameterless form there.
fn in_paths(name: &str) -> String {
    match name {
        "linear-sigma-min" => "linear-sigma-min:sigma_min=0.05".into(),
        "constant-noise" => "constant-noise:sigma=0.3".into(),
        "polynomial" => "polynomial:n=3".into(),
        "schroedinger-bridge" => "schroedinger-bridge:sigma=0.7".into(),
        other => other.into(),
    }
}

fn path_libraries(name: &str) -> &'static str {
    match name {
        "linear" | "trigonometric" => "torchcfm and flow_matching",
        "linear-sigma-min" | "constant-noise" | "schroedinger-bridge" => "torchcfm",
        _ => "flow_matching",
    }
}

fn time_library(name: &str) -> &'static str {
    match name {
        "mode" => "SciPy's inversion; diffusers' draws",
        "cosmap" => "rectified-flow-pytorch, diffusers",
        "warp" => "NumPy's polynomials",
        "exp-u" => "SciPy's quadrature and inversion",
        _ => "SciPy",
    }
}

const INTRODUCTION: &str = "# Options\n\n\
    Every option that has a name. This table is written by a test (`cargo xtask test -- -p tabular-train --test options`, with\n\
    `UPDATE_DOCS=1` to rewrite it) that trains and samples with each option through the real program and compares the numbers that the\n\
    program prints for it (`tabular-train objective`, `couple`, `solve`, `velocity`, `likelihood`) with an outside reference; the scripts that made the references lie in\n\
    `crates/*/tests/reference`. An option is written `name`, `name:value` or `name:parameter=value,...`, the same on the command\n\
    line, in configuration files and in checkpoints. Networks for images have a page of their own, [networks.md](networks.md).\n";

#[test]
fn every_named_option_runs_agrees_and_stands_in_the_table() {
    let clip = |_: &Entry| "--time-clip 1e-3";
    let plain = |_: &Entry| "";
    let mut text = INTRODUCTION.to_owned();
    text += &section::<PathKind>("Paths", "--path", &clip, &|name| {
        within(&format!("positions and velocities of {}", path_libraries(name)), path_deviation(&in_paths(name)), 1e-6)
    });
    let on_path = |entry: &Entry| match entry.name() {
        "velocity+score" => "--path schroedinger-bridge --time-clip 1e-3",
        _ => "--time-clip 1e-3",
    };
    text += &section::<Prediction>("Predictions", "--prediction", &on_path, &|name| {
        let by = match name {
            "velocity" => "flow_matching",
            "velocity+score" => return bridge::row(),
            "score" => "autograd of the log density",
            _ => "the definition; its six conversions: flow_matching",
        };
        within(by, prediction_deviation(name), 1e-6)
    });
    text += &section::<TimeKind>("Times", "--time", &plain, &|name| {
        within(&format!("quantile, density, cdf: {}", time_library(name)), time_deviation(name), 1e-6)
    });
    text += &section::<Draw>("Draws of times", "--time-draw", &plain, &|_| {
        "the cdf, Kolmogorov-Smirnov at 1e5 draws".into()
    });
    text += &section::<Weighting>("Weightings", "--weighting", &clip, &|name| {
        let by = match name {
            "uniform" | "data-end" | "noise-end" => "the definition",
            "edm" => "diffusers' EDM preconditioning",
            _ => "diffusers",
        };
        within(by, weighting_deviation(name), 1e-6)
    });
    text += &section::<Loss>("Losses", "--loss", &plain, &|name| match name {
        "mse" => "PyTorch, to 1e-12 (`crates/fm-core/tests/objective.rs`)".into(),
        "pseudo-huber" => "rectified-flow-pytorch, to 1e-12 (`crates/fm-core/tests/objective.rs`)".into(),
        other => panic!("loss {other} has no reference"),
    });
    text += &section::<Reduction>("Reductions", "--reduction", &plain, &|name| match name {
        "mean" | "sum" => "PyTorch, to 1e-12 (`crates/fm-core/tests/objective.rs`)".into(),
        other => panic!("reduction {other} has no reference"),
    });
    text += &section::<SourceKind>("Sources", "--source", &plain, &|name| match name {
        "gaussian" | "matched" | "sparse" => "closed-form moments (`crates/fm-core/tests/objective.rs`)".into(),
        other => panic!("source {other} has no reference"),
    });
    text += &section::<Toy>("Toy distributions", "--data", &|_| "--rows 300", &|name| match name {
        "moons" | "8gaussians" => {
            "torchcfm's points: moments, energy distance, two-sample test (`apps/tabular-train/tests/toys.rs`)".into()
        }
        "gaussian" => "`jax.random`'s mean and covariance, to 1e-6 (`crates/fm-data/src/points/recipe.rs`)".into(),
        _ => "the definition".into(),
    });
    let bridge = |entry: &Entry| match entry.name() {
        "schroedinger-bridge" => "--path schroedinger-bridge --time-clip 1e-3",
        _ => "",
    };
    text += &section::<CouplingKind>("Couplings", "--coupling", &bridge, &coupling_row);
    let exact = |_: &Entry| "--coupling exact";
    text += &section::<Metric>("Costs of optimal transport", "--cost", &exact, &|name| {
        let want = &reference_of("fm-ot", "couplings")["costs"][name];
        within(
            "optimum by SciPy's `cdist` and `linear_sum_assignment`",
            plan_deviation(&format!("--cost {name}"), want),
            1e-9,
        )
    });
    text += &section::<PairSampling>("Pairs from a plan", "--pairing", &exact, &|name| match name {
        "permutation" => "a row of each side in each pair, checked on the program's output".into(),
        "drawn" => {
            "frequencies within 5 standard deviations of the plan at 2e5 draws (`crates/fm-ot/tests/coupling.rs`)"
                .into()
        }
        other => panic!("pairs {other} have no reference"),
    });
    text += &learning::sections();
    text += &networks::sections();
    text += &solvers::sections();
    let path = root().join("docs/options.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/options.md is out of date: run this test with UPDATE_DOCS=1");
}

/// What the options do to a loss is what their formulas say: same seed, same batches, same network.
#[test]
fn losses_follow_their_formulas_through_the_binary() {
    let first = |flags: &str| trained(flags, 1);
    let plain = first("");
    let same = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-4, "{a} {b}");
    // Moons have two dimensions.
    same(first("--reduction sum"), 2.0 * plain);
    // For errors far below c the pseudo-Huber loss is e^2 / (2 c); for any it is less than that.
    same(first("--loss pseudo-huber:c=1000"), plain / 2000.0);
    // Uniform times need no importance weights: the weights are 1.
    same(first("--importance true"), plain);
    // The noise target is a standard normal and the data is standardised: a fresh network's loss is
    // near 1 for both, and 2 for the velocity between them, at the source alone too.
    for (flags, want) in [
        ("--prediction noise --time-clip 1e-3", 1.0),
        ("--prediction data --time-clip 1e-3", 1.0),
        ("--time discrete:k=1", 2.0),
        ("", 2.0),
    ] {
        let loss = first(flags);
        assert!((loss - want).abs() < 0.6, "{flags}: {loss}");
    }
}
