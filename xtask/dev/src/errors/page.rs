//! The page of the catalogue.

use super::scan::Text;

pub(super) fn of(texts: &[Text]) -> String {
    let line = |text: &Text| format!("{} | {:?} | {}\n", text.file, text.kind, text.words);
    texts.iter().map(line).collect()
}
