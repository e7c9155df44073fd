//! Tests of run.sh and table.py with stubs instead of the programs.

use super::*;
use std::process::Output;

/// A pack whose programs are shell scripts.
fn pack(gpu_check: &str, cifar_train: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("run.sh"), RUN).unwrap();
    fs::write(dir.path().join("table.py"), TABLE).unwrap();
    for (name, body) in [("gpu-check", gpu_check), ("cifar-train", cifar_train)] {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/bash\n{body}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir
}

fn ran(dir: &Path) -> (Output, String) {
    let mut script = Command::new("bash");
    script.arg(dir.join("run.sh")).env("OUT", dir.join("results")).env("FM_TORCH_LIB", dir);
    let output = script.env("FM_GPU_CHECK_SMALL", "1").env("PYTHON", "python3").output().unwrap();
    (output, fs::read_to_string(dir.join("results/results.jsonl")).unwrap_or_default())
}

const CHECK: &str = r#"echo "{\"part\":\"$1\",\"check\":\"c\",\"ok\":true}""#;
/// Writes the same files as cifar-train: a log, and checkpoints whose weights are the same in every
/// run.
const TRAIN: &str = r#"
case $1 in evaluate) while [ $# -gt 0 ]; do [ "$1" = --json ] && echo '{"kid":1}' > "$2"; shift; done; exit;; esac
case "$*" in *--help*) exit;; esac
while [ $# -gt 0 ]; do [ "$1" = --out ] && out=$2; shift; done
for step in 2 4 6; do mkdir -p $out/checkpoints/step-$step; echo w > $out/checkpoints/step-$step/model.safetensors; done
echo '{"step":2,"loss":1.25,"lr":0.1}' > $out/metrics.jsonl
echo > $out/checkpoints/step-2/meta.json
"#;

fn python_is_there() -> bool {
    Command::new("python3").arg("--version").output().is_ok_and(|o| o.status.success())
}

#[test]
fn every_part_leaves_its_lines_and_a_table() {
    if !python_is_there() {
        return;
    }
    let dir = pack(CHECK, TRAIN);
    let (output, results) = ran(dir.path());
    assert!(output.status.success(), "{results}{}", String::from_utf8_lossy(&output.stderr));
    check(&results).unwrap();
    assert!(results.contains("two processes: the loss of one\",\"ok\":true"), "{results}");
    assert!(results.contains("same weights\",\"ok\":true"), "{results}");
    let table = fs::read_to_string(dir.path().join("results/table.md")).unwrap();
    assert!(table.contains("| parity | c | ok |") && table.contains("every part that must hold did"), "{table}");
}

#[test]
fn a_part_that_fails_or_crashes_stops_no_other_and_shows_in_the_exit_code() {
    if !python_is_there() {
        return;
    }
    let fails =
        format!("[ $1 = parity ] && {{ {CHECK} | sed s/true/false/; echo cannot multiply >&2; exit 1; }}; {CHECK}");
    let crashes = format!("[ $1 = speed ] && {{ {CHECK}; printf '{{\"part\":'; kill -SEGV $$; }}; {CHECK}");
    for (program, part, word) in [(fails, "parity", "cannot multiply"), (crashes, "speed", "139")] {
        let dir = pack(&program, TRAIN);
        let (output, results) = ran(dir.path());
        assert_eq!(output.status.code(), Some(1), "{results}");
        let end = |part: &str| {
            let head = format!("{{\"part\":\"{part}\",\"check\":\"(part)\"");
            results.lines().find(|line| line.starts_with(&head)).unwrap_or_default().to_owned()
        };
        assert!(end(part).contains("\"ok\":false") && end(part).contains(word), "{results}");
        assert!(end("training").contains("\"ok\":true") && end("profile").contains("\"ok\":true"), "{results}");
    }
}

#[test]
fn a_part_that_hangs_is_stopped_at_its_limit() {
    if !python_is_there() {
        return;
    }
    let dir = pack(&format!("[ $1 = speed ] && {{ {CHECK}; sleep 60; }}; {CHECK}"), TRAIN);
    let run = RUN.replace("part speed 130", "part speed 1");
    assert_ne!(run, RUN);
    fs::write(dir.path().join("run.sh"), run).unwrap();
    let (output, results) = ran(dir.path());
    assert_eq!(output.status.code(), Some(1), "{results}");
    assert!(results.contains("\"error\":\"stopped after 1 s\""), "{results}");
    // Results from before the failure count.
    assert!(results.contains("{\"part\":\"speed\",\"check\":\"c\",\"ok\":true}"), "{results}");
}

#[test]
fn other_weights_after_a_resume_are_seen() {
    if !python_is_there() {
        return;
    }
    // On a CPU a run resumes bit for bit; this program's weights differ from run to run.
    let dir = pack(CHECK, &TRAIN.replace("echo w", "date +%N"));
    let run = fs::read_to_string(dir.path().join("run.sh")).unwrap().replace("${FM_DEVICE:-cuda}", "cpu");
    fs::write(dir.path().join("run.sh"), run).unwrap();
    let (output, results) = ran(dir.path());
    assert_eq!(output.status.code(), Some(1), "{results}");
    assert!(results.contains("same weights\",\"ok\":false"), "{results}");
}
