//! What a program and its terminal exchange: lines of text ([`print`](mod@print)) and signals
//! ([`interrupt`]).
//!
//! The macros [`println!`] and [`eprintln!`] replace those of the standard library, which panic
//! when the other end of a pipe is closed, the disk is full, or the terminal is gone. Clippy
//! refuses the standard ones in programs.
//!
//! ```
//! use fm_terminal::{eprintln, println};
//! println!("seed {}", 7);
//! eprintln!("warning: a terminal escape \u{1b}[2J is printed as text");
//! assert!(fm_terminal::print::lost().is_none());
//! ```

pub mod interrupt;
pub mod print;
