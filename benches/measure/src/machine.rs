//! The machine and the commit that a number was measured with.

use std::process::Command;
use xtask_shell::{output, root};

/// Processor, cores, and the commit.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores{}", processor(&info), commit().map_or_else(String::new, |code| format!("; {code}")))
}

/// The commit of the code, with a mark if files other than the documents differ from it.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| output(Command::new("git").current_dir(root()).args(arguments)).ok();
    let hash = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no", "--", ":!docs"])?.trim().is_empty();
    Some(format!("commit {}{}", hash.trim(), if changed { " with changes" } else { "" }))
}

/// The machine that a part of a document names, without the commit.
pub(crate) fn named(part: &str) -> Option<&str> {
    let (_, after) = part.split_once("*Machine*: ")?;
    Some(&after[..after.find(" cores")?])
}

/// The processor that /proc/cpuinfo describes: its model, family and model numbers (the names of
/// virtual machines are not specific), and the instruction sets that determine the speed of matrix
/// products.
fn processor(info: &str) -> String {
    let value = |key: &str| {
        let line = info.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    };
    let flags: Vec<&str> = value("flags").unwrap_or_default().split_whitespace().collect();
    let sets = [
        ("avx2", "AVX2"),
        ("fma", "FMA"),
        ("avx512f", "AVX-512"),
        ("avx512_bf16", "AVX-512 BF16"),
        ("avx512_vnni", "AVX-512 VNNI"),
        ("amx_tile", "AMX"),
        ("amx_bf16", "AMX BF16"),
    ];
    let sets: Vec<&str> = sets.iter().filter(|(flag, _)| flags.contains(flag)).map(|(_, name)| *name).collect();
    let model = value("model name").unwrap_or("unknown processor");
    let numbers =
        value("cpu family").zip(value("model")).map(|(family, model)| format!(" (family {family}, model {model})"));
    let sets = if sets.is_empty() { "no AVX2".to_owned() } else { sets.join(", ") };
    format!("{model}{}, {sets}", numbers.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_named_with_its_instruction_sets() {
        let info = "cpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx avx2 fma sse2\n";
        assert_eq!(processor(info), "AMD EPYC (family 25, model 1), AVX2, FMA");
        let wide = "model name : X\nflags : avx2 avx512f amx_tile avx512_bf16x\n";
        assert_eq!(processor(wide), "X, AVX2, AVX-512, AMX");
        assert_eq!(processor(""), "unknown processor, no AVX2");
    }

    #[test]
    fn the_machine_of_a_part_is_found_again() {
        assert_eq!(named("*Machine*: X @ 2.2 GHz, AVX2, 2 cores; commit 12.\n"), Some("X @ 2.2 GHz, AVX2, 2"));
        let again = format!("*Machine*: {}.", machine());
        assert!(named(&again).is_some_and(|name| machine().starts_with(name)));
        assert_eq!(named("no machine"), None);
    }
}
