//! Tables of numbers as texts, and the statistics of their columns.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{finish, scratch, seeds};
use fm_data::Columns;
use fm_data::table::{CsvOptions, Header, Separator, csv};

const WORDS: &[&str] = &[
    "\"", "\"\"", ",", ";", "\t", " ", "\n", "\r\n", "nan", "inf", "NA", "1e", "-", "+", "1,5", "#", "\u{feff}",
    "kind", "id", "\u{0}", "'", "1.234,5",
];

pub(super) const TABLE: Target =
    Target { name: "table", seeds: texts, words: WORDS, finish: Finish::Nothing, read: plain };

pub(super) const OPTIONS: Target =
    Target { name: "table-options", seeds: texts, words: WORDS, finish: Finish::Nothing, read: with_options };

pub(super) const GZIP: Target =
    Target { name: "table-gzip", seeds: texts, words: WORDS, finish: Finish::Pack(finish::gzip), read: plain };

pub(super) const COLUMNS: Target = Target {
    name: "columns",
    seeds: || {
        seeds::texts(&[
            r#"{"mean":[1.5,-2e3],"deviation":[2.0,0.0],"log1p":false,"whole":true,"names":["a","b"],"classes":[["oak",3],["ash",1]]}"#,
            r#"{"mean":[1.5],"deviation":[2.0]}"#,
        ])
    },
    words: &["\"mean\"", "\"deviation\"", "\"names\"", "\"classes\"", "[", "]", "{", "}", ",", ":", "null", "true"],
    finish: Finish::Nothing,
    read: columns,
};

fn texts() -> Vec<Vec<u8>> {
    let plain = "id,height,kind\n1,1.5,\"oak, red\"\n2,-2e3,ash\n3,7,oak\n";
    let mut texts: Vec<Vec<u8>> = [";", "\t", " "].iter().map(|s| plain.replace(',', s).into_bytes()).collect();
    texts.extend(seeds::texts(&[plain, "1,2\n3,4\n5,6\n", "2019,2020\r\n1,5\r\n2,7\r\n", "1,5;2,5\n1;2\n", "7\n8\n"]));
    let wide = || std::iter::once(0xfeff).chain(plain.encode_utf16());
    texts.push(wide().flat_map(u16::to_le_bytes).collect());
    texts.push(wide().flat_map(u16::to_be_bytes).collect());
    texts
}

fn read(bytes: &[u8], options: &CsvOptions) -> bool {
    let table = csv(&scratch::file("tables/t.csv", bytes), options);
    assert!(table.as_ref().map_or(true, |table| table.values.iter().all(|value| value.is_finite())));
    accepted(table)
}

fn plain(bytes: &[u8]) -> bool {
    read(bytes, &CsvOptions::default())
        | read(bytes, &CsvOptions { labels: Some("kind".into()), ..CsvOptions::default() })
}

fn with_options(bytes: &[u8]) -> bool {
    let (of, none) = (|name: &str| name.parse().ok(), CsvOptions::default());
    let options = match bytes.len() % 6 {
        0 => CsvOptions { labels: Some("kind".into()), ignore: vec!["id".into()], ..none },
        1 => CsvOptions { labels: Some("3".into()), header: Header::Yes, ..none },
        2 => CsvOptions { encoding: of("latin1"), header: Header::No, ..none },
        3 => CsvOptions { encoding: of("utf-16be"), ..none },
        4 => CsvOptions { encoding: of("shift_jis"), separator: Some(Separator::Semicolon), ..none },
        _ => CsvOptions { separator: Some(Separator::Space), ignore: vec!["1".into()], ..none },
    };
    read(bytes, &options)
}

fn columns(bytes: &[u8]) -> bool {
    let columns = serde_json::from_slice::<Columns>(bytes);
    if let Ok(columns) = &columns {
        let row = vec![0.5; columns.mean.len()];
        assert_eq!(columns.restore(&row).len(), row.len());
    }
    columns.is_ok()
}
