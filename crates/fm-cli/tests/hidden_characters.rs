//! Lines of programs and messages of crates hide the same characters.

use fm_core::message::is_hidden;
use fm_terminal::print::plain;

#[test]
fn printed_lines_and_messages_hide_the_same_characters() {
    for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
        let text = c.to_string();
        assert_eq!(plain(&text) != text, is_hidden(c) && !matches!(c, '\n' | '\t'), "{c:?}");
    }
}
