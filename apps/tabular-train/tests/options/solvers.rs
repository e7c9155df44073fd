//! The options of sampling: each samples from one trained network, and carries known points by an
//! exact velocity to where others carry them (`crates/fm-solvers/tests/reference/options.py`).

use super::{Cells, columns, fail, numbers, reference_of, rows_of, succeed, table, within};
use fm_core::choice::{Choice, Entry};
use fm_solvers::Grid;
use fm_solvers::guidance::GuidanceRule;
use fm_solvers::likelihood::Probe;
use fm_solvers::sampler::{Controller, Pace, SolverName};
use fm_solvers::sde::{Diffusion, Method};
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The end of flags for the run with classes.
const OF_CLASSES: &str = " of classes";

/// A directory with a trained run, and the reference's points as tables.
struct Bench {
    dir: tempfile::TempDir,
    reference: Value,
}

impl Bench {
    fn new() -> Self {
        let (dir, reference) = (tempfile::tempdir().unwrap(), reference_of("fm-solvers", "options"));
        let d = dir.path().display();
        for (run, task) in [("run", "flow"), ("map", "split")] {
            let more = format!("--task {task} --sample-every 0 --out {d}/{run}");
            succeed(&format!("train --data moons --rows 300 --batch-size 32 --steps 30 {more}"));
        }
        for key in ["means", "start"] {
            let line = |row: &Value| row.as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>().join(",");
            let text: Vec<String> = reference[key].as_array().unwrap().iter().map(line).collect();
            std::fs::write(dir.path().join(format!("{key}.csv")), text.join("\n") + "\n").unwrap();
        }
        let line = |i: usize| {
            let (x, y) = ((i as f64 * 0.7).sin(), (i as f64 * 1.3).cos());
            if i.is_multiple_of(2) { format!("{},{y},a\n", x + 3.0) } else { format!("{x},{},b\n", y - 3.0) }
        };
        let text: String = (0..200).map(line).collect();
        std::fs::write(dir.path().join("classes.csv"), format!("x,y,kind\n{text}")).unwrap();
        let classes = format!("--data {d}/classes.csv --labels kind --label-drop 0.3 --preprocess none");
        succeed(&format!("train {classes} --batch-size 64 --steps 60 --sample-every 0 --out {d}/classes"));
        Self { dir, reference }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Samples through the binary.
    fn sample(&self, flags: &str) {
        let (d, name) = (self.path().display(), flags.replace([' ', ':', '=', '/'], "_"));
        let plain = if flags.contains("--solver map") { "map" } else { "run" };
        let (run, flags) = flags.strip_suffix(OF_CLASSES).map_or((plain, flags), |flags| ("classes", flags));
        succeed(&format!("sample --checkpoint {d}/{run} --num-samples 5 {flags} --out {d}/{name}.csv"));
        let text = std::fs::read_to_string(self.path().join(format!("{name}.csv"))).unwrap();
        let numbers = |line: &str| line.split(',').take(2).map(|v| v.parse().unwrap()).collect::<Vec<f64>>();
        let drawn: Vec<_> = text.lines().filter(|line| !line.starts_with('x')).map(numbers).collect();
        assert!(drawn.len() == 5 && drawn.iter().flatten().all(|v| v.is_finite()), "{flags}: {drawn:?}");
    }

    /// Carries points by the exact velocity; what was said, and where they end.
    fn solve(&self, start: &str, flags: &str) -> (String, Vec<f64>) {
        let (d, name) = (self.path().display(), flags.replace([' ', ':', '=', '/'], "_"));
        let deviation = &self.reference["deviation"];
        let said = succeed(&format!(
            "solve {d}/means.csv --deviation {deviation} {start} {flags} --out {d}/{name}-solved.csv"
        ));
        (said, columns(&self.path().join(format!("{name}-solved.csv")), 0).concat())
    }

    /// The largest distance of a coordinate from where the reference has it.
    fn off(&self, flags: &str, want: &Value) -> f64 {
        assert!(want.is_array(), "{flags} has no reference");
        let want: Vec<f64> = want.as_array().unwrap().iter().flat_map(numbers).collect();
        let (_, got) = self.solve(&format!("--start {}/start.csv", self.path().display()), flags);
        assert_eq!(got.len(), want.len());
        got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max)
    }

