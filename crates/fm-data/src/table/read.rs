//! Reading a table from text, in two passes: the first counts rows and columns, the second parses.

use super::header::{counts, is_header, unique, unlike_note};
use super::number::{is_number, is_rounded, parse, trouble};
use super::options::{CsvOptions, Header, Separator};
use super::rows::Table;
use super::separator;
use super::text::{END, Text, TextError};
use crate::input::Opened;
use crate::{DataError, error, input};
use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use flate2::read::MultiGzDecoder;
use fm_core::budget::limits;
use ndarray::Array2;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Decoded bytes in which the separator is recognised.
const HEAD: u64 = 1 << 16;

/// Where the bytes of a table are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    File(&'a Path),
    /// An embedded table, by its name.
    Bytes(&'static str, &'static [u8]),
}

impl Origin<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Bytes(name, _) => Path::new(name),
        }
    }

    /// The bytes from the start, unpacked if they are gzip data.
    fn open(&self) -> Result<Box<dyn Read>, DataError> {
        const GZIP: &[u8] = b"\x1f\x8b";
        let path = match self {
            Self::File(path) => path,
            Self::Bytes(_, bytes) if bytes.starts_with(GZIP) => return Ok(Box::new(MultiGzDecoder::new(*bytes))),
            Self::Bytes(_, bytes) => return Ok(Box::new(*bytes)),
        };
        let Opened { mut file, budget, .. } = input::open(path, &limits::TABLE)?;
        let first = input::beginning(&mut file).map_err(|source| DataError::Io { path: (*path).into(), source })?;
        if first.starts_with(GZIP) {
            return Ok(Box::new(budget.unpacked(MultiGzDecoder::new(BufReader::new(file)))));
        }
        match input::known(&first) {
            Some((what, remedy)) => Err(malformed(path, format!("it is {what}"), remedy)),
            None => Ok(Box::new(budget.metered(file))),
        }
    }

    /// The error of reading: of the text, of the compression, or of the system.
    fn failed(&self, error: io::Error) -> DataError {
        let path = self.path();
        if let Some(TextError { problem, remedy }) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return malformed(path, problem.clone(), remedy);
        }
        if let Some(over) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return input::exceeded(path, *over);
        }
        match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                let problem = format!("its gzip data are damaged or incomplete ({error})");
                malformed(path, problem, "copy or compress it again")
            }
            _ => DataError::Io { path: path.into(), source: error },
        }
    }
}

/// The error for a file with invalid content.
fn malformed(path: &Path, problem: String, remedy: &str) -> DataError {
    DataError::Malformed { path: path.into(), problem, remedy: remedy.into() }
}

/// The rows of a text, from the first.
struct Rows<'a> {
    origin: &'a Origin<'a>,
    separator: Separator,
    reader: Reader<Text<Box<dyn Read>>>,
    record: StringRecord,
    /// The line of the record.
    line: u64,
    begins_with_comment: bool,
}

/// Whether a row begins as comments do.
fn is_comment(row: &StringRecord) -> bool {
    row.get(0).is_some_and(|field| field.starts_with(['#', '%']) || field.starts_with("//"))
}

impl<'a> Rows<'a> {
    fn open(origin: &'a Origin<'a>, options: &CsvOptions, separator: Separator) -> Result<Self, DataError> {
        let text = Text::new(origin.open()?, options.encoding, separator.byte());
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(separator.byte())
            .buffer_capacity(1 << 16)
            .from_reader(text);
        Ok(Self { origin, separator, reader, record: StringRecord::new(), line: 0, begins_with_comment: false })
    }

    /// The next row; `None` at the end.
    fn next(&mut self) -> Result<Option<&StringRecord>, DataError> {
        loop {
            self.reader.get_mut().begin_row();
            let more = self.reader.read_record(&mut self.record).map_err(|e| self.broken(e))?;
            self.line = self.record.position().map_or(0, csv::Position::line);
            let last = self.record.iter().next_back().unwrap_or_default();
            if more && self.record.len() == 1 && last.as_bytes() == END {
                return Ok(None);
            }
            if !more || last.as_bytes().ends_with(END) {
                let problem = format!("a quote opened in line {} or below is never closed", self.line);
                return Err(malformed(self.origin.path(), problem, "close or remove the quote character (\")"));
            }
            if self.separator == Separator::Space {
                self.record = self.record.iter().filter(|field| !field.is_empty()).collect();
                if self.record.is_empty() {
                    continue;
                }
            }
            return Ok(Some(&self.record));
        }
    }

