//! The first line of a table: names or numbers.

use super::number::{has_commas, is_missing, is_number};
use super::options::{CsvOptions, Header};
use crate::error;
use ndarray::{ArrayView1, ArrayView2};
use std::collections::HashSet;

/// Rows below the first one that are compared with it.
const ROWS: usize = 1000;

/// Whether the first line names the columns, by the options and the first two lines.
pub(super) fn is_header(first: &[String], second: &[String], options: &CsvOptions) -> bool {
    match options.header {
        Header::Yes => return true,
        Header::No => return false,
        Header::Auto => {}
    }
    let asked: Vec<&String> = options.labels.iter().chain(&options.ignore).chain(&options.only).collect();
    if first.iter().any(|field| !is_number(field) && asked.contains(&field)) {
        return true;
    }
    if !first.iter().any(|field| is_number(field)) {
        return !first.iter().all(|field| is_missing(field)) && !first.iter().any(|field| has_commas(field));
    }
    // A number with a typing error is not a name: a name starts with a letter.
    let is_name = |field: &str| field.starts_with(char::is_alphabetic) && !is_missing(field);
    let skipped = |k: usize| asked.iter().any(|name| **name == (k + 1).to_string());
    let above_number = |k: usize| is_name(&first[k]) && second.get(k).is_some_and(|below| is_number(below));
    (0..first.len()).any(|k| !skipped(k) && above_number(k))
}

/// The names of a header: an empty one becomes the number of its column, and a repeated one gets a
/// number at its end. Returns the repeated names too.
pub(super) fn unique(header: &[String]) -> (Vec<String>, Vec<String>) {
    let given: HashSet<&String> = header.iter().collect();
    let (mut used, mut repeated): (HashSet<String>, _) = (HashSet::new(), Vec::new());
    let mut next = std::collections::HashMap::new();
    let mut names = Vec::with_capacity(header.len());
    for (k, name) in header.iter().enumerate() {
        let mut name = if name.is_empty() { (k + 1).to_string() } else { name.clone() };
        if used.contains(&name) {
            let count = next.entry(name.clone()).or_insert(1usize);
            if *count == 1 {
                repeated.push(name.clone());
            }
            name = loop {
                *count += 1;
                let numbered = format!("{name}.{count}");
                if !used.contains(&numbered) && !given.contains(&numbered) {
                    break numbered;
                }
            };
        }
        used.insert(name.clone());
        names.push(name);
    }
    (names, repeated)
}

/// Whether a column has the numbers of its rows, from 0 or 1.
pub(super) fn counts(column: ArrayView1<'_, f64>) -> bool {
    let from = column.first().copied().unwrap_or(-1.0);
    column.len() > 2 && [0.0, 1.0].contains(&from) && column.iter().zip(0..).all(|(x, k)| *x == from + f64::from(k))
}

/// A note if the first row of a table without header looks unlike the others: whole numbers above
/// fractions in every column, fractions above whole numbers, values far from all others in every
/// column, or a sequence of equal steps.
pub(super) fn unlike_note(values: ArrayView2<'_, f64>, plain: &[String]) -> Option<String> {
    let first: Vec<f64> = values.row(0).to_vec();
    let rest: Vec<_> = values.rows().into_iter().skip(1).take(ROWS).collect();
    let distinct: HashSet<u64> = first.iter().map(|v| v.to_bits()).collect();
    if rest.len() < 2 || distinct.len() < first.len() {
        return None;
    }
    let columns = || (0..first.len()).map(|k| (first[k], rest.iter().map(move |row| row[k])));
    let whole = |v: f64| v.fract() == 0.0;
    let names_above_fractions =
        columns().all(|(v, below)| whole(v) && 2 * below.filter(|b| !whole(*b)).count() >= rest.len());
    let fractions_above_whole = columns().all(|(v, mut below)| !whole(v) && below.all(whole));
    let far = columns().all(|(v, below)| {
        let (low, high) = below.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), b| (l.min(b), h.max(b)));
        let margin = 3.0 * (high - low).max(1.0);
        whole(v) && (v < low - margin || v > high + margin)
    });
    let steps = |row: &[f64]| row.len() > 2 && row.windows(2).all(|w| w[1] - w[0] == row[1] - row[0] && w[1] > w[0]);
    let sequence = first.iter().all(|v| whole(*v)) && steps(&first) && !rest.iter().any(|row| steps(&row.to_vec()));
    (names_above_fractions || fractions_above_whole || far || sequence).then(|| {
        format!(
            "the first line ({}) looks like a header of numbers but is read as a row; set header to yes or no to decide",
            error::some(plain)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn list(fields: &[&str]) -> Vec<String> {
        fields.iter().map(|field| (*field).to_owned()).collect()
    }

    #[test]
    fn headers_are_recognised() {
        let auto = CsvOptions::default();
        let is = |first: &[&str], second: &[&str]| is_header(&list(first), &list(second), &auto);
        assert!(is(&["a", "b"], &["1", "2"]) && is(&["a", "b"], &[]) && is(&["", "b"], &["1", "2"]));
        assert!(is(&["id", "2019", "2020"], &["1", "2", "3"]));
        for row in [&["1", "2"][..], &["1", "2x"], &["NA", "2"], &["NA", "nan"], &["", "2"], &["1", "oak"]] {
            assert!(!is(row, &["3", "4"][..row.len()]) || row == ["1", "oak"], "{row:?}");
        }
        assert!(!is(&["1", "oak"], &["2", "ash"]));
        let labels = CsvOptions { labels: Some("2".into()), ..CsvOptions::default() };
        assert!(!is_header(&list(&["1", "oak"]), &list(&["2", "7"]), &labels));
        let named = CsvOptions { labels: Some("kind".into()), ..CsvOptions::default() };
        assert!(is_header(&list(&["1", "kind"]), &list(&["2", "oak"]), &named));
        for (header, yes) in [(Header::Yes, true), (Header::No, false)] {
            let given = CsvOptions { header, ..CsvOptions::default() };
            assert!([["1", "2"], ["a", "b"]].iter().all(|first| is_header(&list(first), &[], &given) == yes));
        }
    }

    #[test]
    fn names_become_unique() {
        let (names, repeated) = unique(&list(&["a", "a", "a.2", "a", "", "b"]));
        assert_eq!((names, repeated), (list(&["a", "a.3", "a.2", "a.4", "5", "b"]), list(&["a"])));
    }

    #[test]
    fn a_first_row_unlike_the_rest_is_noted() {
        let note = |values: &Array2<f64>| unlike_note(values.view(), &list(&["x"])).is_some();
        assert!(note(&array![[2019.0, 2020.0], [1.0, 5.0], [3.0, 4.0]]));
        assert!(note(&array![[1.0, 2.0], [0.5, 1.5], [0.25, 2.5]]));
        assert!(note(&array![[0.5, 1.5], [10.0, 3.0], [7.0, 2.0]]));
        assert!(note(&array![[0.0, 1.0, 2.0], [5.0, 3.0, 9.0], [7.0, 2.0, 1.0]]));
        assert!(note(&array![[2019.0, 2020.0], [15000.0, 15100.0], [16500.0, 16600.0]]));
        assert!(!note(&array![[1.0, 2.0], [3.0, -0.4], [2.0, 5.0]]));
        assert!(!note(&array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]));
        assert!(!note(&array![[0.5, 1.5], [0.2, 3.5], [7.1, 2.0]]));
        assert!(!note(&array![[7.0], [8.0]]));
        assert!(!note(&array![[3.0, 3.0], [0.5, 0.5], [0.1, 0.1]]));
    }
}
