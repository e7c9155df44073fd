//! Logs of runs.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{scratch, seeds};
use fm_train::record::LogRecord;
use fm_train::run_dir::RunDir;

pub(super) const LOG: Target = Target {
    name: "log",
    seeds: || {
        seeds::texts(&[concat!(
            r#"{"step":10,"loss":1.5,"grad_norm":2.0,"update_ratio":0.01,"lr":0.001,"loss_by_time":[1.0,null,2.5]}"#,
            "\n",
            r#"{"step":20,"loss":null,"excess":0.1,"grad_norm":null,"lr":0.001,"coupling_gain":0.9,"skipped":3}"#,
            "\n",
            r#"{"step":30,"loss":1.25,"grad_norm":1.0,"lr":0}"#,
            "\n",
        )])
    },
    words: &[
        "\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"step\":",
        "\"loss\":",
        "null",
        "1e400",
        "-1",
        "\"loss_by_time\":[",
        "\\ud800",
    ],
    finish: Finish::Nothing,
    read,
};

fn read(bytes: &[u8]) -> bool {
    scratch::file("run/metrics.jsonl", bytes);
    // A run of another process holds no lock, and writes nothing.
    let run = RunDir::of_group(&scratch::folder("run"));
    let read = run.rewind_as::<LogRecord>("metrics.jsonl", 25);
    let kept = read.as_ref().map_or(0, |(records, found)| {
        assert!(records.windows(2).all(|pair| pair[0].step < pair[1].step));
        assert_eq!(records.len() as u64, found.kept);
        let _ = found.problem(10);
        found.kept
    });
    accepted(read) && kept > 0
}
