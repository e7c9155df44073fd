//! Targets: bounds that were set before anything was measured, and the measured values.

use super::contest::cell;
use std::fmt::Write as _;

/// A suite's part of the document, and its targets.
pub(super) struct Report {
    pub(super) text: String,
    pub(super) targets: Vec<Target>,
}

/// A bound on the worst case of some numbers.
#[derive(Debug, Clone)]
pub(super) struct Target {
    what: String,
    bound: Bound,
    found: f64,
    /// Explanation that is printed if the target is missed.
    reason: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// A target whose smallest value must be at least `bound`.
    pub(super) fn at_least(bound: f64, what: impl Into<String>, found: impl IntoIterator<Item = f64>) -> Self {
        let found = worst(found, f64::min);
        Self { what: what.into(), bound: Bound::AtLeast(bound), found, reason: "" }
    }

    /// A target whose largest value must be at most `bound`.
    pub(super) fn at_most(bound: f64, what: impl Into<String>, found: impl IntoIterator<Item = f64>) -> Self {
        let found = worst(found, f64::max);
        Self { what: what.into(), bound: Bound::AtMost(bound), found, reason: "" }
    }

    /// Adds an explanation for a missed target.
    pub(super) fn or_because(self, reason: &'static str) -> Self {
        Self { reason, ..self }
    }

    fn met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.found >= bound,
            Bound::AtMost(bound) => self.found <= bound,
        }
    }

    fn row(&self) -> String {
        let bound = match self.bound {
            Bound::AtLeast(bound) => format!("at least {bound}"),
            Bound::AtMost(bound) => format!("at most {bound}"),
        };
        let met = match (self.met(), self.reason) {
            (true, _) => "yes".to_owned(),
            (false, "") => "**no**".to_owned(),
            (false, reason) => format!("**no**: {reason}"),
        };
        format!("| {} | {bound} | {} | {met} |", self.what, cell(self.found))
    }
}

/// The worst value; NaN, which meets no bound, if there are no values or one is NaN.
fn worst(found: impl IntoIterator<Item = f64>, of: fn(f64, f64) -> f64) -> f64 {
    let pick = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { of(a, b) };
    found.into_iter().reduce(pick).unwrap_or(f64::NAN)
}

impl Report {
    /// The part of the document, followed by its targets.
    pub(super) fn document(&self) -> String {
        let mut text = self.text.trim_end().to_owned() + "\n";
        if !self.targets.is_empty() {
            text.push_str("\n### Targets\n\nThe targets were set before any measurement; the worst of the medians counts.\n\n| what | \
                target | found | met |\n|---|---|---|---|\n");
            self.targets.iter().for_each(|target| {
                let _ = writeln!(text, "{}", target.row());
            });
        }
        text
    }

    /// The missed targets, one line each.
    pub(super) fn missed(&self) -> Vec<String> {
        self.targets.iter().filter(|t| !t.met()).map(Target::row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts_and_a_miss_gives_its_reason() {
        let fast = Target::at_least(3.0, "a over b", [5.0, 2.9, 4.0]).or_because("it waits");
        let small = Target::at_most(3.0, "share in %", [0.5, 2.9]);
        let nothing = Target::at_most(3.0, "of nothing", []);
        assert!(!Target::at_least(1.0, "of no number", [5.0, f64::NAN, 6.0]).met());
        assert_eq!(fast.row(), "| a over b | at least 3 | 2.90 | **no**: it waits |");
        assert_eq!(small.row(), "| share in % | at most 3 | 2.90 | yes |");
        let report = Report { text: "text\n\n".into(), targets: vec![fast, small, nothing] };
        assert_eq!(report.missed().len(), 2);
        assert!(report.document().starts_with("text\n\n### Targets\n\n") && report.document().ends_with("**no** |\n"));
    }
}
