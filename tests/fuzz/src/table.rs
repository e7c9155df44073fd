//! The table of a run.

use fm_terminal::println;
use fuzz::sweep::Found;

/// Prints a row per target, and then the problems.
pub(crate) fn print(found: &[Found]) {
    println!("| target | inputs | accepted | rejected | slowest, ms | memory / allowed | time per input, us |");
    println!("|---|---|---|---|---|---|---|");
    for row in found {
        println!(
            "| {} | {} | {} | {} | {:.1} | {:.3} | {:.1} |",
            row.target,
            row.inputs,
            row.accepted,
            row.inputs - row.accepted,
            row.slowest.as_secs_f64() * 1e3,
            row.largest,
            row.total.as_secs_f64() * 1e6 / row.inputs.max(1) as f64,
        );
    }
    let (inputs, total) = (found.iter().map(|row| row.inputs).sum::<u64>(), found.iter().map(|row| row.total));
    let seconds: f64 = total.map(|time| time.as_secs_f64()).sum();
    println!("{} targets, {inputs} inputs, {seconds:.1} s of the processor", found.len());
    found.iter().flat_map(|row| &row.problems).for_each(|problem| println!("FAIL {problem}"));
}
