//! Experiments with two-dimensional data.

use super::tool::{Tool, number, spread};
use serde_json::Value;
use std::fmt::Write as _;

/// One number of an evaluation, over seeds.
fn over(found: &[Value], path: &str, digits: usize) -> anyhow::Result<String> {
    let numbers = found.iter().map(|value| number(value.pointer(path).unwrap_or(&Value::Null)));
    Ok(spread(&numbers.collect::<anyhow::Result<Vec<_>>>()?, digits))
}

/// Measurements of the spiral's models: the model, the solver, and the value that PyTorch's
/// reached.
const SPIRAL: [(&str, &str, &str, &str); 7] = [
    ("base", "euler", "100", ".054"),
    ("base", "rk4", "20", ".049"),
    ("base", "euler", "8", ".20"),
    ("reflow", "euler", "1", ".062"),
    ("reflow", "euler", "2", ".056"),
    ("reflow", "euler", "4", ""),
    ("reflow", "euler", "8", ""),
];

pub(super) fn spiral(tool: &Tool, seeds: u64) -> anyhow::Result<String> {
    let mut found = vec![Vec::new(); SPIRAL.len()];
    let mut seconds = [Vec::new(), Vec::new()];
    for seed in 0..seeds {
        let [base, reflow] = ["base", "reflow"].map(|name| format!("{name}-{seed}"));
        let words =
            format!("train --preset spiral --seed {seed} --sample-every 0 --save-every 10000 --out {}", tool.at(&base));
        seconds[0].push(tool.run(&words)?);
        let words =
            format!("reflow --teacher {} --seed {seed} --sample-every 0 --out {}", tool.at(&base), tool.at(&reflow));
        seconds[1].push(tool.run(&words)?);
        for ((model, solver, steps, _), found) in SPIRAL.iter().zip(&mut found) {
            found.push(tool.evaluate(&format!("{model}-{seed}"), &format!("--solver {solver} --num-steps {steps}"))?);
        }
    }
    let mut table = String::from(
        "| model | solver | NFE | sliced W2 | PyTorch's | energy distance | straightness |\n|---|---|---|---|---|---|---|\n",
    );
    for ((model, solver, steps, peer), found) in SPIRAL.iter().zip(&found) {
        let [w2, energy] = [("/found/sliced_wasserstein_2", 4), ("/found/energy_distance", 5)]
            .map(|(path, digits)| over(found, path, digits));
        let (nfe, straight) = (found[0]["nfe"].as_str().unwrap_or_default(), over(found, "/straightness", 3)?);
        writeln!(table, "| {model} | {solver} {steps} | {nfe} | {} | {peer} | {} | {straight} |", w2?, energy?)?;
    }
    let floor = over(&found[0], "/floor/sliced_wasserstein_2", 4)?;
    let [base, reflow] = ["base-0", "reflow-0"].map(|name| tool.at(name));
    tool.run(&format!("picture --checkpoint {base} --num-steps 50 --out {}", tool.at("pictures")))?;
    tool.run(&format!("likelihood --checkpoint {base} --picture {}", tool.at("density.png")))?;
    tool.run(&format!(
        "animate --checkpoint {base} --beside {reflow} --num-steps 24 --num-samples 500 --out {}",
        tool.at("reflow.gif")
    ))?;
    let shown = [
        ("Source, data and samples", "pictures/samples.png", "experiment-spiral-samples.png"),
        ("The velocity field at several times", "pictures/field.png", "experiment-spiral-field.png"),
        ("Density", "density.png", "experiment-spiral-density.png"),
        ("Particles before and after reflow", "reflow.gif", "experiment-spiral-reflow.gif"),
    ];
    let pictures: String =
        shown.map(|(what, file, name)| format!("![{what}]({})\n\n", tool.picture(file, name))).concat();
    let seconds = seconds.map(|s| spread(&s, 0));
    Ok(format!(
        "## spiral\n\n`cargo run -p tabular-train -- train --preset spiral --out runs/spiral`, then `... reflow --teacher runs/spiral --out runs/spiral-reflow`\n\n\
         The data are points (theta / 2 pi) (cos theta, sin theta), theta up to 6 pi, with noise of .1. The base model is a GELU MLP of \
         3 x 64, trained for 10,000 steps of 2048 rows. Reflow: the student starts from the teacher's weights and trains on 1000 batches \
         of pairs, computed by RK4 with 20 steps, at times warped by s = .5. Each row compares 10,000 samples with 10,000 new points \
         over 500 directions, {seeds} seeds. \
         The model's training points have a sliced W2 of {floor}. *PyTorch's*: the same data and networks in PyTorch with another \
         learning rate, schedule and moving average, 3 seeds, compared with fewer points; perfect samples have .036 there. Training takes {} s, reflow {} s.\n\n{table}\n{pictures}",
        seconds[0], seconds[1]
    ))
}

const COUPLINGS: [(&str, &str); 4] = [
    ("independent", "--coupling independent"),
    ("exact", "--coupling exact"),
    ("sinkhorn", "--coupling sinkhorn:epsilon=0.05"),
    ("schroedinger-bridge", "--coupling schroedinger-bridge --path schroedinger-bridge:sigma=0.5 --time-clip 0.001"),
];

pub(super) fn transport(tool: &Tool, seeds: u64) -> anyhow::Result<String> {
    let mut table = String::from(
        "| coupling | straightness | path energy | sliced W2, Euler 100 | sliced W2, Euler 4 | seconds per run \
         |\n|---|---|---|---|---|---|\n",
    );
    let mut pictures = String::new();
    for (name, flags) in COUPLINGS {
        let (mut fine, mut coarse, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
        for seed in 0..seeds {
            let run = format!("{name}-{seed}");
            seconds.push(tool.run(&format!(
                "train --preset transport {flags} --seed {seed} --sample-every 0 --out {}",
                tool.at(&run)
            ))?);
            fine.push(tool.evaluate(&run, "--solver euler --num-steps 100")?);
            coarse.push(tool.evaluate(&run, "--solver euler --num-steps 4")?);
        }
        let [straight, energy] = ["/straightness", "/path_energy"].map(|path| over(&fine, path, 3));
        let [a, b] = [&fine, &coarse].map(|found| over(found, "/found/sliced_wasserstein_2", 3));
        writeln!(table, "| {name} | {} | {} | {} | {} | {} |", straight?, energy?, a?, b?, spread(&seconds, 0))?;
        tool.run(&format!(
            "picture --checkpoint {} --num-steps 50 --num-samples 1500 --out {}",
            tool.at(&format!("{name}-0")),
            tool.at(&format!("pictures-{name}"))
        ))?;
        let file = tool.picture(&format!("pictures-{name}/paths.png"), &format!("experiment-transport-{name}.png"));
        write!(pictures, "<img src=\"{file}\" width=\"49%\" alt=\"Paths under {name} coupling\"> ")?;
    }
    Ok(format!(
        "## transport\n\n`cargo run -p tabular-train -- train --preset transport --coupling exact --out runs/transport`\n\n\
         A flow from eight Gaussians to two moons: a GELU MLP of 3 x 64, 5000 steps of 512 pairs. Straightness is E int |(x1 - x0) - \
         v|^2 dt along the model's own paths (0 is straight). Path energy is E int |v|^2 dt, which optimal transport minimises; {seeds} \
         seeds.\n\n{table}\nPaths under the couplings, in the same order:\n\n{pictures}\n"
    ))
}
