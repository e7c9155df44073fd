//! Command lines of the programs: flags and configuration files from one declaration, help,
//! one-line error messages, and output files.
//!
//! | module | content |
//! |---|---|
//! | [`program`] | parsing of the command line, one-line errors, exit codes |
//! | [`help`] | `--help` with the options that most runs need, `--help-all` with all |
//! | [`mod@options`] | options declared once: configuration, default, flag and help |
//! | [`settings`] | TOML files over defaults; an unknown key is an error that suggests the nearest one |
//! | [`aliases`] | configuration keys and flags of other trainers |
//! | [`given`] | flags that are given and have no effect |
//! | [`every`] | intervals in steps or epochs |
//! | [`outputs`] | output files, in the format of their extension |
//! | [`memory`] | memory use, checks of sizes before allocation, and the treatment of freed memory |

pub mod aliases;
pub mod every;
pub mod given;
pub mod help;
pub mod memory;
pub mod options;
pub mod outputs;
pub mod program;
pub mod settings;
mod spinning;