    fn solver(&self, name: &str) -> String {
        if name == "map" {
            let refused =
                fail(&format!("sample --checkpoint {}/run --solver map --out none.csv", self.path().display()));
            assert!(refused.contains("this model is a flow; give another --solver"), "{refused}");
            return "jumps of dx/dt = x: the closed form, to 1e-12 (`crates/fm-solvers/src/flow_map.rs`)".into();
        }
        let multistep = reference_of("fm-solvers", "multistep");
        let known = [&self.reference["solvers"][name], &multistep["uniform"][name]];
        let known = known.into_iter().find(|known| known.is_object());
        let known = known.unwrap_or_else(|| panic!("solver {name} has no reference"));
        let by = known["by"].as_str().unwrap();
        let off = self.off(&format!("--solver {name} --num-steps {}", self.reference["steps"]), &known["x"]);
        if by == "diffusers" {
            // diffusers starts at 1e-6.
            let close = within("end points of diffusers' steps", off, 2e-5);
            return format!("{close}; on its grids to 1e-9 (`crates/fm-solvers/tests/multistep.rs`)");
        }
        if name == "ab2" || name == "ab3" || name == "pec" {
            return within(&format!("end points by {by}"), off, 1e-12);
        }
        let fixed = within(&format!("end points of {by}'s steps"), off, 1e-12);
        let adaptive = ["heun-euler", "bogacki-shampine", "dopri5", "tsit5", "dop853"].contains(&name);
        if !adaptive {
            return fixed;
        }
        let tolerance = if name == "heun-euler" { "1e-6" } else { "1e-8" };
        let flags = format!("--solver {name} --rtol {tolerance} --atol {tolerance} --max-evaluations 100000");
        let off = self.off(&flags, &self.reference["exact"]);
        format!("{fixed}; adaptive: {}", within(&format!("SciPy's DOP853 at tolerance {tolerance}"), off, 2e-5))
    }

    fn grid(&self, name: &str) -> String {
        let known = &self.reference["grids"][name];
        let by = known["by"].as_str().unwrap_or_else(|| panic!("grid {name} has no reference"));
        let off =
            self.off(&format!("--solver heun --grid {name} --num-steps {}", self.reference["steps"]), &known["x"]);
        let list = numbers(&known["times"]).iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        if name != "edm" {
            // The same times by hand; diffusers' are in single precision, and need not end in 0 and
            // 1 to the last digit.
            let listed = self.off(&format!("--solver heun --times {list}"), &known["x"]);
            assert!(listed < 1e-6, "{name}: {listed}");
        }
        within(&format!("Heun's method at times by {by}"), off, 1e-6)
    }

    fn pace(&self, name: &str) -> String {
        let flags = format!("--solver dopri5 --pace {name} --rtol 1e-9 --atol 1e-9");
        within("SciPy's DOP853 at tolerance 1e-9", self.off(&flags, &self.reference["exact"]), 1e-7)
    }

    fn controller(&self, name: &str) -> String {
        let flags = format!("--solver dopri5 --pace per-batch --controller {name} --rtol 1e-6 --atol 1e-6");
        let (said, _) = self.solve(&format!("--start {}/start.csv", self.path().display()), &flags);
        let ours: f64 = said.split("NFE ").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
        let theirs = self.reference["controllers"][name].as_f64().unwrap_or_else(|| panic!("{name} has no reference"));
        let evaluations = within("evaluations of diffrax's PIDController", (ours / theirs - 1.0).abs(), 0.15);
        format!("{evaluations}; its step sizes, to 1e-9 (`crates/fm-solvers/tests/adaptive.rs`)")
    }

