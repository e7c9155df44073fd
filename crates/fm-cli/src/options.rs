//! Options of a run, each declared once: its name, type, default and help.
//!
//! [`options!`](crate::options!) makes two structs of a list of options: the configuration, plain
//! values with defaults that are saved as TOML and in checkpoints, and the flags, each an `Option`.
//! The flags that are given become a TOML table ([`table`]), which overrides the configuration in
//! the same way as a file ([`crate::settings`]).
//!
//! ```
//! use fm_cli::{options, settings};
//! use serde::{Deserialize, Serialize};
//! options! {
//!     /// Settings.
//!     #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
//!     struct Config, flags Flags {
//!         "Data" {
//!             /// Number of rows.
//!             rows: u64 = 100, arg(value_name = "N");
//!         }
//!         "Network" {
//!             /// Widths of the layers.
//!             widths: Vec<i64> = vec![64; 2], arg(value_delimiter = ',');
//!         }
//!     }
//! }
//! let flags = Flags { rows: Some(7), ..Flags::default() };
//! let config: Config = settings::lay_over(&Config::default(), options::table(&flags)?)?;
//! assert_eq!((config.rows, config.widths), (7, vec![64, 64]));
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::Context;
use fm_core::choice::Choice;
use serde::Serialize;
use toml::{Table, Value};

