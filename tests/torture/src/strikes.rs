//! The kinds of strikes, and the draw of one.

use crate::log_damage::{Damage, LOG, LOGS};
use crate::programs::{At, Outputs};
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;
use std::time::Duration;

/// What happens to a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Strike {
    /// Nothing: the same command again.
    Nothing,
    /// A killed process before or during a call that changes files.
    Kill(At),
    /// A killed process at some time.
    Time(Duration),
    /// Several killed processes, one after the other.
    Series(Vec<At>),
    /// A disk that fails from a call on.
    Disk(At),
    /// A flipped bit in a saved file, after a kill at a call; file and bit are random numbers.
    Flip { at: At, newest: bool, file: u64, bit: u64 },
    /// A damaged log, after a kill at a call; the place is a random number.
    Log { at: At, name: &'static str, damage: Damage, place: u64 },
    /// A signal that asks the process to stop.
    Signal(At),
    /// An output that cannot be written.
    Outputs(Outputs),
    /// A standard output that is a full pipe.
    Stuffed,
    /// A terminal that is closed.
    Hangup(At),
}

/// Names of the kinds, as the table shows them.
pub(crate) const KINDS: [&str; 11] = [
    "the same command again",
    "kill at a call",
    "kill at a time",
    "several kills",
    "full or failing disk",
    "flipped bit",
    "signal",
    "closed or full output",
    "output of a full pipe",
    "closed terminal",
    "damaged log",
];

/// How often each kind is drawn, after the first strike.
const WEIGHTS: [u32; 11] = [0, 32, 8, 8, 12, 10, 5, 6, 2, 4, 13];

/// Errors of a disk: no space, over quota, read or write error.
const ERRORS: [i32; 3] = [28, 122, 5];
/// Signals that ask a process to stop: hangup, interrupt, terminate.
const SIGNALS: [i32; 3] = [1, 2, 15];

/// What a run did without a strike.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) calls: Vec<(String, PathBuf)>,
    pub(crate) seconds: f64,
    /// The number of the call that first moved a checkpoint, or a part of the pairs, into place.
    pub(crate) saved: usize,
}

impl Done {
    /// Reads the calls of a run in a directory.
    pub(crate) fn new(calls: Vec<(String, PathBuf)>, seconds: f64) -> Self {
        let moved = |(call, path): &(String, PathBuf)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let folder = path.parent().and_then(|parent| parent.file_name());
            let checkpoint = name.starts_with("step-") && folder.is_some_and(|folder| folder == "checkpoints");
            call == "rename" && (checkpoint || name.starts_with("shard-"))
        };
        let saved = calls.iter().position(moved).map_or(calls.len(), |index| index + 1);
        Self { calls, seconds, saved }
    }
}

/// The kills of a configuration in random order: each call before and during, no two alike.
pub(crate) fn kills(done: &Done, rng: &mut ChaCha8Rng) -> Vec<At> {
    let both = |call| ["kill", "after"].map(|action| At { action, call, value: 0 });
    let mut all: Vec<At> = (1..=done.calls.len()).flat_map(both).collect();
    all.shuffle(rng);
    all
}

/// Draws a strike. The first one does nothing: it checks that the run repeats.
pub(crate) fn draw(number: usize, done: &Done, kills: &[At], rng: &mut ChaCha8Rng) -> Strike {
    if number == 0 {
        return Strike::Nothing;
    }
    let mut point = rng.random_range(0..WEIGHTS.iter().sum::<u32>());
    let kind = WEIGHTS.iter().position(|weight| {
        let here = point < *weight;
        point = point.saturating_sub(*weight);
        here
    });
    let calls = done.calls.len().max(1);
    let kill =
        |rng: &mut ChaCha8Rng, call| At { action: if rng.random_bool(0.5) { "kill" } else { "after" }, call, value: 0 };
    let any = rng.random_range(1..=calls);
    match kind.unwrap_or(1) {
        2 => Strike::Time(Duration::from_secs_f64(done.seconds * rng.random_range(0.1..1.0))),
        3 => {
            let count = rng.random_range(2..=4);
            let mut some = || rng.random_range(1..=calls);
            let places: Vec<usize> = (0..count).map(|_| some()).collect();
            Strike::Series(places.into_iter().map(|call| kill(rng, call)).collect())
        }
        4 => Strike::Disk(At { action: "fail", call: any, value: *ERRORS.choose(rng).unwrap_or(&28) }),
        5 => {
            // After the last call, the run has ended.
            let call = rng.random_range(done.saved + 1..=calls.max(done.saved) + 1);
            Strike::Flip { at: kill(rng, call), newest: rng.random_bool(0.7), file: rng.random(), bit: rng.random() }
        }
        6 => Strike::Signal(At { action: "signal", call: any, value: *SIGNALS.choose(rng).unwrap_or(&2) }),
        7 => {
            let all = [Outputs::ClosedPipe, Outputs::ClosedPipes, Outputs::Full, Outputs::FullError, Outputs::Shut];
            Strike::Outputs(*all.choose(rng).unwrap_or(&Outputs::Full))
        }
        8 => Strike::Stuffed,
        10 => {
            let call = rng.random_range(done.saved + 1..=calls.max(done.saved) + 1);
            // The last two are compared less strictly.
            let name = if rng.random_bool(0.7) { LOG } else { LOGS.choose(rng).copied().unwrap_or(LOG) };
            Strike::Log {
                at: kill(rng, call),
                name,
                damage: *Damage::ALL.choose(rng).unwrap_or(&Damage::Cut),
                place: rng.random(),
            }
        }
        9 => Strike::Hangup(At { action: "hangup", call: any, value: 0 }),
        _ => Strike::Kill(kills.get(number % kills.len().max(1)).copied().unwrap_or(kill(rng, any))),
    }
}

