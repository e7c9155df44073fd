//! What was found, as a table and a list.

use crate::strikes::KINDS;
use std::fmt;

/// Failures that are listed.
const LISTED: usize = 100;

/// Counts of strikes, and failures.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) configurations: usize,
    pub(crate) refused: usize,
    strikes: [usize; KINDS.len()],
    failed: [usize; KINDS.len()],
    failures: Vec<Failure>,
}

/// Something that went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The strike, in words.
    pub(crate) strike: String,
    /// What was wrong afterwards.
    pub(crate) problem: String,
    /// The command that was struck.
    pub(crate) command: String,
    /// The command that repeats it.
    pub(crate) again: String,
}

impl Report {
    /// Adds a strike.
    pub(crate) fn add(&mut self, kind: usize, failure: Option<Failure>) {
        self.strikes[kind] += 1;
        if let Some(failure) = failure {
            self.failed[kind] += 1;
            self.failures.push(failure);
        }
    }

    /// Adds a failure without a strike.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failures.push(failure);
    }

    pub(crate) fn strikes(&self) -> usize {
        self.strikes.iter().sum()
    }

    pub(crate) fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "FAILED    {}", self.strike)?;
        writeln!(f, "          {}", self.problem)?;
        writeln!(f, "  of      {}", self.command)?;
        write!(f, "  again   {}", self.again)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in self.failures.iter().take(LISTED) {
            writeln!(f, "{failure}")?;
        }
        if self.failures.len() > LISTED {
            writeln!(f, "and {} more failures", self.failures.len() - LISTED)?;
        }
        writeln!(f, "\n{:<24} {:>8} {:>8}", "strike", "made", "failed")?;
        for (name, (made, failed)) in KINDS.iter().zip(self.strikes.iter().zip(&self.failed)) {
            writeln!(f, "{name:<24} {made:>8} {failed:>8}")?;
        }
        writeln!(f, "{:<24} {:>8} {:>8}", "all", self.strikes(), self.failures.len())?;
        let Self { configurations, refused, .. } = self;
        write!(f, "over {configurations} configurations; {refused} further draws were refused by the programs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_counts_and_the_list_names_the_command_that_repeats_a_failure() {
        let mut report = Report { configurations: 3, ..Report::default() };
        report.add(1, None);
        let failure = Failure {
            strike: "kill".into(),
            problem: "log differs".into(),
            command: "train".into(),
            again: "cargo xtask torture --seed 4 --only 2.7".into(),
        };
        report.add(1, Some(failure));
        let text = report.to_string();
        assert!(text.contains("--only 2.7") && text.contains("log differs"), "{text}");
        let counted = |line: &str| line.split_whitespace().rev().take(2).collect::<Vec<_>>().join(" ");
        let lines: Vec<&str> = text.lines().collect();
        let row = |name: &str| lines.iter().find(|line| line.starts_with(name)).map(|line| counted(line));
        assert_eq!((row("kill at a call"), row("all ")), (Some("1 2".into()), Some("1 2".into())));
    }
}
