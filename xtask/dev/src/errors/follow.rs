//! Remedies that name a flag or a command, and the tests that follow them.

use super::scan::Text;

pub(super) fn check(_texts: &[Text], _tests: &[String]) -> Vec<String> {
    Vec::new()
}
