//! Tables as users bring them: read, or refused with a remedy.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_data::table::{CsvOptions, Header, csv};
use fm_data::{Columns, DataError, Preprocess, Table, TableSource};
use ndarray::{Array2, array};
use std::io::Write;
use std::path::Path;

fn read_named(name: &str, bytes: &[u8], options: &CsvOptions) -> Result<Table, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let source: TableSource = path.to_str().unwrap().parse()?;
    source.open(options, 0, 0)
}

fn read_with(bytes: impl AsRef<[u8]>, options: &CsvOptions) -> Result<Table, DataError> {
    read_named("t.csv", bytes.as_ref(), options)
}

fn read(bytes: impl AsRef<[u8]>) -> Result<Table, DataError> {
    read_with(bytes, &CsvOptions::default())
}

/// The error of a call: one line of at most 300 characters, with all of `says`.
fn refused<T>(found: Result<T, DataError>, says: &[&str]) {
    let Err(error) = found else { panic!("not refused: {says:?}") };
    let text = error.to_string();
    assert!(says.iter().all(|says| text.contains(says)), "{text} without {says:?}");
    assert!(text.chars().count() <= 300 && !text.contains('\n') && !text.ends_with("..."), "{text}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect()
}

fn labelled(name: &str) -> CsvOptions {
    CsvOptions { labels: Some(name.into()), ..CsvOptions::default() }
}

#[test]
fn separators_endings_and_compression_are_recognised() {
    let want = array![[0.1257, 2.0], [3.0, -4.0], [5.0, 6.0]];
    let text = "a,b\n0.1257,2\n3,-4\n5,6\n";
    for (name, separator) in [
        ("t.csv", ","),
        ("T.CSV", ","),
        ("t.tsv", "\t"),
        ("t.csv", "\t"),
        ("t.csv", ";"),
        ("t.TXT", " "),
        ("t.tab", "\t"),
        ("t.txt", ","),
    ] {
        let text = text.replace(',', separator);
        for text in [text.clone(), text.replace('\n', "\r\n"), text.replace('\n', "\r")] {
            let plain = read_named(name, text.as_bytes(), &CsvOptions::default()).unwrap();
            assert_eq!((plain.names, plain.values), (vec!["a".into(), "b".into()], want.clone()), "{text:?}");
            for name in [name.to_owned(), format!("{name}.gz"), format!("{name}.GZ")] {
                assert_eq!(read_named(&name, &gzip(text.as_bytes()), &CsvOptions::default()).unwrap().values, want);
            }
        }
    }
    let given = CsvOptions { separator: Some(";".parse().unwrap()), ..CsvOptions::default() };
    refused(read_with(text, &given), &["line 2", "0.1257,2"]);
    // Two members, as parallel compressors write.
    let both = [gzip(b"a,b\n0.1257,2\n3,-4\n"), gzip(b"5,6\n")].concat();
    assert_eq!(read(both).unwrap().values, want);
    let packed = gzip(text.repeat(99).as_bytes());
    refused(read(&packed[..packed.len() - 9]), &["gzip data are damaged or incomplete"]);
}

#[test]
fn encodings_are_recognised_given_or_refused() {
    let text = "å,kind\n1,été\n2,œuf\n";
    for bytes in [
        text.as_bytes().to_vec(),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        utf16(text, u16::to_le_bytes),
        utf16(text, u16::to_be_bytes),
    ] {
        let table = read_with(bytes, &labelled("kind")).unwrap();
        assert_eq!((table.names, table.classes), (vec!["å".into()], vec!["été".to_owned(), "œuf".into()]));
    }
    // Two class names that differ in one byte, in three encodings.
    for (encoding, bytes) in [
        ("latin1", &b"x,kind\n1,\xe9t\xe9\n2,\xe8t\xe9\n"[..]),
        ("shift_jis", b"x,kind\n1,\x82\xa0\n2,\x82\xa2\n"),
        ("koi8-r", b"x,kind\n1,\xc1\n2,\xc2\n"),
    ] {
        refused(read_with(bytes, &labelled("kind")), &["line 2 is not UTF-8", "latin1"]);
        let options = CsvOptions { encoding: Some(encoding.parse().unwrap()), ..labelled("kind") };
        assert_eq!(read_with(bytes, &options).unwrap().classes.len(), 2, "{encoding}");
    }
    refused(read(b"x,y\n1,2\n3,4\n5,6\xff\n"), &["line 4 is not UTF-8"]);
    refused(read(&utf16("1,2\n3,4\n", u16::to_le_bytes)[2..]), &["control character 0x00", "utf-16le"]);
    let options = CsvOptions { encoding: Some("utf-16le".parse().unwrap()), ..CsvOptions::default() };
    assert_eq!(read_with(&utf16("1,2\n3,4\n", u16::to_le_bytes)[2..], &options).unwrap().values.nrows(), 2);
}

#[test]
fn numbers_in_other_notations_are_told_apart() {
    refused(read("a;b\n1,5;2,5\n"), &["line 2, column 1 (a)", "decimal comma", "1.5"]);
    refused(read("a\tb\n1,5\t2,5\n"), &["decimal comma"]);
    refused(read("\"1,5\",\"2,5\"\n"), &["decimal comma"]);
    refused(read("a;b\n1.234,5;2\n"), &["decimal comma"]);
    refused(read("a;b\n1,234.5;2\n"), &["commas between thousands"]);
    refused(read("a,b\n1,NA\n"), &["'NA'", "drop such rows"]);
    refused(read("a,b\n1,\n"), &["the field is empty", "missing"]);
    refused(read("a,b\n1,-inf\n"), &["'-inf' is not a finite number"]);
    refused(read("a,b\n1,oak\n"), &["'oak'", "(labels)"]);
}

#[test]
fn headers_are_recognised_or_declared() {
    let text = "2019,2020\n1,5\n3,4\n";
    let auto = read(text).unwrap();
    assert_eq!((auto.values.nrows(), auto.notes.len()), (3, 1));
    assert!(
        auto.notes[0].contains("2019, 2020") && auto.notes[0].contains("set header to yes or no"),
        "{:?}",
        auto.notes
    );
    let with = |header| CsvOptions { header, ..CsvOptions::default() };
    let yes = read_with(text, &with(Header::Yes)).unwrap();
    assert_eq!((yes.names, yes.values), (vec!["2019".into(), "2020".into()], array![[1.0, 5.0], [3.0, 4.0]]));
    let no = read_with(text, &with(Header::No)).unwrap();
    assert_eq!((no.values.nrows(), no.notes.len()), (3, 0));
    for noted in ["1,2\n0.5,1.5\n0.25,2.5\n", "0,1,2\n5,3,9\n7,2,1\n", "0.5,1.5\n10,3\n7,2\n"] {
        assert!(read(noted).unwrap().notes[0].contains("looks like a header"), "{noted}");
    }
    for plain in ["1,2\n3,4\n5,6\n", "0.5,1\n0.25,2\n0.125,3\n"] {
        assert!(read(plain).unwrap().notes.is_empty(), "{plain}");
    }
    let mixed = read("id,2019,2020\n1,5,3\n").unwrap();
    assert!(mixed.names == ["id", "2019", "2020"] && mixed.notes[0].contains("set header to no"), "{:?}", mixed.notes);
    refused(read_with("a,b\n1,2\n", &with(Header::No)), &["line 1, column 1", "'a'"]);
}

#[test]
fn repeated_names_are_numbered_and_noted() {
    let table = read("a,b,a\n1,2,3\n").unwrap();
    assert_eq!(table.names, ["a", "b", "a.2"]);
    assert!(table.notes[0].contains("repeats a"), "{:?}", table.notes);
    refused(read_with("a,b,a\n1,2,3\n", &labelled("a")), &["several columns are called 'a'", "1 to 3"]);
    assert_eq!(read_with("a,b,a\n1,2,3\n", &labelled("3")).unwrap().names, ["a", "b"]);
    let many: Vec<String> = (0..5000).map(|k| format!("g{k}")).collect();
    let wide = read(format!("{}\n{}\n", many.join(","), "1,".repeat(4999) + "2")).unwrap();
    assert_eq!((wide.names.len(), wide.values[[0, 4999]]), (5000, 2.0));
    assert_eq!(read("a,a\n1,2\n").unwrap().names, ["a", "a.2"]);
}

#[test]
fn columns_with_a_large_offset_keep_their_differences() {
    for offset in [1_700_000_000i64, 1_700_000_000_000, -3_000_000_000] {
        let text: String = (0..500).map(|i| format!("{},{}\n", offset + i, i % 7)).collect();
        let table = read(text).unwrap();
        let columns = Columns::of(&table, Preprocess::Standardize).unwrap();
        let scaled = columns.apply_table(&table).unwrap();
        let restored = columns.restore(scaled.values.as_slice().unwrap());
        let found: Vec<i64> = restored.iter().step_by(2).map(|x| x.round() as i64 - offset).collect();
        assert_eq!(found, (0..500).collect::<Vec<i64>>(), "{offset}");
    }
}

#[test]
fn columns_are_matched_by_name() {
    let (abc, cab) = (read("a,b,c\n1,2,3\n4,5,6\n").unwrap(), read("c,a,b\n3,1,2\n6,4,5\n").unwrap());
    assert_eq!(cab.in_order(&abc.names).unwrap().values, abc.values);
    let columns = Columns::of(&abc, Preprocess::Standardize).unwrap();
    assert_eq!(columns.apply_table(&cab).unwrap().values, columns.apply_table(&abc).unwrap().values);
    refused(read("a,b,d\n1,2,3\n").unwrap().in_order(&abc.names), &["no column c", "a, b, d"]);
    refused(read("a,b,c,d\n1,2,3,4\n").unwrap().in_order(&abc.names), &["4 columns where 3"]);
    refused(read("1,2\n").unwrap().in_order(&abc.names), &["2 columns where 3"]);
    let position = read("1,2,3\n").unwrap().in_order(&abc.names).unwrap();
    assert!(position.notes[0].contains("by position"), "{:?}", position.notes);
}

#[test]
fn texts_without_end_and_binary_files_are_errors() {
    refused(read("a,b\n1,\"2\n3,4\n"), &["quote opened in line 2", "never closed"]);
    refused(read("\"a,b\n1,2\n"), &["quote opened in line 1"]);
    refused(read("1,2\n3,\""), &["quote opened in line 2"]);
    refused(read(format!("\"{}", "1,2\n".repeat(5 << 20))), &["exceeds 16 MiB"]);
    refused(read("1".repeat(18 << 20)), &["exceeds 16 MiB"]);
    refused(read(gzip(&vec![b'7'; 200 << 20])), &["exceeds 16 MiB"]);
    refused(read(",".repeat(1 << 20)), &["262,144 columns"]);
    refused(read("1,2\n3,\x00\n"), &["line 2 has the control character 0x00"]);
    refused(read(b"PK\x03\x04rest"), &[".xlsx", "export the table as CSV"]);
    refused(read(b"\x93NUMPY\x01\x00"), &[".npy"]);
    refused(read(b"<!DOCTYPE html>"), &["a web page"]);
    refused(read(""), &["it is empty"]);
    refused(read("\n\n \n"), &["t.csv"]);
    #[cfg(unix)]
    for path in ["/dev/zero", "/dev", "/dev/null"] {
        refused(csv(Path::new(path), &CsvOptions::default()), &["give a plain file"]);
    }
}

#[cfg(unix)]
#[test]
fn pipes_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(csv(&pipe, &CsvOptions::default()), &["pipe", "give a plain file"]);
}

