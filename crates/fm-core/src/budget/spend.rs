//! Budgets and their errors.

use super::limits::Limits;
use std::io;

/// A file that costs more than its kind may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// A file that is too long to be read.
    #[error("it has {length} bytes, more than {most}; {remedy}")]
    Length {
        /// The length of the file in bytes.
        length: u64,
        /// The longest of its kind.
        most: u64,
        /// What to do.
        remedy: &'static str,
    },
    /// A file whose values take too much memory.
    #[error("it needs more memory than {kind} of its size may; {remedy}")]
    Bytes {
        /// What the file should be.
        kind: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A file that takes too much work.
    #[error("reading it takes more work than {kind} of its size needs; {remedy}")]
    Work {
        /// What the file should be.
        kind: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A file of too many parts.
    #[error("it has {count} {parts}, more than {most}; {remedy}")]
    Parts {
        /// The number of parts.
        count: u64,
        /// What they are.
        parts: &'static str,
        /// The most parts.
        most: u64,
        /// What to do.
        remedy: &'static str,
    },
}

impl OverBudget {
    /// The cause without the remedy, for messages that have their own.
    pub fn cause(&self) -> String {
        let text = self.to_string();
        text.split_once("; ").map_or_else(|| text.clone(), |(cause, _)| cause.to_owned())
    }
}

impl From<OverBudget> for io::Error {
    fn from(error: OverBudget) -> Self {
        Self::other(error)
    }
}

impl From<OverBudget> for String {
    fn from(error: OverBudget) -> Self {
        error.to_string()
    }
}

/// Memory and work that are left for one file.
#[derive(Debug, Clone)]
#[must_use]
pub struct Budget {
    limits: &'static Limits,
    bytes: u64,
    work: u64,
}

impl Budget {
    /// The budget of a file of `length` bytes.
    ///
    /// # Errors
    /// [`OverBudget::Length`] for a file that is longer than its kind may be.
    pub fn new(limits: &'static Limits, length: u64) -> Result<Self, OverBudget> {
        Self::admit(limits, length)?;
        Ok(Self { limits, bytes: limits.bytes.of(length), work: limits.work.of(length) })
    }

    /// Checks a length alone.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn admit(limits: &Limits, length: u64) -> Result<(), OverBudget> {
        let Limits { longest: most, remedy, .. } = *limits;
        if length > most { Err(OverBudget::Length { length, most, remedy }) } else { Ok(()) }
    }

    /// Memory that is left, in bytes.
    pub fn bytes_left(&self) -> u64 {
        self.bytes
    }

    /// Work that is left, in bytes.
    pub fn work_left(&self) -> u64 {
        self.work
    }

    /// Charges memory, in bytes, before it is allocated.
    ///
    /// # Errors
    /// [`OverBudget::Bytes`] if so much is not left; nothing is charged then.
    pub fn take_bytes(&mut self, bytes: impl TryInto<u64>) -> Result<(), OverBudget> {
        let left = self.bytes.checked_sub(bytes.try_into().unwrap_or(u64::MAX));
        self.bytes = left.ok_or_else(|| self.unpacks_too_far())?;
        Ok(())
    }

    /// Charges work, in bytes that are looked at.
    ///
    /// # Errors
    /// [`OverBudget::Work`] if so much is not left; nothing is charged then.
    pub fn spend_work(&mut self, bytes: impl TryInto<u64>) -> Result<(), OverBudget> {
        let left = self.work.checked_sub(bytes.try_into().unwrap_or(u64::MAX));
        self.work = left.ok_or_else(|| self.overworked())?;
        Ok(())
    }

    /// Checks a number of parts, which are not charged.
    ///
    /// # Errors
    /// [`OverBudget::Parts`] for more than the limit.
    pub fn count(&self, parts: impl TryInto<u64>) -> Result<(), OverBudget> {
        let count = parts.try_into().unwrap_or(u64::MAX);
        let Limits { parts: (most, parts), remedy, .. } = *self.limits;
        if count > most { Err(OverBudget::Parts { count, parts, most, remedy }) } else { Ok(()) }
    }

    pub(super) fn overworked(&self) -> OverBudget {
        OverBudget::Work { kind: self.limits.kind, remedy: self.limits.remedy }
    }

    pub(super) fn unpacks_too_far(&self) -> OverBudget {
        OverBudget::Bytes { kind: self.limits.kind, remedy: self.limits.remedy }
    }
}

/// A bound on the number of values of a JSON text: its commas, colons and brackets, also those in
/// strings. A text is counted before it is parsed, because a value takes about 100 bytes.
pub fn json_values(text: &[u8]) -> u64 {
    text.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::limits;

    #[test]
    fn a_budget_ends() {
        let mut budget = Budget::new(&limits::WEIGHTS, 1 << 20).unwrap();
        budget.take_bytes((2 << 20) + (40 << 20)).unwrap();
        assert!(budget.take_bytes(1).unwrap_err().to_string().contains("more memory than"));
        budget.spend_work((8 << 20) + (40 << 20)).unwrap();
        assert!(budget.spend_work(1).unwrap_err().to_string().contains("more work than weights of its size needs"));
        assert!(Budget::new(&limits::WEIGHTS, u64::MAX).unwrap().take_bytes(u64::MAX).is_ok());
        assert!(budget.take_bytes(u128::MAX).is_err(), "what is no u64 is too much");
    }

    #[test]
    fn errors_have_cause_and_remedy_in_few_words() {
        for limits in limits::ALL {
            let budget = Budget::new(limits, 0).unwrap();
            let parts = OverBudget::Parts { count: u64::MAX, parts: limits.parts.1, most: 1, remedy: limits.remedy };
            let length = OverBudget::Length { length: u64::MAX, most: limits.longest, remedy: limits.remedy };
            for error in [budget.overworked(), budget.unpacks_too_far(), parts, length] {
                let text = error.to_string();
                assert!(text.len() < 160 && text.matches("; ").count() == 1, "{text}");
                let names_kind = matches!(error, OverBudget::Work { .. } | OverBudget::Bytes { .. });
                assert!(text.contains(limits.kind) || !names_kind, "{text}");
                assert_eq!(format!("{}; {}", error.cause(), limits.remedy), text);
            }
        }
    }
}