    fn broken(&self, error: csv::Error) -> DataError {
        match error.into_kind() {
            csv::ErrorKind::Io(source) => self.origin.failed(source),
            other => malformed(self.origin.path(), format!("{other:?}"), "give rows of numbers separated by commas"),
        }
    }

    /// The next row, which has `width` columns.
    fn next_of(&mut self, width: usize) -> Result<Option<&StringRecord>, DataError> {
        let (path, separator) = (self.origin.path().to_owned(), self.separator);
        if self.next()?.is_none() {
            return Ok(None);
        }
        if self.record.len() != width {
            let problem = format!("line {} has {} columns, not {width}", self.line, self.record.len());
            let remedy = if is_comment(&self.record) || self.begins_with_comment && self.line < 4 {
                "remove the lines that are comments".into()
            } else {
                format!("give rows of equal length; columns are taken to be separated by {separator}")
            };
            return Err(malformed(&path, problem, &remedy));
        }
        Ok(Some(&self.record))
    }
}

/// The columns to read.
struct Plan {
    header: bool,
    /// The names of all columns.
    names: Vec<String>,
    /// The columns of numbers.
    wanted: Vec<usize>,
    class: Option<usize>,
}

impl Plan {
    fn of(
        first: &[String],
        second: &[String],
        options: &CsvOptions,
        path: &Path,
        notes: &mut Vec<String>,
    ) -> Result<Self, DataError> {
        let (header, width) = (is_header(first, second, options), first.len());
        let (names, repeated) =
            if header { unique(first) } else { ((1..=width).map(|k| k.to_string()).collect(), Vec::new()) };
        if !repeated.is_empty() {
            notes.push(format!(
                "the header repeats {}: the further columns are called {}.2 and so on",
                error::some(&repeated),
                error::brief(&repeated[0], 24)
            ));
        }
        let find = |name: &String| {
            if repeated.contains(name) {
                let problem = format!("several columns are called '{}'", error::brief(name, 40));
                return Err(malformed(path, problem, &format!("give the column as a number from 1 to {width}")));
            }
            let number = name.parse::<usize>().ok().filter(|k| (1..=width).contains(k)).map(|k| k - 1);
            names.iter().position(|n| n == name).or(number).ok_or_else(|| {
                let problem = format!("it has no column '{}'", error::brief(name, 40));
                malformed(path, problem, &format!("name one of {}, or a number from 1 to {width}", error::some(&names)))
            })
        };
        let class = options.labels.as_ref().map(find).transpose()?;
        let mut unwanted = vec![false; width];
        for name in &options.ignore {
            unwanted[find(name)?] = true;
        }
        let named = |k: usize| options.only.is_empty() || !header || options.only.contains(&names[k]);
        let wanted: Vec<usize> = (0..width).filter(|k| Some(*k) != class && !unwanted[*k] && named(*k)).collect();
        if wanted.is_empty() {
            let remedy = "give a table with a column besides classes and ignored ones";
            return Err(malformed(path, "no column of numbers is left".into(), remedy));
        }
        if header && options.header == Header::Auto && wanted.iter().any(|k| is_number(&first[*k])) {
            let which = error::some(first);
            notes.push(format!("the first line ({which}) is read as names; set header to no if it is a row"));
        }
        Ok(Self { header, names, wanted, class })
    }
}

