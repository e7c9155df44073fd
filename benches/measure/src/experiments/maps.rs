//! Flow maps of the spiral: quality in one step and in more.

use super::tool::{Tool, mean, number, spread};
use serde_json::Value;
use std::fmt::Write as _;

/// The tasks, with the solver that samples from their networks.
const TASKS: [(&str, &str); 7] = [
    ("flow", "euler"),
    ("split", "map"),
    ("shortcut", "map"),
    ("meanflow", "map"),
    ("meanflow:p=0.5", "map"),
    ("imf", "map"),
    ("lsd", "map"),
];

/// Numbers of steps, and the largest sliced W2 of a flow map without a robust loss.
const STEPS: [(&str, Option<f64>); 3] = [("1", Some(0.075)), ("4", Some(0.070)), ("32", None)];

/// The training of every task.
const TRAINING: &str = "--preset spiral --widths 64,64,64 --batch-size 1024 --steps 8000 --sample-every 0";

pub(super) fn report(tool: &Tool, seeds: u64) -> anyhow::Result<String> {
    let mut table = String::from("| task | 1 step | 4 steps | 32 steps |\n|---|---|---|---|\n");
    let (mut floor, mut missed) = (Vec::new(), Vec::new());
    for (task, solver) in TASKS {
        let mut found = vec![Vec::new(); STEPS.len()];
        for seed in 0..seeds {
            let run = format!("{}-{seed}", task.replace([':', '=', '.'], "-"));
            tool.run(&format!("train {TRAINING} --task {task} --seed {seed} --out {}", tool.at(&run)))?;
            for ((steps, _), found) in STEPS.iter().zip(&mut found) {
                let value = tool.evaluate(
                    &run,
                    &format!("--solver {solver} --num-steps {steps} --num-samples 10000 --directions 500"),
                )?;
                let w2 = |path: &str| number(value.pointer(path).unwrap_or(&Value::Null));
                found.push(w2("/found/sliced_wasserstein_2")?);
                floor.push(w2("/floor/sliced_wasserstein_2")?);
            }
        }
        for ((steps, most), found) in STEPS.iter().zip(&found) {
            let bound = most.filter(|_| solver == "map" && !task.contains(':'));
            if bound.is_some_and(|most| mean(found) > most) {
                missed.push(format!("{task} in {steps}"));
            }
        }
        let cells: Vec<String> = found.iter().map(|found| spread(found, 4)).collect();
        writeln!(table, "| `{task}` | {} |", cells.join(" | "))?;
    }
    let missed = if missed.is_empty() { "all are met".to_owned() } else { format!("missed: {}", missed.join(", ")) };
    Ok(format!(
        "## maps\n\n`cargo run -p tabular-train -- train {TRAINING} --task split --out runs/map`, then `... evaluate --checkpoint runs/map --solver map --num-steps 1 --num-samples 10000 --directions 500`\n\n\
         Flow maps of the spiral of the experiment above, from one training without a teacher: a GELU MLP of 3 x 64, with the \
         interval as an input, trained for 8,000 steps of 1,024 rows, half of which train the velocity of a flow map. Each number is the sliced \
         W2 between 10,000 samples and 10,000 new points over 500 directions, {seeds} seeds; the training points have {}. The flow is \
         sampled by Euler's method, the maps by jumps. With `p=0.5` the loss is robust, which moves its minimum off the mean. \
         Bounds \
         (1 step {}, 4 steps {}; without the robust loss): {missed}.\n\n{table}",
        spread(&floor, 4),
        STEPS[0].1.unwrap_or_default(),
        STEPS[1].1.unwrap_or_default(),
    ))
}
