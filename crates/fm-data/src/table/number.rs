//! Numbers of a table, and why a field is not one.

/// A finite number.
pub(super) fn parse(field: &str) -> Option<f64> {
    field.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Whether a field is a finite number.
pub(super) fn is_number(field: &str) -> bool {
    parse(field).is_some()
}

/// Whether a field is a number in any notation, with a decimal comma too.
pub(super) fn looks_like_number(field: &str) -> bool {
    is_number(field) || is_missing(field) || with_commas(field).is_some()
}

/// Whether a field stands for a value that is missing or not finite.
pub(super) fn is_missing(field: &str) -> bool {
    const WORDS: [&str; 15] =
        ["", "na", "n/a", "nan", "#n/a", "<na>", "null", "none", "nil", "-", "?", ".", "inf", "-inf", "infinity"];
    let lower = field.to_ascii_lowercase();
    WORDS.contains(&lower.as_str()) || field.parse().is_ok_and(|value: f64| !value.is_finite())
}

/// Whether a field is a number with a decimal comma or with commas between thousands.
pub(super) fn has_commas(field: &str) -> bool {
    with_commas(field).is_some()
}

/// The meaning of the commas in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commas {
    /// 1,5 or 1.234,5.
    Decimal,
    /// 1,234.5 or 1,234,567.
    Thousands,
}

fn with_commas(field: &str) -> Option<Commas> {
    if field.len() > 400 || !field.contains(',') {
        return None;
    }
    let thousands = || field.matches(',').count() > 1 || field.rfind('.') > field.rfind(',');
    if thousands() {
        return is_number(&field.replace(',', "")).then_some(Commas::Thousands);
    }
    is_number(&field.replace('.', "").replace(',', ".")).then_some(Commas::Decimal)
}

/// Why a field is not a finite number, and the remedy.
pub(super) fn trouble(field: &str) -> (String, &'static str) {
    let quoted = || format!("'{}'", crate::error::brief(field, 30));
    if field.is_empty() {
        return ("the field is empty".into(), "fill in or drop rows with missing values, or ignore the column");
    }
    if is_missing(field) {
        return (format!("{} is not a finite number", quoted()), "fill in or drop such rows");
    }
    match with_commas(field) {
        Some(Commas::Decimal) => {
            (format!("{} has a decimal comma", quoted()), "write decimals with a point, as in 1.5")
        }
        Some(Commas::Thousands) => {
            (format!("{} has commas between thousands", quoted()), "write numbers without them, as in 1234.5")
        }
        None => match mark_between(field) {
            Some(mark) => (
                format!("{} has '{mark}' between numbers", quoted()),
                "separate columns by commas, semicolons, tabs or spaces",
            ),
            None => (
                format!("{} is not a finite number", quoted()),
                "correct it; or name the column as the one of classes (labels), or ignore it",
            ),
        },
    }
}

/// The mark between several numbers; a time has colons, but no spaces.
fn mark_between(field: &str) -> Option<char> {
    let mark = if field.contains(':') && field.contains(' ') { ':' } else { '|' };
    let parts = || field.split(mark).flat_map(str::split_whitespace);
    (field.contains(mark) && parts().all(is_number)).then_some(mark)
}

/// Whether f64 rounds a whole number, such as a time stamp in nanoseconds.
pub(super) fn is_rounded(field: &str, value: f64) -> bool {
    let field = field.trim();
    let digits = field.trim_start_matches(['+', '-']);
    let whole = digits.len() > 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Longer ones than an i128 have no f64 either, with rare exceptions.
    whole && field.parse::<i128>() != Ok(value as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_without_an_f64_of_their_own_are_found() {
        for (field, rounded) in [
            ("9007199254740992", false),
            ("9007199254740993", true),
            ("-9007199254740993", true),
            ("+9007199254740994", false),
            ("9223372036854775808", false),
            ("18446744073709551615", true),
            ("1000000000000000000000000000000000000000000001", true),
            ("9007199254740993.5", false),
        ] {
            assert_eq!(is_rounded(&format!(" {field} "), field.parse().unwrap()), rounded, "{field}");
        }
    }

    #[test]
    fn fields_that_are_not_numbers_have_a_reason() {
        for (field, says) in [
            ("", "missing"),
            ("NA", "drop such rows"),
            ("-inf", "drop such rows"),
            ("1e999", "drop such rows"),
            ("1,5", "decimal comma"),
            ("-1.234,5e3", "decimal comma"),
            ("1,234.5", "between thousands"),
            ("1,234,567", "between thousands"),
            ("oak", "classes"),
            ("1,", "decimal comma"),
            ("0x10", "classes"),
            ("1_000", "classes"),
            ("1|2.5", "'|' between numbers"),
            ("1 1:0.5 2:0.7", "':' between numbers"),
            ("12:30", "classes"),
        ] {
            let (problem, remedy) = trouble(field);
            assert!(format!("{problem}; {remedy}").contains(says), "{field}: {problem}; {remedy}");
        }
        assert_eq!((parse("1e39"), parse("-.5"), parse("+7")), (Some(1e39), Some(-0.5), Some(7.0)));
    }
}
