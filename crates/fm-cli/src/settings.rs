//! Configurations as TOML tables: a file overrides defaults, and flags override both.

use crate::aliases;
use crate::program::nearest;
use anyhow::{Context, anyhow, bail};
use fm_core::budget::{self, OverBudget, limits};
use fm_train::TrainError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind};
use std::path::Path;
use toml::{Table, Value};

/// Reads a TOML file as a table.
///
/// # Errors
/// A file that cannot be read, is not a plain file, is longer than 256 KiB, or is not TOML.
pub fn read(path: &Path) -> anyhow::Result<Table> {
    let (bytes, _) = budget::read(path, &limits::CONFIG).map_err(|error| {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(OverBudget::Length { most, .. }) => anyhow!(
                "cannot read the configuration {}: it has more than {most} bytes; give the config.toml of a run",
                path.display()
            ),
            _ => TrainError::io("read the configuration", path)(error).into(),
        }
    })?;
    let text =
        String::from_utf8(bytes).map_err(|e| io::Error::new(ErrorKind::InvalidData, format!("{}", e.utf8_error())));
    let text = text.map_err(TrainError::io("read the configuration", path))?;
    text.parse().with_context(|| format!("{} is not valid TOML; correct it", path.display()))
}

/// Overrides a configuration by a file; keys of other trainers are translated ([`crate::aliases`]).
///
/// # Errors
/// Unknown keys, with the nearest valid name, and invalid values.
pub fn lay_over<C: Serialize + DeserializeOwned>(base: &C, file: Table) -> anyhow::Result<C> {
    let mut table = Table::try_from(base).context("cannot write the configuration as TOML; please report this")?;
    overlay(&mut table, aliases::translate(file)?, "")?;
    table.try_into().context("cannot read the configuration; correct the value")
}

/// A path as the UTF-8 text of a setting.
///
/// # Errors
/// A path that is not UTF-8.
pub fn text_of(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.with_context(|| format!("cannot write {} into a configuration: it is not UTF-8; rename it", path.display()))
}

/// Checks that the configuration of a resumed run differs from the saved one only in the keys of
/// `may_change`.
///
/// # Errors
/// The first other key that differs.
pub fn check_resumed<C: Serialize>(saved: &C, config: &C, may_change: &[&str]) -> anyhow::Result<()> {
    let table = |c: &C| Table::try_from(c).context("cannot write the configuration as TOML; please report this");
    let changed = differences(&table(saved)?, &table(config)?, "");
    let fixed = |key: &&String| !may_change.iter().any(|may| key.split('.').next() == Some(may));
    if let Some(key) = changed.iter().find(fixed) {
        bail!("'{key}' cannot change when a run is resumed; drop the flag, or start a new run with another --out");
    }
    Ok(())
}

/// Overrides values of `base` by those of `top`. Every key of `top` must exist in `base`.
///
/// # Errors
/// An unknown key, with the nearest valid name.
pub fn overlay(base: &mut Table, top: Table, place: &str) -> anyhow::Result<()> {
    for (key, value) in top {
        let Some(slot) = base.get_mut(&key) else {
            let hint = nearest(&key, base.keys().map(String::as_str)).unwrap_or("nothing");
            bail!("unknown key '{place}{key}' in the configuration; did you mean '{place}{hint}'?");
        };
        match (slot, value) {
            (Value::Table(inner), Value::Table(over)) => overlay(inner, over, &format!("{place}{key}."))?,
            // TOML writes 1 for the float 1.0.
            (slot @ Value::Float(_), Value::Integer(i)) => *slot = Value::Float(i as f64),
            (slot, value) => *slot = value,
        }
    }
    Ok(())
}

/// The keys in which two tables differ, with dots between levels.
pub fn differences(a: &Table, b: &Table, place: &str) -> Vec<String> {
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut out = Vec::new();
    for key in keys {
        match (a.get(key), b.get(key)) {
            (Some(Value::Table(x)), Some(Value::Table(y))) => out.extend(differences(x, y, &format!("{place}{key}."))),
            (x, y) if x == y => {}
            _ => out.push(format!("{place}{key}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn overlays_reach_inner_tables_and_name_the_nearest_key() {
        let mut base = table("steps = 5\nlr = 0.1\n[model]\nwidth = 3");
        overlay(&mut base, table("lr = 1\n[model]\nwidth = 4"), "").unwrap();
        assert_eq!(base, table("steps = 5\nlr = 1.0\n[model]\nwidth = 4"));
        let error = overlay(&mut base, table("[model]\nwidht = 4"), "").unwrap_err().to_string();
        assert_eq!(error, "unknown key 'model.widht' in the configuration; did you mean 'model.width'?");
    }

    #[test]
    fn differences_are_named_in_full() {
        let (a, b) = (table("x = 1\n[m]\na = 1\nb = 2"), table("x = 1\n[m]\na = 2\nc = 2"));
        assert_eq!(differences(&a, &b, ""), ["m.a", "m.b", "m.c"]);
    }
}