#[test]
fn classes_are_counted_and_empty_ones_noted() {
    let table = read_with("x,kind\n1,b\n2,a\n3,b\n", &labelled("kind")).unwrap();
    assert_eq!((table.classes, table.labels), (vec!["a".to_owned(), "b".into()], vec![1, 0, 1]));
    let empty = read_with("x,kind\n1,b\n2,\n3,b\n", &labelled("kind")).unwrap();
    assert!(empty.notes[0].contains("1 rows have no class"), "{:?}", empty.notes);
    let numbered = CsvOptions { ignore: vec!["1".into()], ..labelled("3") };
    assert_eq!(read_with("r1,1,x\nr2,2,y\n", &numbered).unwrap().values, array![[1.0], [2.0]]);
    let rows: String = (0..70_000).map(|i| format!("{i},c{i}\n")).collect();
    refused(read_with(rows, &labelled("2")), &["more than 65,535"]);
}

#[test]
fn a_scaled_table_is_a_data_set() {
    use fm_core::data::{Dataset, Pick};
    let table = read_with("x,y,kind\n1,4,b\n3,4,a\n", &labelled("kind")).unwrap();
    let scaled = Columns::of(&table, Preprocess::Standardize).unwrap().apply_table(&table).unwrap();
    let mut row = [9.0; 2];
    scaled.write(Pick { row: 1, mirrored: false }, &mut row).unwrap();
    assert_eq!((row, scaled.class(1), scaled.len()), ([1.0, 0.0], Some(0), 2));
    assert_eq!(scaled.values.dim(), Array2::<f32>::zeros((2, 2)).dim());
}
