//! Classes that the command line names.
//!
//! ```
//! let names = ["cat", "dog"].map(String::from);
//! assert_eq!(fm_images::classes::number("dog", &names, 2)?, 1);
//! assert_eq!(fm_images::classes::number("0", &names, 2)?, 0);
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::bail;

/// Names that a message lists.
const LISTED: usize = 10;

/// The number of a class that is given by its name or its number, of `known` numbers: the null
/// class can have one too. A name goes first, because folders can be called 2 and 10.
///
/// # Errors
/// A text that is neither.
pub fn number(given: &str, names: &[String], known: usize) -> anyhow::Result<i64> {
    let given = given.trim();
    if let Some(class) = names.iter().position(|name| name == given) {
        return Ok(class as i64);
    }
    match given.parse::<usize>() {
        Ok(class) if class < known => Ok(class as i64),
        _ => bail!(
            "this model has no class '{given}'; give a name or a number from 0 to {} ({})",
            known.saturating_sub(1),
            listed(names)
        ),
    }
}

fn listed(names: &[String]) -> String {
    let more = if names.len() > LISTED { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(LISTED)].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_a_name_and_a_number() {
        let names = ["2", "10", "cat"].map(String::from);
        assert_eq!(["cat", " 2", "1", "3"].map(|given| number(given, &names, 4).unwrap()), [2, 0, 1, 3]);
        for wrong in ["4", "-1", "dog", "", "1.0"] {
            let error = number(wrong, &names, 4).unwrap_err().to_string();
            assert!(error.contains("from 0 to 3 (2, 10, cat)"), "{error}");
        }
    }
}
