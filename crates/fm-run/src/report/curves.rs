//! The curves of one run, or of several in the same charts.

use super::seen::Seen;
use crate::progress::Timing;
use crate::training_run::loss_curves;
use fm_pictures::Curves;
use fm_train::record::LogRecord;

/// A value of a line of `metrics.jsonl`.
type OfRecord = fn(&LogRecord) -> Option<f64>;
/// A value of a line of `timing.jsonl`.
type OfTiming = fn(&Timing) -> Option<f64>;

/// Name of the file, title and unit of each curve of the log.
const LOGGED: [(&str, &str, &str, OfRecord); 7] = [
    ("epoch-loss", "Mean loss per epoch", "loss", |r| r.epoch_loss),
    ("excess", "Excess loss", "excess", |r| r.excess),
    ("quality", "Energy distance of samples", "distance", |r| r.quality),
    ("grad-norm", "Gradient norm before clipping", "norm", |r| Some(r.grad_norm)),
    ("update-ratio", "Update ratio: norm of the update / norm of the weights", "ratio", |r| Some(r.update_ratio)),
    ("lr", "Learning rate", "rate", |r| Some(r.lr)),
    ("coupling-gain", "Cost of coupled pairs / cost of independent pairs", "ratio", |r| r.coupling_gain),
];

/// The same for the curves of the clock and the machine.
const TIMED: [(&str, &str, &str, OfTiming); 3] = [
    ("throughput", "Throughput", "rows/s", |t| Some(t.rows_per_second)),
    ("memory", "Memory in use", "GiB", |t| t.resident_memory_bytes.map(gib)),
    ("device-memory", "Device memory in use", "GiB", |t| t.device_memory_bytes.map(gib)),
];

/// Charts that a logarithmic axis suits.
const LOGARITHMIC: [&str; 5] = ["loss", "val-loss", "epoch-loss", "excess", "loss-by-time"];

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1u64 << 30) as f64
}

/// The curves with at least one finite value, by name, with one line per run.
pub(super) fn of(runs: &[Seen], log: bool) -> Vec<(&'static str, Curves)> {
    let mut all = match runs {
        [run] => vec![("loss", loss_curves(&run.records)), ("loss-by-time", by_time(&run.records))],
        runs => {
            let loss = chart(runs, "Loss", "loss", |run| logged(run, |r| Some(r.loss)));
            let held_out = chart(runs, "Loss on held-out rows, EMA weights", "loss", |run| logged(run, |r| r.val_loss));
            vec![("loss", loss), ("val-loss", held_out)]
        }
    };
    all.extend(LOGGED.map(|(name, title, unit, of)| (name, chart(runs, title, unit, |run| logged(run, of)))));
    all.extend(TIMED.map(|(name, title, unit, of)| (name, chart(runs, title, unit, |run| timed(run, of)))));
    let all = all.into_iter().filter(|(_, curve)| curve.has_points());
    all.map(|(name, curve)| (name, Curves { log_y: log && LOGARITHMIC.contains(&name), ..curve })).collect()
}

/// One line per run that has values; a single run's line needs no name.
fn chart(runs: &[Seen], title: &str, unit: &str, line: impl Fn(&Seen) -> Vec<(f64, f64)>) -> Curves {
    let lines = runs.iter().map(|run| (run.name.clone(), line(run))).filter(|(_, line)| !line.is_empty());
    Curves { lines: lines.collect(), ..Curves::one(title, ("step", unit), Vec::new()) }
}

fn logged(run: &Seen, of: OfRecord) -> Vec<(f64, f64)> {
    run.records.iter().filter_map(|r| Some((r.step as f64, of(r)?))).collect()
}

fn timed(run: &Seen, of: OfTiming) -> Vec<(f64, f64)> {
    run.timings.iter().filter_map(|t| Some((t.step as f64, of(t)?))).collect()
}

/// The loss in each tenth of the time interval.
fn by_time(records: &[LogRecord]) -> Curves {
    let bins = (0..10).map(|k| {
        let name = format!("t in {:.1} to {:.1}", k as f64 / 10.0, (k + 1) as f64 / 10.0);
        let value = |r: &LogRecord| r.loss_by_time.get(k).copied().flatten();
        (name, records.iter().filter_map(|r| Some((r.step as f64, value(r)?))).collect())
    });
    Curves { lines: bins.collect(), ..Curves::one("Loss by time, before weighting", ("step", "loss"), Vec::new()) }
}
