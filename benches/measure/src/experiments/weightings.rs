//! Weights of the loss over time, on one task.

use super::tool::{Tool, mean, number, spread};
use anyhow::Context;
use serde_json::Value;
use std::fmt::Write as _;

/// Of velocity prediction: each weighting, the weight of its error on the linear path, and its use.
const VELOCITY: [(&str, &str, &str); 10] = [
    ("uniform", "1", "the default"),
    ("min-snr", "min(t^2, 5 (1 - t)^2)", "published for data prediction"),
    ("clipped-snr", "min(t^2 / (1 - t)^2, 5)", "details, with a bound"),
    ("snr", "t^2 / (1 - t)^2", "the data end alone; needs a time clip"),
    ("inverse-snr", "(1 - t)^2 / t^2", "the noise end alone; needs a time clip"),
    ("data-end", "t^2", "details"),
    ("noise-end", "(1 - t)^2", "coarse structure"),
    ("sd3-sigma", "1 / (1 - t)^2", "details; needs a time clip"),
    ("sd3-cosmap", "2 / (pi (t^2 + (1 - t)^2))", "the middle"),
    ("edm", "4 (1 - t)^2 + t^2", "published for data prediction"),
];
/// Of data prediction: each weighting, and the weight of its error.
const DATA: [(&str, &str); 4] = [
    ("uniform", "1"),
    ("min-snr", "min(t^2 / (1 - t)^2, 5)"),
    ("snr", "t^2 / (1 - t)^2"),
    ("edm", "4 + t^2 / (1 - t)^2"),
];

/// The training of every weighting.
const TRAINING: &str = "--data 8gaussians --rows 4000 --hold-out 0.25 --steps 3000 --batch-size 256 --time-clip 0.01 --sample-every 0 \
    --save-every 0 --validate-every 3000 --log-every 3000";
const SAMPLING: &str = "--num-samples 4000 --solver euler --num-steps 100";
/// Columns of the held-out loss: all tenths of the times, and those of three parts.
const PARTS: [std::ops::Range<usize>; 4] = [0..10, 0..3, 3..7, 7..10];

/// What one run reached.
struct Found {
    energy: f64,
    sliced: f64,
    losses: [f64; PARTS.len()],
}

pub(super) fn report(tool: &Tool, seeds: u64) -> anyhow::Result<String> {
    let mut velocity = String::from(
        "| weighting | weight of the error | used for | energy distance | sliced W2 | held-out loss | t < .3 | .3 to .7 | t > .7 |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, weight, purpose) in VELOCITY {
        let found = runs(tool, name, "velocity", seeds)?;
        write!(velocity, "| `{name}` | {weight} | {purpose} | {} |", samples(&found))?;
        (0..PARTS.len()).try_for_each(|k| write!(velocity, " {} |", over(&found, |f| f.losses[k], 3)))?;
        velocity.push('\n');
    }
    let mut data =
        String::from("| weighting | weight of the error | energy distance | sliced W2 |\n|---|---|---|---|\n");
    for (name, weight) in DATA {
        writeln!(data, "| `{name}` | {weight} | {} |", samples(&runs(tool, name, "data", seeds)?))?;
    }
    Ok(format!(
        "## weightings\n\n`cargo run -p tabular-train -- train {TRAINING} --prediction velocity --weighting data-end --out runs/weighted`, \
         then `... evaluate --checkpoint runs/weighted {SAMPLING}`\n\n\
         One task under each weight of the loss over time: eight Gaussians, 3000 points to train on and 1000 held out, a GELU MLP of \
         3 x 64, 3000 steps of 256 rows, {seeds} seeds. The network predicts the velocity. The last columns have the mean of \
         |v - u|^2 on held-out points without the weight, so they are comparable: over all times, and over three parts of \
         them.\n\n{velocity}\nThe same with a network that predicts the data:\n\n{data}"
    ))
}

/// One number of each run.
fn over(found: &[Found], value: impl Fn(&Found) -> f64, digits: usize) -> String {
    spread(&found.iter().map(value).collect::<Vec<_>>(), digits)
}

/// The columns of the samples.
fn samples(found: &[Found]) -> String {
    format!("{} | {}", over(found, |f| f.energy, 4), over(found, |f| f.sliced, 3))
}

/// Trains by a weighting, and measures samples and losses, for each seed.
fn runs(tool: &Tool, name: &str, prediction: &str, seeds: u64) -> anyhow::Result<Vec<Found>> {
    (0..seeds).map(|seed| one(tool, name, prediction, seed)).collect()
}

fn one(tool: &Tool, name: &str, prediction: &str, seed: u64) -> anyhow::Result<Found> {
    let run = format!("{prediction}-{name}-{seed}");
    let flags = format!("--prediction {prediction} --weighting {name} --seed {seed}");
    tool.run(&format!("train {TRAINING} {flags} --out {}", tool.at(&run)))?;
    let found = tool.evaluate(&run, SAMPLING)?;
    let of = |path: &str| number(found.pointer(path).unwrap_or(&Value::Null));
    let log = tool.log(&run, "metrics.jsonl")?;
    let tenths = log.last().and_then(|line| line["val_loss_by_time"].as_array());
    let tenths = tenths.context("the log lacks the held-out loss")?.iter().map(number);
    let tenths = tenths.collect::<anyhow::Result<Vec<_>>>()?;
    let mut losses = [0.0; PARTS.len()];
    for (loss, part) in losses.iter_mut().zip(PARTS) {
        *loss = mean(tenths.get(part).context("a tenth of the times lacks its held-out loss")?);
    }
    Ok(Found { energy: of("/found/energy_distance")?, sliced: of("/found/sliced_wasserstein_2")?, losses })
}
