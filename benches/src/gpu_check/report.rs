//! Lines of JSON, and whether all checks passed.

use fm_benches::Failure;
use fm_terminal::println;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// The checks of one part.
pub(crate) struct Report {
    part: String,
    failed: usize,
}

impl Report {
    pub(crate) fn new(part: String) -> Self {
        Self { part, failed: 0 }
    }

    /// Writes and flushes one line. `fields` is an object.
    pub(crate) fn line(&mut self, check: &str, ok: bool, fields: Value) {
        self.failed += usize::from(!ok);
        let mut line = Map::new();
        line.insert("part".into(), json!(self.part));
        line.insert("check".into(), json!(check));
        line.insert("ok".into(), json!(ok));
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        println!("{}", Value::Object(line));
        let _ = std::io::stdout().flush();
    }

    /// Checks that a number does not exceed a bound; NaN exceeds it.
    pub(crate) fn bounded(&mut self, check: &str, value: f64, bound: f64) {
        // JSON has no NaN.
        let shown = if value.is_finite() { json!(value) } else { json!(value.to_string()) };
        self.line(check, value <= bound, json!({"value": shown, "bound": bound}));
    }

    pub(crate) fn failure(&mut self, check: &str, reason: String) {
        self.line(check, false, json!({"error": reason.lines().next().unwrap_or_default()}));
    }

    /// Runs some checks; an error or panic (an exception of libtorch, say) fails only this check.
    pub(crate) fn attempt(&mut self, check: &str, work: impl FnOnce(&mut Self) -> Result<(), Failure>) {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failure(check, error.to_string()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                self.failure(check, text.unwrap_or_else(|| "a panic without a text".into()));
            }
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.failed > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_panics_and_errors_fail_their_check_only() {
        let mut report = Report::new("parity".into());
        report.bounded("good", 1.0, 1.0);
        assert_eq!(report.failed, 0);
        report.bounded("nan", f64::NAN, 1.0);
        report.attempt("panic", |_| panic!("libtorch threw"));
        report.attempt("error", |_| Err("no memory".into()));
        report.attempt("good", |report| {
            report.bounded("inner", 2.0, 1.0);
            Ok(())
        });
        assert_eq!(report.failed, 4);
    }
}