/// Reads a table.
pub(super) fn read(origin: &Origin<'_>, options: &CsvOptions) -> Result<Table, DataError> {
    let path = origin.path();
    let separator = match options.separator {
        Some(separator) => separator,
        None => {
            let mut head = Vec::new();
            let text = Text::new(origin.open()?, options.encoding, b',');
            text.take(HEAD).read_to_end(&mut head).map_err(|e| origin.failed(e))?;
            separator::recognise(&String::from_utf8_lossy(&head))
        }
    };
    let mut notes = Vec::new();
    let mut rows = Rows::open(origin, options, separator)?;
    let fields = |row: Option<&StringRecord>| row.map(|row| row.iter().map(str::to_owned).collect::<Vec<_>>());
    let Some(first) = fields(rows.next()?) else {
        return Err(malformed(path, "it is empty".into(), "give rows of numbers"));
    };
    rows.begins_with_comment = is_comment(&rows.record);
    let width = first.len();
    let second = fields(rows.next_of(width)?);
    let plan = Plan::of(&first, second.as_deref().unwrap_or_default(), options, path, &mut notes)?;
    let mut count = usize::from(!plan.header) + usize::from(second.is_some());
    if second.is_some() {
        while rows.next_of(width)?.is_some() {
            count += 1;
        }
    }
    if count == 0 {
        return Err(malformed(path, "it has a header, but no rows".into(), "give rows of numbers below it"));
    }
    let mut table = parse_rows(origin, options, separator, &plan, count)?;
    notes.append(&mut table.notes);
    let numbers: Vec<String> = plan.wanted.iter().map(|k| first[*k].clone()).collect();
    if !plan.header && options.header == Header::Auto {
        notes.extend(unlike_note(table.values.view(), &numbers));
    }
    if plan.header && first[0].is_empty() && plan.wanted[0] == 0 && counts(table.values.column(0)) {
        notes.push("column 1 has no name and counts the rows, as pandas writes them; leave it out with ignore".into());
    }
    let nameless = table.classes.iter().position(String::is_empty);
    if let Some(k) = nameless {
        let rows = table.labels.iter().filter(|label| usize::from(**label) == k).count();
        notes.push(format!("{rows} rows have no class: they form a class whose name is empty"));
    }
    table.names = plan.wanted.iter().map(|column| plan.names[*column].clone()).collect();
    table.notes = notes.into_iter().map(|note| format!("{}: {note}", path.display())).collect();
    Ok(table)
}