/// Declares a configuration and its flags; see [the module](self).
///
/// | syntax | meaning |
/// |---|---|
/// | `@choice("...")` | the help of an option with names, completed by the list of names |
/// | `flatten` | options that are declared elsewhere, with keys at the same level |
/// | `nested` | the same, with keys in a separate table |
/// | `also` | values without a flag |
/// | `flags F of C` | only the flags, for a configuration `C` of a library |
/// | `as "inner.key"` | the key of an option, if it is not its name |
#[macro_export]
macro_rules! options {
    (
        $(#[$meta:meta])*
        $vis:vis struct $config:ident, flags $flags:ident {
            $($heading:literal {
                $(
                    $(#[doc = $doc:literal])*
                    $(@choice($choice:literal))? $name:ident: $type:ty = $default:expr
                        $(, arg($($arg:tt)+))? $(, serde($($serde:tt)+))?;
                )*
            })*
            $(also {
                $($(#[$other_meta:meta])* $other:ident: $other_type:ty = $other_default:expr;)*
            })?
            $(flatten {
                $($(#[$part_meta:meta])* $part:ident: $part_type:ty, $part_flags:ty = $part_default:expr;)*
            })?
            $(nested {
                $($(#[$inner_meta:meta])* $inner:ident: $inner_type:ty, $inner_flags:ty = $inner_default:expr;)*
            })?
        }
    ) => {
        $(#[$meta])*
        #[serde(default)]
        $vis struct $config {
            $($($(#[doc = $doc])* $(#[doc = $choice])? $(#[serde($($serde)+)])? $vis $name: $type,)*)*
            $($($(#[$other_meta])* $vis $other: $other_type,)*)?
            $($($(#[$part_meta])* #[serde(flatten)] $vis $part: $part_type,)*)?
            $($($(#[$inner_meta])* $vis $inner: $inner_type,)*)?
        }

        impl Default for $config {
            fn default() -> Self {
                Self {
                    $($($name: $default,)*)*
                    $($($other: $other_default,)*)?
                    $($($part: $part_default,)*)?
                    $($($inner: $inner_default,)*)?
                }
            }
        }

        #[doc = concat!("The flags over a [`", stringify!($config), "`].")]
        #[derive(Debug, Clone, Default, clap::Args, serde::Serialize)]
        #[group(skip)]
        $vis struct $flags {
            $($(
                $(#[doc = $doc])*
                $(#[doc = $choice])?
                #[arg(long, help_heading = $heading, $(help = $crate::options::help::<$type>($choice),)? $($($arg)+)?)]
                #[serde(skip_serializing_if = "Option::is_none")]
                $vis $name: Option<$type>,
            )*)*
            $($(
                #[command(flatten)]
                #[serde(flatten)]
                $(#[$part_meta])*
                $vis $part: $part_flags,
            )*)?
            $($(
                #[command(flatten)]
                #[serde(flatten)]
                $(#[$inner_meta])*
                $vis $inner: $inner_flags,
            )*)?
        }
    };
    (
        $vis:vis flags $flags:ident of $config:ident {
            $($heading:literal {
                $(
                    $(#[doc = $doc:literal])*
                    $(@choice($choice:literal))? $name:ident: $type:ty $(as $key:literal)? $(, arg($($arg:tt)+))?;
                )*
            })*
        }
    ) => {
        #[doc = concat!("The flags over a [`", stringify!($config), "`].")]
        #[derive(Debug, Clone, Default, clap::Args, serde::Serialize)]
        #[group(skip)]
        $vis struct $flags {
            $($(
                $(#[doc = $doc])*
                $(#[doc = $choice])?
                #[arg(long, help_heading = $heading, $(help = $crate::options::help::<$type>($choice),)? $($($arg)+)?)]
                #[serde(skip_serializing_if = "Option::is_none" $(, rename = $key)?)]
                $vis $name: Option<$type>,
            )*)*
        }
    };
}

/// A help text that lists all options of a choice with their default parameters.
pub fn help<C: Choice>(what: &str) -> String {
    let written = |e: &'static fm_core::choice::Entry| C::parse(e.name()).map_or(e.name().into(), |c| c.to_string());
    let names: Vec<String> = C::TABLE.iter().map(written).collect();
    format!("{what}: {}", names.join(", "))
}

/// As [`help`], with the default: for a flag whose absence differs from its default.
pub fn help_with_default<C: Choice + Default>(what: &str) -> String {
    format!("{} (default: {})", help::<C>(what), C::default())
}

/// The given flags as a table; a key with dots, `model.width`, is a value of an inner table.
///
/// # Errors
/// A number that TOML cannot hold.
pub fn table(flags: &impl Serialize) -> anyhow::Result<Table> {
    let mut nested = Table::new();
    for (key, value) in
        Table::try_from(flags).context("a flag has a value that a configuration cannot hold; give another value")?
    {
        insert(&mut nested, &key, value);
    }
    Ok(nested)
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.into(), value);
        }
        Some((outer, inner)) => {
            if let Value::Table(below) = table.entry(outer).or_insert_with(|| Table::new().into()) {
                insert(below, inner, value);
            }
        }
    }
}

/// Appends the defaults to the help of a command's flags.
pub fn with_defaults(command: clap::Command, defaults: &impl Serialize) -> clap::Command {
    let defaults = Table::try_from(defaults).unwrap_or_default();
    let shown = |value: &Value| match value {
        Value::Table(_) => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(each) => Some(each.iter().map(Value::to_string).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    };
    command.mut_args(|arg| {
        let default = defaults.get(arg.get_id().as_str()).and_then(shown).filter(|text| !text.is_empty());
        match (default, arg.get_help()) {
            (Some(default), Some(help)) => {
                let help = format!("{} (default: {default})", help.to_string().trim_end_matches('.'));
                arg.help(help)
            }
            _ => arg,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_dots_are_inner_tables() {
        #[derive(Serialize)]
        struct Flags {
            #[serde(rename = "model.inner.width")]
            width: i64,
            #[serde(rename = "model.depth")]
            depth: i64,
            steps: u64,
        }
        let table = table(&Flags { width: 3, depth: 2, steps: 1 }).unwrap();
        assert_eq!(table, "steps = 1\n[model]\ndepth = 2\n[model.inner]\nwidth = 3".parse().unwrap());
        let error = super::table(&Flags { width: 3, depth: 2, steps: u64::MAX }).unwrap_err().to_string();
        assert!(error.contains("cannot hold"), "{error}");
    }
}
