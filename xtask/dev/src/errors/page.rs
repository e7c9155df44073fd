//! The page of the catalogue.

use super::scan::{Kind, Text};
use std::collections::BTreeMap;

const INTRODUCTION: &str = "# Error messages

All error texts of the programs, the libraries and `cargo xtask`, read from the source code by
`cargo xtask tidy`, which fails if this page is out of date; `UPDATE_DOCS=1 cargo xtask tidy`
rewrites it. [Troubleshooting](guide/troubleshooting.md) explains the frequent ones.

A program prints `error: CAUSE; REMEDY` as one line on standard error and exits with code 2.
`cargo xtask tidy` checks that each text has a remedy and at most 300 characters without the values
of its places `{...}`; longer lines lose their middle when they are printed. A remedy that names a
flag or a command is followed by a test (`tests/remedies.rs` of each program), except for those in
`xtask/dev/src/errors/follow.rs`, which state why.

- \"context\": the text precedes another error, as `TEXT: ERROR`. Where that is one of the operating
  system, the program adds the remedy for its kind, such as \"check the path\".
- \"part\": the text is a part of another message, or that message has parts (`{problem}`,
  `{reason}`) that name the remedy.
";

/// The page; `causes` has the message of each file whose texts are causes in that message.
pub(super) fn of(texts: &[Text], causes: &[(&str, &str)]) -> String {
    let mut crates: BTreeMap<String, Vec<&Text>> = BTreeMap::new();
    for text in texts {
        crates.entry(crate_of(&text.file)).or_default().push(text);
    }
    let mut page = INTRODUCTION.to_owned();
    for (directory, texts) in crates {
        page += &format!("\n## {directory}\n\n| cause | remedy | characters | file |\n|---|---|---|---|\n");
        for text in texts {
            let file = text.file.strip_prefix(&format!("{directory}/src/")).unwrap_or(&text.file);
            let remedy = match text.remedy() {
                Some(remedy) => code(remedy),
                None => without_remedy(text, causes),
            };
            let length = text.words.chars().count();
            page += &format!("| {} | {remedy} | {length} | {file} |\n", code(&shown(text)));
        }
    }
    page
}

/// The directory of a crate: what precedes `src`.
fn crate_of(file: &str) -> String {
    file.split_once("/src/").map_or(file, |(directory, _)| directory).to_owned()
}

fn shown(text: &Text) -> String {
    let kind = if text.kind == Kind::Warning { "warning: " } else { "" };
    format!("{kind}{}", text.cause())
}

fn without_remedy(text: &Text, causes: &[(&str, &str)]) -> String {
    let message = causes.iter().find(|(file, _)| text.file == *file).map(|(_, message)| message);
    match (text.kind, message) {
        (Kind::Context, None) => "context".into(),
        (_, Some(message)) => format!("part of: {message}"),
        _ => "part".into(),
    }
}

/// A text as a code span in a table.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_split_at_their_remedy() {
        let text = |file: &str, kind, words: &str| Text { file: file.into(), kind, words: words.into() };
        let texts = [
            text("crates/b/src/x.rs", Kind::Context, "cannot read a|b"),
            text("crates/a/src/y/z.rs", Kind::Whole, "a is 0; run `c`; or not"),
            text("crates/a/src/w.rs", Kind::Whole, "its size is 0"),
        ];
        let page = of(&texts, &[("crates/a/src/w.rs", "the message")]);
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let expected = [
            "| `a is 0` | `` run `c`; or not `` | 23 | y/z.rs |",
            "| `its size is 0` | part of: the message | 13 | w.rs |",
            "| `cannot read a\\|b` | context | 15 | x.rs |",
        ];
        assert_eq!(rows, expected);
    }
}
