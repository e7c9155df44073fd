//! Recognising the separator of columns from the first lines.

use super::number::{is_number, looks_like_number};
use super::options::Separator;

/// Lines that are looked at.
const LINES: usize = 20;

/// How well a separator explains the lines; larger is better.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Fit {
    /// Whether every line has the same number of columns, of two or more.
    consistent: bool,
    /// The share of fields below the first line that are numbers, of any notation.
    numbers: f64,
}

/// The separator of a text that starts with `head`; a comma if there is one column.
pub(super) fn recognise(head: &str) -> Separator {
    let lines: Vec<&str> = complete_lines(head).take(LINES).collect();
    let mut best = (Separator::Comma, Fit { consistent: false, numbers: -1.0 });
    // In the order of preference between equals: decimals may have commas.
    for separator in [Separator::Tab, Separator::Semicolon, Separator::Comma, Separator::Space] {
        let fit = fit(&lines, separator);
        if fit > best.1 {
            best = (separator, fit);
        }
    }
    best.0
}

/// Non-empty lines; the last one counts only if it is the only one or ends in the head.
fn complete_lines(head: &str) -> impl Iterator<Item = &str> {
    let whole = if head.ends_with('\x04') { Some(head.trim_end_matches('\x04')) } else { None };
    let head = whole.unwrap_or_else(|| head.rfind(['\n', '\r']).map_or(head, |end| &head[..end]));
    head.split(['\n', '\r']).filter(|line| !line.trim().is_empty())
}

fn fit(lines: &[&str], separator: Separator) -> Fit {
    let fields: Vec<Vec<&str>> = lines.iter().map(|line| split(line, separator)).collect();
    let width = fields.first().map_or(0, Vec::len);
    if width < 2 {
        return Fit { consistent: false, numbers: -1.0 };
    }
    let below = if fields.len() > 1 { &fields[1..] } else { &fields[..] };
    let (mut numbers, mut all) = (0usize, 0usize);
    for field in below.iter().flatten() {
        // Spaces separate only plain numbers: words have spaces too.
        let fits = if separator == Separator::Space { is_number(field) } else { looks_like_number(field) };
        (numbers, all) = (numbers + usize::from(fits), all + 1);
    }
    let consistent = fields.iter().all(|line| line.len() == width);
    if separator == Separator::Space && (numbers < all || !consistent) {
        return Fit { consistent: false, numbers: -1.0 };
    }
    Fit { consistent, numbers: numbers as f64 / all.max(1) as f64 }
}

/// The fields of a line, where a quoted field may hold separators.
fn split(line: &str, separator: Separator) -> Vec<&str> {
    let (byte, mut quoted, mut start, mut fields) = (separator.byte(), false, 0, Vec::new());
    for (at, c) in line.bytes().enumerate() {
        quoted ^= c == b'"';
        if c == byte && !quoted {
            fields.push(&line[start..at]);
            start = at + 1;
        }
    }
    fields.push(&line[start..]);
    if separator == Separator::Space {
        fields.retain(|field| !field.is_empty());
    }
    fields.iter().map(|field| field.trim().trim_matches('"')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_those_of_the_numbers() {
        for (text, separator) in [
            ("a,b\n1,2\n", Separator::Comma),
            ("a\tb\n1\t2\n", Separator::Tab),
            ("a;b\n1;2\n", Separator::Semicolon),
            ("a;b\n1,5;2,5\n", Separator::Semicolon),
            ("1,5;2,5\n1,5;2,7\n", Separator::Semicolon),
            ("1.5e0 2.5e0\n1 2\n", Separator::Space),
            ("  1.5   2.5\n -1.0  2.0\n", Separator::Space),
            ("1,2,x;y\n3,4,x;z\n", Separator::Comma),
            ("a,b\n\"1;2\",2\n\"1;3\",3\n", Separator::Comma),
            ("kind\told oak\n", Separator::Tab),
            ("old oak\nyoung oak\n", Separator::Comma),
            ("a,b c\n1,2\n", Separator::Comma),
            ("7\n8\n", Separator::Comma),
            ("", Separator::Comma),
        ] {
            assert_eq!(recognise(&format!("{text}\x04")), separator, "{text}");
        }
        // The last line may be cut.
        assert_eq!(recognise("1,2\n3,4\n5;6"), Separator::Comma);
    }
}
