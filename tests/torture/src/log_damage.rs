//! Damage to the log of a run: lines that are cut, doubled, of somebody else, or not text.

use serde_json::Value;

/// The log.
pub(crate) const LOG: &str = "metrics.jsonl";

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
    /// A byte within a line is not UTF-8, so the line is lost.
    Byte,
    /// A line is missing.
    Missing,
    /// There is no line left.
    Emptied,
}

impl Damage {
    pub(crate) const ALL: [Self; 8] = [
        Self::Doubled,
        Self::Repeated,
        Self::Foreign,
        Self::NotText,
        Self::Cut,
        Self::Byte,
        Self::Missing,
        Self::Emptied,
    ];

    /// The damaged log, and whether a line up to a checkpoint's step is lost. `place` is any
    /// number.
    pub(crate) fn apply(self, log: &[u8], step: u64, place: u64) -> (Vec<u8>, bool) {
        let mut lines: Vec<Vec<u8>> = log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return (Vec::new(), false);
        }
        let at = place as usize % lines.len();
        let kept = |line: &[u8]| step_of(line).is_some_and(|found| found <= step);
        let mut lost = false;
        match self {
            Self::Doubled => lines.insert(at + 1, lines[at].clone()),
            Self::Repeated => lines.extend(lines.clone()),
            Self::Foreign => lines.insert(at, b"{\"epoch\": 3, \"accuracy\": 0.7}\n".to_vec()),
            Self::NotText => lines.insert(at, b"{\"step\": \xff\xfe}\n".to_vec()),
            Self::Cut => {
                let last = lines.len() - 1;
                lost = kept(&lines[last]);
                let length = lines[last].len();
                lines[last].truncate(1 + place as usize % (length - 1).max(1));
            }
            Self::Byte => {
                lost = kept(&lines[at]);
                let middle = lines[at].len() / 2;
                lines[at][middle] = 0xff;
            }
            Self::Missing => lost = kept(&lines.remove(at)),
            Self::Emptied => {
                lost = lines.iter().any(|line| kept(line));
                lines.clear();
            }
        }
        (lines.concat(), lost)
    }
}

fn step_of(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(line).ok()?["step"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"{\"step\":2,\"loss\":1.5}\n{\"step\":4,\"loss\":1.25}\n{\"step\":6,\"loss\":1.0}\n";

    fn applied(damage: Damage, place: u64) -> (String, bool) {
        let (bytes, lost) = damage.apply(LOG, 4, place);
        (String::from_utf8_lossy(&bytes).into_owned(), lost)
    }

    #[test]
    fn lines_up_to_the_checkpoint_are_lost_and_others_are_not() {
        assert_eq!(applied(Damage::Doubled, 0).0.matches("\"step\":2").count(), 2);
        assert_eq!(applied(Damage::Repeated, 0).0.lines().count(), 6);
        for (damage, place, lost) in [
            (Damage::Foreign, 1, false),
            (Damage::NotText, 2, false),
            (Damage::Cut, 5, false),
            (Damage::Byte, 0, true),
            (Damage::Byte, 2, false),
            (Damage::Missing, 1, true),
            (Damage::Missing, 2, false),
            (Damage::Emptied, 0, true),
        ] {
            assert_eq!(applied(damage, place).1, lost, "{damage:?} {place}");
            assert_ne!(applied(damage, place).0.as_bytes(), LOG);
        }
        assert!(Damage::ALL.iter().all(|damage| damage.apply(b"", 4, 3) == (Vec::new(), false)));
        assert!(applied(Damage::Cut, 5).0.ends_with("{\"step"));
    }
}
