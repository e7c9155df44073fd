//! Many inputs of many targets, on several threads.

use crate::inputs::Inputs;
use crate::judge::{FACTOR, FLOOR, Judged, judge};
use crate::kept;
use crate::target::Target;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Inputs that a thread judges at a time.
const PIECE: u64 = 500;

/// The longest time for an input on a clock; then the process ends, because the reader may hang.
const HANGS: Duration = Duration::from_secs(60);

/// The most problems that a target reports.
const PROBLEMS: usize = 5;

/// The most characters of a problem.
const LONGEST_PROBLEM: usize = 500;

/// What to judge.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Seed of the inputs.
    pub seed: u64,
    /// The numbers of the inputs.
    pub numbers: Range<u64>,
    /// Number of threads.
    pub threads: usize,
    /// The folder that inputs with problems are written to.
    pub finds: PathBuf,
}

/// What was found about a target.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Name of the target.
    pub target: &'static str,
    /// Inputs judged.
    pub inputs: u64,
    /// Inputs that were accepted.
    pub accepted: u64,
    /// The longest time of an input.
    pub slowest: Duration,
    /// The most memory of an input, as a share of what is allowed.
    pub largest: f64,
    /// Time of all inputs.
    pub total: Duration,
    /// Problems, each with the file of its input.
    pub problems: Vec<String>,
}

impl Found {
    fn add(&mut self, judged: &Judged, length: usize) {
        self.inputs += 1;
        self.accepted += u64::from(judged.accepted);
        self.slowest = self.slowest.max(judged.time);
        self.total += judged.time;
        self.largest = self.largest.max(judged.held as f64 / (FLOOR + FACTOR * length) as f64);
    }

    fn merge(&mut self, other: Self) {
        self.inputs += other.inputs;
        self.accepted += other.accepted;
        self.slowest = self.slowest.max(other.slowest);
        self.largest = self.largest.max(other.largest);
        self.total += other.total;
        self.problems.extend(other.problems);
        self.problems.truncate(PROBLEMS);
    }
}

/// Judges one input, and writes it to a file if it has a problem.
pub fn one(target: &'static Target, bytes: &[u8], name: &str, finds: &Path, found: &mut Found) {
    let judged = judge(target, bytes);
    found.add(&judged, bytes.len());
    if let Some(problem) = judged.problem {
        let file = finds.join(format!("{}-{name}", target.name));
        let written = std::fs::create_dir_all(finds).and_then(|()| std::fs::write(&file, bytes));
        let place = written.map_or_else(|error| format!("not written ({error})"), |()| file.display().to_string());
        let problem: String =
            problem.chars().take(LONGEST_PROBLEM).map(|c| if c.is_control() { ' ' } else { c }).collect();
        found.problems.push(format!("{}, {name}, {problem}; its input: {place}", target.name));
    }
}

/// Judges inputs of targets.
pub fn sweep(targets: &[&'static Target], plan: &Plan) -> Vec<Found> {
    kept::write_on_abort(&plan.finds.join("abort"));
    // Created now, because a handler of signals can only open files.
    let _ = std::fs::create_dir_all(&plan.finds);
    let inputs: Vec<Inputs> = targets.iter().map(|target| Inputs::of(target, plan.seed)).collect();
    let found: Vec<Mutex<Found>> =
        targets.iter().map(|target| Mutex::new(Found { target: target.name, ..Found::default() })).collect();
    let pieces: Vec<(usize, Range<u64>)> = (0..targets.len())
        .flat_map(|k| {
            let starts = plan.numbers.clone().step_by(PIECE as usize);
            starts.map(move |start| (k, start..plan.numbers.end.min(start + PIECE)))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let busy: Vec<Busy> = (0..plan.threads.max(1)).map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        let workers: Vec<_> = busy
            .iter()
            .map(|busy| {
                let (pieces, inputs, found, next) = (&pieces, &inputs, &found, &next);
                scope.spawn(move || {
                    while let Some((k, numbers)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let part = piece(targets[*k], &inputs[*k], numbers.clone(), plan, busy);
                        found[*k].lock().unwrap_or_else(PoisonError::into_inner).merge(part);
                    }
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            busy.iter().for_each(end_if_hanging);
        }
    });
    found.into_iter().map(|found| found.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Since when a thread judges an input, and which.
type Busy = Mutex<Option<(Instant, &'static str, u64)>>;

fn piece(target: &'static Target, inputs: &Inputs, numbers: Range<u64>, plan: &Plan, busy: &Busy) -> Found {
    let mut found = Found::default();
    for number in numbers {
        let bytes = inputs.input(number);
        *busy.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), target.name, number));
        one(target, &bytes, &format!("seed-{}-input-{number}", plan.seed), &plan.finds, &mut found);
    }
    *busy.lock().unwrap_or_else(PoisonError::into_inner) = None;
    found
}

#[allow(clippy::print_stderr, reason = "the process ends")]
fn end_if_hanging(busy: &Busy) {
    let busy = *busy.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, target, number)) = busy.filter(|(since, ..)| since.elapsed() > HANGS) {
        eprintln!("{target}: input {number} takes longer than {HANGS:?}");
        std::process::exit(1);
    }
}
