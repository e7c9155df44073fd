//! The pickle format, read as data.
//!
//! A pickle is a program that builds Python objects. [`parse`] runs it on a stack machine of its
//! own, which records calls as values and executes nothing. The values borrow their text from the
//! file, so a value costs the same whatever it contains, and all of them are charged to a
//! [`Budget`].

mod instructions;
mod machine;
mod value;

pub(super) use value::{Id, Tree, Value};

use fm_core::budget::Budget;

/// Reads the pickle at the beginning of `bytes`; returns its values and its length in bytes.
///
/// # Errors
/// A damaged pickle, one that calls a function which runs programs, and an exhausted budget.
pub(super) fn parse<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<(Tree<'a>, usize), String> {
    instructions::run(bytes, budget)
}
