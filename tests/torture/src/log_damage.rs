//! Damage to a log of a run: lines that are cut, doubled, of somebody else, or not text, and
//! flipped bits.

use serde_json::Value;

/// The log that checkpoints depend on.
pub(crate) const LOG: &str = "metrics.jsonl";
/// All logs.
pub(crate) const LOGS: [&str; 3] = [LOG, "timing.jsonl", MOMENTS];
/// A log whose line follows the checkpoint of its step.
const MOMENTS: &str = "moments.jsonl";

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A line stands twice.
    Doubled,
    /// All lines stand twice, as if two processes had written them.
    Repeated,
    /// A line of another log.
    Foreign,
    /// A line of bytes that are not UTF-8.
    NotText,
    /// The last line is cut within.
    Cut,
    /// Any line is cut within, and the next one follows at once.
    CutWithin,
    /// A part of a line is missing.
    Shortened,
    /// A byte within a line is not UTF-8, so the line is lost.
    Byte,
    /// A bit is flipped.
    Bit,
    /// A line is missing.
    Missing,
    /// There is no line left.
    Emptied,
}

impl Damage {
    pub(crate) const ALL: [Self; 11] = [
        Self::Doubled,
        Self::Repeated,
        Self::Foreign,
        Self::NotText,
        Self::Cut,
        Self::CutWithin,
        Self::Shortened,
        Self::Byte,
        Self::Bit,
        Self::Missing,
        Self::Emptied,
    ];

    /// The damaged log. `place` is any number.
    pub(crate) fn apply(self, log: &[u8], place: u64) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return Vec::new();
        }
        let at = place as usize % lines.len();
        // A second number, which is independent of the first.
        let within = |length: usize| (place / lines.len() as u64) as usize % length.max(1);
        match self {
            Self::Doubled => lines.insert(at + 1, lines[at].clone()),
            Self::Repeated => lines.extend(lines.clone()),
            Self::Foreign => lines.insert(at, b"{\"epoch\": 3, \"accuracy\": 0.7}\n".to_vec()),
            Self::NotText => lines.insert(at, b"{\"step\": \xff\xfe}\n".to_vec()),
            Self::Cut => {
                let last = lines.len() - 1;
                let length = 1 + within(lines[last].len() - 1);
                lines[last].truncate(length);
            }
            Self::CutWithin => {
                let length = 1 + within(lines[at].len() - 1);
                lines[at].truncate(length);
            }
            Self::Shortened => {
                let from = within(lines[at].len() - 1);
                let to = (from + 3).min(lines[at].len() - 1);
                lines[at].drain(from..to);
            }
            Self::Byte => {
                let middle = lines[at].len() / 2;
                lines[at][middle] = 0xff;
            }
            Self::Bit => {
                let bit = within(8 * lines[at].len());
                lines[at][bit / 8] ^= 1 << (bit % 8);
            }
            Self::Missing => drop(lines.remove(at)),
            Self::Emptied => lines.clear(),
        }
        lines.concat()
    }
}

/// The lines that a log has up to a step: objects with a step that comes after that of the line
/// before.
fn up_to(log: &[u8], step: u64) -> Vec<&[u8]> {
    let (mut kept, mut last) = (Vec::new(), None);
    for line in log.split(|byte| *byte == b'\n') {
        let Some(found) = step_of(line).filter(|found| *found <= step && last.is_none_or(|last| *found > last)) else {
            continue;
        };
        last = Some(found);
        kept.push(line);
    }
    kept
}

fn step_of(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(line).ok()?.as_object()?.get("step")?.as_u64()
}

/// Whether damage changed the lines up to a checkpoint's step.
pub(crate) fn changes(log: &[u8], damaged: &[u8], step: u64) -> bool {
    up_to(log, step) != up_to(damaged, step)
}