    /// Mean and covariance of many stochastic samples of the reference's mixture, in standard
    /// errors.
    fn moments(&self, flags: &str) -> String {
        let (_, ends) = self.solve("--num-samples 4000", flags);
        let means: Vec<Vec<f64>> = self.reference["means"].as_array().unwrap().iter().map(numbers).collect();
        let variance = self.reference["deviation"].as_f64().unwrap().powi(2);
        let n = ends.len() as f64 / 2.0;
        let average = |of: &dyn Fn(&[f64]) -> f64| {
            let values: Vec<f64> = ends.chunks_exact(2).map(of).collect();
            let mean = values.iter().sum::<f64>() / n;
            (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / n).sqrt())
        };
        let truth = |of: &dyn Fn(&[f64]) -> f64| means.iter().map(|m| of(m)).sum::<f64>() / means.len() as f64;
        let mut worst = 0f64;
        for (of, extra) in [
            (&(|x: &[f64]| x[0]) as &dyn Fn(&[f64]) -> f64, 0.0),
            (&|x| x[1], 0.0),
            (&|x| x[0] * x[0], variance),
            (&|x| x[1] * x[1], variance),
            (&|x| x[0] * x[1], 0.0),
        ] {
            let (mean, error) = average(of);
            worst = worst.max((mean - truth(of) - extra).abs() / error);
        }
        assert!(worst < 5.0, "{flags}: {worst} standard errors");
        "closed-form moments within 5 standard errors at 4000 samples; paths: torchsde's to 1e-11 (`crates/fm-solvers/tests/sde.rs`)".into()
    }

    /// Rows of a model with classes, through the binary: of one Euler step unless the flags have
    /// another number.
    fn of_classes(&self, flags: &str) -> Vec<f64> {
        // Names are tried side by side.
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let file = self.path().join(format!("states-{}.npy", CALLS.fetch_add(1, Ordering::Relaxed)));
        let d = self.path().display();
        let steps = if flags.contains("--num-steps") { "" } else { "--num-steps 1" };
        succeed(&format!(
            "trajectory --checkpoint {d}/classes --num-samples 6 --solver euler {steps} {flags} --out {}",
            file.display()
        ));
        let states: ndarray::Array3<f64> = ndarray_npy::read_npy(file).unwrap();
        let last = states.shape()[0] - 1;
        states.index_axis(ndarray::Axis(0), if flags.is_empty() { 0 } else { last }).iter().copied().collect()
    }

    /// One Euler step with guidance, against the formula of the rule on the predictions that single
    /// steps at other scales reveal. The formulas themselves are held against diffusers elsewhere.
    fn rule(&self, name: &str) -> String {
        let x0 = self.of_classes("");
        let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
        let [c, u] = ["1", "0"].map(|scale| minus(&self.of_classes(&format!("--cfg-scale {scale}")), &x0));
        let row = |v: &[f64], i: usize| [v[2 * i], v[2 * i + 1]];
        let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
        let per_row = |of: &dyn Fn([f64; 2], [f64; 2]) -> [f64; 2]| -> Vec<f64> {
            (0..x0.len() / 2).flat_map(|i| of(row(&c, i), row(&u, i))).collect()
        };
        let (given, d, by) = match name {
            "cfg" => ("cfg".to_owned(), minus(&c, &u), "diffusers' `ClassifierFreeGuidance`"),
            "cfg-zero" => {
                // One step is all of the first 4 %.
                assert!(minus(&self.of_classes("--guidance cfg-zero --cfg-scale 3"), &x0).iter().all(|v| *v == 0.0));
                let scaled = |c: [f64; 2], u: [f64; 2]| [0, 1].map(|j| c[j] - dot(c, u) / (dot(u, u) + 1e-8) * u[j]);
                (format!("{name}:share=0"), per_row(&scaled), "diffusers' `ClassifierFreeZeroStarGuidance`")
            }
            "apg" => {
                let projected = |c: [f64; 2], u: [f64; 2]| {
                    let d = [c[0] - u[0], c[1] - u[1]].map(|v| v * (0.1 / (c[0] - u[0]).hypot(c[1] - u[1])).min(1.0));
                    [0, 1].map(|j| d[j] + (0.25 - 1.0) * dot(d, c) / dot(c, c) * c[j])
                };
                let given = format!("{name}:eta=0.25,norm=0.1,momentum=0.5");
                (given, per_row(&projected), "diffusers' `AdaptiveProjectedGuidance`")
            }
            "rectified-cfg++" => {
                // Both predictions at the end of half a step along c.
                let half = "--num-steps 2";
                let c = self.of_classes(&format!("{half} --cfg-scale 1"));
                let u = self.of_classes(&format!("{half} --cfg-scale 0 --cfg-interval 0.4,1"));
                let d = minus(&c, &u).iter().map(|v| 2.0 * v).collect();
                (format!("{name}:steps=0.5"), d, "the paper's formula by torch")
            }
            other => panic!("guidance {other} has no reference"),
        };
        let got = minus(&self.of_classes(&format!("--guidance {given} --cfg-scale 3")), &x0);
        let off = got.iter().zip(c.iter().zip(&d)).map(|(got, (c, d))| (got - c - 2.0 * d).abs()).fold(0.0, f64::max);
        let moved = d.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        assert!(moved > 1e-2, "{name}: the two predictions agree");
        let step = within("an Euler step by the formula", off, 1e-5);
        format!("{step}; the formula: {by}, to 1e-12 (`crates/fm-solvers/tests/guidance.rs`)")
    }

    /// The mean log-density by an estimate, against the exact divergence on the same rows.
    fn probe(&self, name: &str) -> String {
        let d = self.path().display();
        let densities = |flags: &str, out: &str| {
            let start = format!("{d}/start.csv");
            succeed(&format!("likelihood {start} --checkpoint {d}/run {flags} --out {d}/{out}.csv"));
            columns(&self.path().join(format!("{out}.csv")), 0).concat()
        };
        let exact = densities("", &format!("{name}-exact"));
        let estimate = densities(&format!("--probe {name} --probes 8"), name);
        let off: Vec<f64> = estimate.iter().zip(&exact).map(|(a, b)| a - b).collect();
        let (n, mean) = (off.len() as f64, off.iter().sum::<f64>() / off.len() as f64);
        let error = (off.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / n).sqrt();
        assert!(error > 0.0 && mean.abs() < 5.0 * error, "{name}: {mean} +- {error}");
        "the exact divergence, within 5 standard errors; that: closed forms to 1e-6 (`crates/fm-solvers/tests/likelihood.rs`)".into()
    }
}

