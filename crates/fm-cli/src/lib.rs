//! Command lines of programs: flags and configuration files from one declaration, help, error
//! messages of one line, and the files that commands write.
//!
//! | module | content |
//! |---|---|
//! | [`program`] | from the command line to the exit code, with errors on one line |
//! | [`help`] | `--help` with the options that most runs need, `--help-all` with all |
//! | [`mod@options`] | options declared once: configuration, default, flag and help |
//! | [`settings`] | TOML files over defaults; an unknown key is an error that suggests the nearest one |
//! | [`aliases`] | configuration keys and flags of other trainers |
//! | [`every`] | intervals in steps or epochs |
//! | [`outputs`] | files that commands write, in the formats that their names end in |
//! | [`memory`] | memory use, sizes that do not fit, and an allocator that keeps freed memory |

pub mod aliases;
pub mod every;
pub mod help;
pub mod memory;
pub mod options;
pub mod outputs;
pub mod program;
pub mod settings;
mod spinning;
