//! Score and flow matching from eight Gaussians to two moons, beside torchcfm.

use super::tool::{Tool, number, spread};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use xtask_shell::{output, root};

/// The settings of both sides, which were chosen before the first run.
const SIGMA: &str = "1";
const STEPS: &str = "1500";
const BATCH: &str = "128";
const LR: &str = "0.002";
const SAMPLES: &str = "1000";

/// The variance per unit time of the noise; 0 is the ODE, and SIGMA^2 the Schrödinger bridge.
const STRENGTHS: [&str; 4] = ["0", "0.25", "1", "4"];

/// The training of our network: SELU as torchcfm's, a constant rate, pairs drawn from the plan, and
/// the weights themselves.
fn training() -> String {
    format!(
        "--data moons --source 8gaussians --preprocess none --model selu-mlp --widths 64,64,64 \
         --path schroedinger-bridge:sigma={SIGMA} --coupling schroedinger-bridge --prediction velocity+score \
         --time-clip 0.0001 --steps {STEPS} --batch-size {BATCH} --lr {LR} --warmup-steps 0 --decay constant --clip inf \
         --weight-decay 0.01 --sample-every 0"
    )
}

fn sampling(strength: &str) -> String {
    match strength {
        "0" => "--solver euler --num-steps 100".into(),
        _ => format!("--sde constant:scale={strength} --sde-method euler-maruyama --num-steps 100"),
    }
}

pub(super) fn report(tool: &Tool, seeds: u64, python: &Path) -> anyhow::Result<String> {
    let script = root().join("benches/peers/sf2m.py");
    let run = |words: &[&str]| {
        let mut command = Command::new(python);
        output(command.arg(&script).args(words).env("OMP_NUM_THREADS", "1").env_remove("LD_LIBRARY_PATH"))
    };
    let mut found: Vec<Value> = Vec::new();
    for seed in 0..seeds {
        let (home, number) = (format!("run-{seed}"), seed.to_string());
        tool.run(&format!("train {} --seed {seed} --out {}", training(), tool.at(&home)))?;
        let folder = tool.at(&home);
        let mut words = vec!["train", &number, STEPS, BATCH, LR, SIGMA, SAMPLES, &folder];
        words.extend(STRENGTHS);
        run(&words)?;
        let mut files = Vec::new();
        for strength in STRENGTHS {
            for (set, weights) in [("ours", "--raw-weights"), ("averaged", "")] {
                let out = format!("{folder}/{set}-{strength}.npy");
                tool.run(&format!(
                    "sample --checkpoint {folder} {weights} --num-samples {SAMPLES} --seed {} {} --out {out}",
                    1000 + seed,
                    sampling(strength)
                ))?;
                files.push(out);
            }
            files.push(format!("{folder}/theirs-{strength}.npy"));
        }
        let mut words = vec!["measure", &number, SAMPLES];
        words.extend(files.iter().map(String::as_str));
        found.push(serde_json::from_str(&run(&words)?)?);
    }
    let over = |set: &str, key: &str, digits: usize| -> anyhow::Result<String> {
        let of = |value: &Value| number(value[set].get(key).unwrap_or(&Value::Null));
        Ok(spread(&found.iter().map(of).collect::<anyhow::Result<Vec<_>>>()?, digits))
    };
    let mut table = String::from(
        "| noise g^2 | energy distance | averaged | torchcfm's | W2 | averaged | torchcfm's |\n|---|---|---|---|---|---|---|\n",
    );
    for strength in STRENGTHS {
        let sets = ["ours", "averaged", "theirs"].map(|set| format!("{set}-{strength}"));
        let name = if strength == "0" { "0 (ODE)".to_owned() } else { strength.to_owned() };
        let energy = sets.iter().map(|set| over(set, "energy", 4)).collect::<anyhow::Result<Vec<_>>>()?;
        let w2 = sets.iter().map(|set| over(set, "w2", 3)).collect::<anyhow::Result<Vec<_>>>()?;
        writeln!(table, "| {name} | {} | {} |", energy.join(" | "), w2.join(" | "))?;
    }
    Ok(format!(
        "## sf2m\n\n`cargo run -p tabular-train -- train {} --out runs/bridge`, then `... sample --checkpoint runs/bridge --raw-weights {}`\n\n\
         Score and flow matching on the Brownian bridge with sigma = {SIGMA}, from eight Gaussians to two moons, both torchcfm's. Our \
         network is an MLP of 3 x 64 with two outputs, velocity and scaled score; *torchcfm's* are two such networks, in PyTorch, trained \
         as in its tutorial. Both train for {STEPS} steps of {BATCH} entropic pairs (regularisation 2 sigma^2) by AdamW at {LR}. Both \
         use the trained weights; *averaged* is our network with the moving average of its weights, as `sample` uses it by default. Euler's method takes 100 steps, with noise that of Euler-Maruyama; the strength sigma^2 is the \
         Schrödinger bridge itself, the others have the same distributions in theory. {SAMPLES} samples are compared with as many new \
         points; two sets of new points have an energy distance of {} and a W2 of {}. {seeds} seeds; one script measures both sides.\n\n{table}",
        training(),
        sampling("1"),
        over("perfect", "energy", 4)?,
        over("perfect", "w2", 3)?,
    ))
}