/// What a log may be after a run is continued from the checkpoint of `step`: the lines up to it
/// that the damaged log still has, and the later ones of the uninterrupted run.
pub(crate) fn continued(name: &str, damaged: &[u8], whole: &[u8], step: u64) -> Vec<Vec<u8>> {
    let kept = up_to(damaged, step);
    let joined = |from: u64| {
        let later = up_to(whole, u64::MAX).into_iter().filter(|line| step_of(line).is_some_and(|step| step >= from));
        kept.iter().copied().chain(later).flat_map(|line| [line, b"\n"].concat()).collect()
    };
    let has_last = kept.last().and_then(|line| step_of(line)) == Some(step);
    let mut all = vec![joined(step + 1)];
    if name == MOMENTS && !has_last {
        all.push(joined(step));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const WHOLE: &[u8] = b"{\"step\":2,\"loss\":1.5}\n{\"step\":4,\"loss\":1.25}\n{\"step\":6,\"loss\":1.0}\n";

    fn applied(damage: Damage, place: u64) -> (String, bool) {
        let bytes = damage.apply(WHOLE, place);
        (String::from_utf8_lossy(&bytes).into_owned(), changes(WHOLE, &bytes, 4))
    }

    #[test]
    fn lines_up_to_the_checkpoint_are_changed_and_others_are_not() {
        assert_eq!(applied(Damage::Doubled, 0).0.matches("\"step\":2").count(), 2);
        assert_eq!(applied(Damage::Repeated, 0).0.lines().count(), 6);
        for (damage, place, changed) in [
            (Damage::Doubled, 0, false),
            (Damage::Repeated, 0, false),
            (Damage::Foreign, 1, false),
            (Damage::NotText, 2, false),
            (Damage::Cut, 3 * 5, false),
            (Damage::CutWithin, 1 + 3 * 9, true),
            (Damage::CutWithin, 2 + 3 * 9, false),
            // The line is whole without its end.
            (Damage::Cut, 3 * 20, false),
            (Damage::Shortened, 3 * 12, true),
            (Damage::Byte, 0, true),
            (Damage::Byte, 2, false),
            (Damage::Missing, 1, true),
            (Damage::Missing, 2, false),
            (Damage::Emptied, 0, true),
            // A digit of the first loss, and one of the last.
            (Damage::Bit, 3 * (8 * 17), true),
            (Damage::Bit, 2 + 3 * (8 * 17), false),
        ] {
            assert_eq!(applied(damage, place).1, changed, "{damage:?} {place}: {}", applied(damage, place).0);
            assert_ne!(applied(damage, place).0.as_bytes(), WHOLE);
        }
        assert!(Damage::ALL.iter().all(|damage| damage.apply(b"", 3).is_empty()));
        // Every bit of the log can be flipped, and every line cut at every place.
        let all = |damage: Damage| (0..3 * 8 * 30).map(|place| damage.apply(WHOLE, place)).collect::<BTreeSet<_>>();
        assert_eq!(all(Damage::Bit).len(), 8 * WHOLE.len());
        assert_eq!(all(Damage::CutWithin).len(), WHOLE.len() - 3);
    }

    #[test]
    fn a_continued_log_has_what_was_left_and_what_follows() {
        let lost = Damage::Missing.apply(WHOLE, 1);
        let text = |name| continued(name, &lost, WHOLE, 4).iter().map(|b| b.len()).collect::<Vec<_>>();
        assert_eq!(continued(LOG, &lost, WHOLE, 4), std::slice::from_ref(&lost));
        assert_eq!(text(MOMENTS), [lost.len(), WHOLE.len()]);
        let doubled = Damage::Repeated.apply(WHOLE, 1);
        assert_eq!(continued(LOG, &doubled, WHOLE, 4), [WHOLE]);
        // A line that is damaged after the checkpoint is written again.
        assert_eq!(continued(LOG, &Damage::Byte.apply(WHOLE, 2), WHOLE, 4), [WHOLE]);
        assert_eq!(continued(LOG, &Damage::Emptied.apply(WHOLE, 2), WHOLE, 6), [b""]);
    }
}
