//! The logs of a run: files of JSON lines, each with its step.

use crate::files;
use fm_core::budget::limits;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Line counts after truncating a log at a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewound {
    /// Lines that stay.
    pub kept: u64,
    /// Complete lines of later steps; the resumed run writes them again.
    pub later: u64,
    /// Lines that are damaged or not of this log; they are removed.
    pub foreign: u64,
    /// Lines whose step does not come after that of the line before; they are removed.
    pub repeated: u64,
    /// The steps of the lines that stay.
    steps: Vec<u64>,
    /// The step that the log was cut to.
    to: u64,
}

impl Rewound {
    /// Number of lines that are missing, if every `every`-th step was logged.
    pub fn missing(&self, every: u64) -> u64 {
        let there = self.steps.iter().filter(|step| **step > 0 && step.checked_rem(every) == Some(0)).count() as u64;
        self.to.checked_div(every).unwrap_or(0).saturating_sub(there)
    }

    /// The problem of the log, if there is one; lines after the step are none. `every` as for
    /// [`missing`](Self::missing).
    pub fn problem(&self, every: u64) -> Option<String> {
        let counts = [
            (self.missing(every), "missing"),
            (self.foreign, "damaged or foreign and removed"),
            (self.repeated, "repeated and removed"),
        ];
        let told: Vec<String> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} lines {what}")).collect();
        (!told.is_empty()).then(|| format!("is not complete up to step {}: {}", self.to, told.join(", ")))
    }
}

/// The lines of a log up to a step, as values and as they are written. A line belongs to the log
/// if it is a `T` with a step.
pub(super) struct Lines<T> {
    pub(super) records: Vec<T>,
    /// The new content, if it differs from the old.
    pub(super) changed: Option<Vec<u8>>,
    pub(super) found: Rewound,
}

/// The step of a line. Other values are passed over, not kept.
#[derive(Deserialize)]
struct Step {
    step: u64,
}

/// Reads a log; an absent one is empty.
pub(super) fn read<T: DeserializeOwned>(path: &Path, to: u64) -> io::Result<Lines<T>> {
    let bytes = match files::read_plain(path, &limits::LOG) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read?.0,
    };
    let (mut records, mut kept, mut found) =
        (Vec::new(), Vec::with_capacity(bytes.len()), Rewound { to, ..Rewound::default() });
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (text, ended) = line.strip_suffix(b"\n").map_or((line, false), |text| (text, true));
        // A list would be read as a struct, too.
        let object = text.trim_ascii_start().starts_with(b"{");
        let step = serde_json::from_slice::<Step>(text).ok().filter(|_| object).map(|line| line.step);
        let record = serde_json::from_slice::<T>(text).ok();
        match step.zip(record) {
            // A killed process leaves a last line that is cut; it is not counted.
            None => found.foreign += u64::from(ended),
            Some((step, _)) if step > to => found.later += 1,
            Some((step, _)) if found.steps.last().is_some_and(|last| *last >= step) => found.repeated += 1,
            Some((step, record)) => {
                found.steps.push(step);
                records.push(record);
                kept.extend_from_slice(text);
                kept.push(b'\n');
            }
        }
    }
    found.kept = found.steps.len() as u64;
    Ok(Lines { records, changed: (kept != bytes).then_some(kept), found })
}