impl Strike {
    /// The place of its kind in [`KINDS`].
    pub(crate) fn kind(&self) -> usize {
        match self {
            Strike::Nothing => 0,
            Strike::Kill(_) => 1,
            Strike::Time(_) => 2,
            Strike::Series(_) => 3,
            Strike::Disk(_) => 4,
            Strike::Flip { .. } => 5,
            Strike::Signal(_) => 6,
            Strike::Outputs(_) => 7,
            Strike::Stuffed => 8,
            Strike::Hangup(_) => 9,
            Strike::Log { .. } => 10,
        }
    }

    /// The strike in words, with the calls that it hits.
    pub(crate) fn describe(&self, done: &Done) -> String {
        let place = |at: &At| match done.calls.get(at.call.wrapping_sub(1)) {
            Some((call, path)) => {
                let words: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
                let when = if at.action == "after" { "during" } else { "at" };
                format!("{when} call {}, {call} {}", at.call, words[words.len().saturating_sub(2)..].join("/"))
            }
            None => "after the end".into(),
        };
        let kind = KINDS[self.kind()];
        match self {
            Strike::Nothing | Strike::Stuffed => kind.into(),
            Strike::Kill(at) | Strike::Hangup(at) => format!("{kind}: {}", place(at)),
            Strike::Disk(at) | Strike::Signal(at) => format!("{kind} {}: {}", at.value, place(at)),
            Strike::Time(after) => format!("{kind}: {:.2} s", after.as_secs_f64()),
            Strike::Series(all) => format!("{kind}: {}", all.iter().map(place).collect::<Vec<_>>().join("; ")),
            Strike::Log { at, name, damage, .. } => format!("{kind}, {damage:?} in {name}, after a kill {}", place(at)),
            Strike::Flip { at, .. } => format!("{kind}, after a kill {}", place(at)),
            Strike::Outputs(outputs) => format!("{kind}: {outputs:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    fn done() -> Done {
        let call = |call: &str, path: &str| (call.to_owned(), PathBuf::from(path));
        let calls = [
            call("mkdir", "/r"),
            call("rename", "/r/samples/step-1.png"),
            call("rename", "/r/checkpoints/step-2"),
            call("write", "/r/metrics.jsonl"),
        ];
        Done::new(calls.to_vec(), 2.0)
    }

    #[test]
    fn all_kinds_are_drawn_and_a_seed_repeats_them() {
        let (done, mut rng) = (done(), ChaCha8Rng::seed_from_u64(1));
        let kills = kills(&done, &mut rng);
        let draw = |number| draw(number, &done, &kills, &mut ChaCha8Rng::seed_from_u64(number as u64));
        assert_eq!((draw(0), draw(9)), (Strike::Nothing, draw(9)));
        let kinds: BTreeSet<usize> = (0..400).map(|n| draw(n).kind()).collect();
        assert_eq!(kinds.len(), KINDS.len());
        for strike in (0..400).map(draw) {
            if let Strike::Flip { at, .. } = strike {
                assert!((4..=5).contains(&at.call), "the first checkpoint is there after call 3");
            }
        }
    }

    #[test]
    fn each_call_is_killed_before_and_during_it() {
        let all = kills(&done(), &mut ChaCha8Rng::seed_from_u64(1));
        let places: BTreeSet<(usize, &str)> = all.iter().map(|at| (at.call, at.action)).collect();
        assert_eq!((places.len(), all.len()), (8, 8));
        assert_eq!(
            Strike::Kill(At { action: "after", call: 3, value: 0 }).describe(&done()),
            "kill at a call: during call 3, rename checkpoints/step-2"
        );
    }
}
