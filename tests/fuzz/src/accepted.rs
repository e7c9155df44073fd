//! The result of a reader.

use std::fmt::Display;

/// The longest message of an error, in characters.
const LONGEST_MESSAGE: usize = 300;

/// Whether a reader accepted its input; an error must be one short line.
pub(crate) fn accepted<T, E: Display>(result: Result<T, E>) -> bool {
    let Err(error) = result else { return true };
    let text = error.to_string();
    assert!(
        !text.is_empty() && !text.contains('\n') && text.chars().count() <= LONGEST_MESSAGE,
        "a message is not one line of at most {LONGEST_MESSAGE} characters: {text}"
    );
    false
}