/// A table whose options are tried by sampling.
fn section<C: Choice>(title: &str, flag: &str, bench: &Bench, extra: &str, check: &Cells<'_>) -> String {
    let tried = |entry: &'static Entry| {
        if flag != "--probe" {
            bench.sample(&format!("{flag} {} {extra}", entry.name()));
        }
    };
    table(title, flag, &rows_of::<C>(&tried, check))
}

/// All tables of sampling.
pub(super) fn sections() -> String {
    let bench = Bench::new();
    let b = &bench;
    [
        section::<SolverName>("Solvers", "--solver", b, "--num-steps 4", &|name| b.solver(name)),
        section::<Grid>("Grids of fixed steps", "--grid", b, "--num-steps 4", &|name| b.grid(name)),
        section::<Pace>("Adaptive steps per sample or per batch", "--pace", b, "--solver dopri5", &|name| b.pace(name)),
        section::<Controller>("Controllers of adaptive steps", "--controller", b, "--solver dopri5", &|name| {
            b.controller(name)
        }),
        section::<Diffusion>("Diffusions of stochastic sampling", "--sde", b, "--num-steps 4", &|name| {
            let said = b.moments(&format!("--sde {name} --num-steps 100"));
            let churn = "steps: Karras et al. (2022), algorithm 2, transcribed in NumPy, to 1e-6 (`crates/fm-solvers/tests/churn.rs`)";
            if name == "churn" { said.replace("paths: torchsde's to 1e-11 (`crates/fm-solvers/tests/sde.rs`)", churn) } else { said }
        }),
        section::<Method>("Methods of stochastic sampling", "--sde-method", b, "--sde sigma --num-steps 4", &|name| {
            let steps = if name == "heun" { 60 } else { 500 };
            b.moments(&format!("--sde sigma --sde-method {name} --num-steps {steps}"))
        }),
        section::<GuidanceRule>(
            "Rules of guidance",
            "--guidance",
            b,
            &format!("--num-steps 4 --cfg-scale 2{OF_CLASSES}"),
            &|name| b.rule(name),
        ),
        section::<Probe>("Probes of Hutchinson's estimate", "--probe", b, "", &|name| b.probe(name)),
    ]
    .concat()
}