/// The second pass: the values and classes of `count` rows.
fn parse_rows(
    origin: &Origin<'_>,
    options: &CsvOptions,
    separator: Separator,
    plan: &Plan,
    count: usize,
) -> Result<Table, DataError> {
    let (path, columns) = (origin.path(), plan.wanted.len());
    let mut values: Vec<f64> = input::room(path, count.saturating_mul(columns))?;
    let mut words: Vec<u16> = input::room(path, if plan.class.is_some() { count } else { 0 })?;
    let mut known: BTreeMap<String, u16> = BTreeMap::new();
    let mut rows = Rows::open(origin, options, separator)?;
    if plan.header {
        rows.next()?;
    }
    let mut rounded = vec![false; columns];
    for _ in 0..count {
        if rows.next_of(plan.names.len())?.is_none() {
            break;
        }
        let (line, row) = (rows.line, &rows.record);
        for (column, rounded) in plan.wanted.iter().zip(&mut rounded) {
            let field = row.get(*column).unwrap_or_default();
            let value = parse(field).ok_or_else(|| {
                let (problem, mut remedy) = trouble(field);
                if line == 1 && field.is_empty() {
                    remedy = "set header to yes if the line has names, or fill in the value";
                }
                let name = error::brief(&plan.names[*column], 24);
                malformed(path, format!("line {line}, column {} ({name}): {problem}", column + 1), remedy)
            })?;
            *rounded |= is_rounded(field, value);
            values.push(value);
        }
        if let Some(class) = plan.class.and_then(|column| row.get(column)) {
            let word = match known.get(class) {
                Some(word) => *word,
                None => {
                    let next = u16::try_from(known.len()).ok().filter(|next| *next < u16::MAX).ok_or_else(|| {
                        let problem = "its column of classes has more than 65,535 of them".to_owned();
                        malformed(path, problem, "name a column that holds classes")
                    })?;
                    known.insert(class.to_owned(), next);
                    next
                }
            };
            words.push(word);
        }
    }
    // In alphabetical order, independent of the order of the rows.
    let mut place = vec![0u16; known.len()];
    known.values().zip(0..).for_each(|(first, sorted)| place[usize::from(*first)] = sorted);
    words.iter_mut().for_each(|word| *word = place[usize::from(*word)]);
    let values = Array2::from_shape_vec((count, columns), values)
        .map_err(|_| malformed(path, "it changed while it was read".into(), "read it again"))?;
    let label = plan.class.filter(|_| plan.header).map(|column| plan.names[column].clone()).unwrap_or_default();
    let rounded: Vec<&String> =
        plan.wanted.iter().zip(rounded).filter(|(_, rounded)| *rounded).map(|(k, _)| &plan.names[*k]).collect();
    let notes = if rounded.is_empty() {
        Vec::new()
    } else {
        let names = error::some(&rounded);
        vec![format!("column {names}: whole numbers above 2^53 are rounded to 53 bits; subtract an offset before")]
    };
    Ok(Table { values, labels: words, classes: known.into_keys().collect(), label, notes, ..Table::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &'static [u8], options: &CsvOptions) -> Result<Table, DataError> {
        read(&Origin::Bytes("t.csv", text), options)
    }

    #[test]
    fn numbers_are_read_with_a_header_or_without() {
        let plain = CsvOptions::default();
        let with = read_text(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3, 4.5\r\n", &plain).unwrap();
        assert_eq!((with.names, with.values), (vec!["a".into(), "b".into()], ndarray::array![[1.0, 2.0], [3.0, 4.5]]));
        let without = read_text(b"1,2\n3,-4e-1", &plain).unwrap();
        assert_eq!(
            (without.names, without.values),
            (vec!["1".into(), "2".into()], ndarray::array![[1.0, 2.0], [3.0, -0.4]])
        );
        let one = read_text(b"7", &CsvOptions::default()).unwrap();
        assert_eq!(one.values, ndarray::array![[7.0]]);
        let stamps = read_text(b"t,x\n1700000000000000001,1\n1700000000000000000,2\n", &plain).unwrap();
        assert!(stamps.notes[0].contains("column t: whole numbers above 2^53"), "{:?}", stamps.notes);
        let index = read_text(b",x\n0,5\n1,6\n2,9\n", &plain).unwrap();
        assert!(index.notes[0].contains("column 1 has no name and counts the rows"), "{:?}", index.notes);
        let left = CsvOptions { ignore: vec!["1".into()], ..CsvOptions::default() };
        assert_eq!(read_text(b",x\n0,5\n1,6\n2,9\n", &left).unwrap().notes, Vec::<String>::new());
        assert_eq!(read_text(b",x\n0,5\n1,6\n3,9\n", &plain).unwrap().notes, Vec::<String>::new());
        let only = CsvOptions { only: vec!["y".into(), "z".into()], ..CsvOptions::default() };
        let some = read_text(b"id,x,y\na,1,2\nb,3,4\n", &only).unwrap();
        assert_eq!((some.names, some.values), (vec!["y".to_owned()], ndarray::array![[2.0], [4.0]]));
        let numbered = CsvOptions { labels: Some("2".into()), ..CsvOptions::default() };
        let classed = read_text(b"1,x\n2,y\n3,x\n", &numbered).unwrap();
        assert_eq!((classed.labels, classed.classes), (vec![0, 1, 0], vec!["x".into(), "y".into()]));
    }

    #[test]
    fn trouble_is_told_with_its_place() {
        let named = |name: &str| CsvOptions { labels: Some(name.into()), ..CsvOptions::default() };
        for (text, options, place) in [
            ("1,2\n3\n", CsvOptions::default(), "line 2 has 1 columns, not 2"),
            ("1,2\n3,4,5\n", CsvOptions::default(), "line 2 has 3 columns, not 2; give rows of equal length"),
            ("# made by x\na,b\n1,2\n", CsvOptions::default(), "remove the lines that are comments"),
            ("a,b\n1,2\n% half\n3,4\n", CsvOptions::default(), "remove the lines that are comments"),
            ("a|b\n1|2\n3|4\n", CsvOptions::default(), "'1|2' has '|' between numbers; separate columns by"),
            ("1 1:0.5 2:0.7\n0 1:0.2 2:0.1\n", CsvOptions::default(), "has ':' between numbers"),
            ("a,b\n1,2\n3,x\n", CsvOptions::default(), "line 3, column 2 (b): 'x' is not"),
            ("a,b\n1,\n", CsvOptions::default(), "line 2, column 2 (b): the field is empty"),
            (",0,1\n0,5,6\n", CsvOptions::default(), "set header to yes if the line has names"),
            ("1\nNaN\n", CsvOptions::default(), "line 2, column 1 (1): 'NaN'"),
            ("1\ninf\n", CsvOptions::default(), "line 2, column 1"),
            ("a,b\n", CsvOptions::default(), "a header, but no rows"),
            ("", CsvOptions::default(), "it is empty"),
            ("a,b\n1,2\n", named("c"), "no column 'c'; name one of a, b, or a number from 1 to 2"),
            ("a\nx\n", named("a"), "no column of numbers is left"),
        ] {
            let message = read_text(text.as_bytes(), &options).unwrap_err().to_string();
            assert!(message.contains(place) && message.contains("t.csv"), "{message}");
        }
    }
}
