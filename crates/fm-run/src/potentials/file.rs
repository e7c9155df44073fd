//! `potentials.txt`: a comment with two hashes, and a line per data row, in the order of the data
//! rows, mirrored rows last; `numpy.loadtxt` reads it.
//!
//! The first hash covers everything that the potentials depend on: the data, the source, the cost,
//! the seed and the options of the fit. The second covers the lines. A line is a potential. In an
//! unfinished fit, the comment also has the number of batches done and the unit of the learning
//! rate, and a line has the average of the potential, the potential, and Adam's two moments.
//!
//! ```
//! use fm_run::potentials::{Stored, read, written};
//! let text = written("key", &Stored::Fitted(vec![0.5, -12.5]));
//! assert!(text.starts_with("# key ") && text.ends_with("\n5e-1\n-1.25e1\n"));
//! assert_eq!(read(text.as_bytes()).unwrap(), ("key".into(), Stored::Fitted(vec![0.5, -12.5])));
//! assert!(read(text.replace('5', "6").as_bytes()).is_err());
//! ```

use fm_ot::semidiscrete::{FitRow, FittingState};
use fm_terminal::eprintln;
use fm_train::files::{read_known, sha256};
use std::path::Path;

/// The file of a run.
pub const POTENTIALS: &str = "potentials.txt";
/// The most bytes per line of the file.
const LINE: u64 = 128;

/// The content of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// The potentials.
    Fitted(Vec<f64>),
    /// An unfinished fit.
    Unfinished(FittingState),
}

impl Stored {
    /// The number of data rows.
    fn rows(&self) -> usize {
        match self {
            Stored::Fitted(potentials) => potentials.len(),
            Stored::Unfinished(state) => state.rows.len(),
        }
    }
}

/// The text of potentials or of an unfinished fit.
pub fn written(key: &str, stored: &Stored) -> String {
    let (more, lines): (String, String) = match stored {
        Stored::Fitted(potentials) => (String::new(), potentials.iter().map(|g| format!("{g:e}\n")).collect()),
        Stored::Unfinished(FittingState { batches_done, unit, rows }) => {
            let line = |FitRow { average, potential, moments: [first, second] }: &FitRow| {
                format!("{average:e} {potential:e} {first:e} {second:e}\n")
            };
            let unit = unit.map_or("none".into(), |unit| format!("{unit:e}"));
            (format!(" {batches_done} {unit}"), rows.iter().map(line).collect())
        }
    };
    format!("# {key} {}{more}\n{lines}", hash(&more, &lines))
}

fn hash(more: &str, lines: &str) -> String {
    sha256(format!("{lines}{more}").as_bytes())
}

/// The content of a text, and the hash of what it depends on.
///
/// # Errors
/// What is wrong with the text, in few words.
pub fn read(bytes: &[u8]) -> Result<(String, Stored), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
    let (head, lines) = text.split_once('\n').ok_or("it has no lines")?;
    let hashes = head.strip_prefix("# ").and_then(|hashes| hashes.split_once(' '));
    let (key, rest) = hashes.ok_or("its first line has no hashes")?;
    let (hashed, more) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
    if hash(more, lines) != hashed {
        return Err("its lines are not those of its hash".into());
    }
    let number = |text: &str| text.parse().ok().filter(|g: &f64| g.is_finite()).ok_or("a value is not a finite number");
    let stored = match more.trim_start().split_once(' ') {
        None => Stored::Fitted(lines.lines().map(number).collect::<Result<_, _>>()?),
        Some((done, unit)) => {
            let row = |line: &str| {
                let values = line.split(' ').map(number).collect::<Result<Vec<_>, _>>()?;
                let [average, potential, first, second] = values[..] else { return Err("a line has not four values") };
                Ok(FitRow { average, potential, moments: [first, second] })
            };
            Stored::Unfinished(FittingState {
                batches_done: done.parse().map_err(|_| "its number of batches is not a number")?,
                unit: if unit == "none" { None } else { Some(number(unit)?) },
                rows: lines.lines().map(row).collect::<Result<_, _>>()?,
            })
        }
    };
    Ok((key.to_owned(), stored))
}

/// What a run has stored, if it is of this fit. Only a resumed run must have the file.
pub(super) fn stored(run: &Path, resume: bool, key: &str, rows: usize) -> Option<Stored> {
    let path = run.join(POTENTIALS);
    if !resume && !path.exists() {
        return None;
    }
    let bytes = read_known(&path, LINE * (rows as u64 + 8)).map_err(|error| error.to_string());
    let problem = match bytes.and_then(|bytes| read(&bytes)) {
        Ok((of, stored)) if of == key && stored.rows() == rows => return Some(stored),
        Ok(_) => "it is of another fit".to_owned(),
        Err(problem) => problem,
    };
    eprintln!("warning: {} cannot be used: {problem}; fitting the potentials again", path.display());
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn potentials_are_read_as_written_and_damage_is_found() {
        let values = Stored::Fitted(vec![0.1, -1e-300, 12345.678901234567, 0.0, f64::MAX]);
        let text = written("key", &values);
        assert_eq!(read(text.as_bytes()), Ok(("key".into(), values)));
        for damaged in [text.replace("1e-1\n", "2e-1\n"), text.replace('#', ""), text.trim_end().into(), String::new()]
        {
            assert!(read(damaged.as_bytes()).is_err(), "{damaged}");
        }
        let not_finite = format!("# key {}\nNaN\n", sha256(b"NaN\n"));
        assert_eq!(read(not_finite.as_bytes()).unwrap_err(), "a value is not a finite number");
        assert!(read(b"# \xff").is_err());
    }

    #[test]
    fn unfinished_fits_are_read_as_written_and_damage_is_found() {
        let row = |k: f64| FitRow { average: 0.1 * k, potential: -1e-300, moments: [k / 3.0, f64::MAX] };
        for unit in [None, Some(1.0 / 3.0)] {
            let state = FittingState { batches_done: 17, unit, rows: vec![row(1.0), row(7.0)] };
            let text = written("key", &Stored::Unfinished(state.clone()));
            assert_eq!(read(text.as_bytes()), Ok(("key".into(), Stored::Unfinished(state))));
            for damaged in [text.replace(" 17 ", " 18 "), text.replace("1e-300", "1e-30")] {
                assert_eq!(read(damaged.as_bytes()).unwrap_err(), "its lines are not those of its hash");
            }
        }
        let of = |more: &str, lines: &str| read(format!("# key {}{more}\n{lines}", hash(more, lines)).as_bytes());
        assert_eq!(of(" 1 none", "1 2 3\n").unwrap_err(), "a line has not four values");
        assert_eq!(of(" x none", "").unwrap_err(), "its number of batches is not a number");
    }

    #[test]
    fn a_file_of_another_fit_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let fitted = Stored::Fitted(vec![1.5, 2.5]);
        std::fs::write(dir.path().join(POTENTIALS), written("key", &fitted)).unwrap();
        assert_eq!(stored(dir.path(), false, "key", 2), Some(fitted));
        assert_eq!(stored(dir.path(), false, "key", 3), None);
        assert_eq!(stored(dir.path(), false, "other", 2), None);
        assert_eq!(stored(&dir.path().join("missing"), true, "key", 2), None);
    }
}
