//! Configurations of the programs, as TOML files and in checkpoints.

use crate::target::{Finish, Target};
use crate::{scratch, seeds};
use fm_cli::settings::{lay_over, read};
use fm_images::vqvae::config as encoders;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../../../apps/cifar-train/src/config.rs"]
mod images;

#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../../../apps/tabular-train/src/config.rs"]
mod tables;

const WORDS: &[&str] = &[
    "[model]",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    "\"",
    "'''",
    "\"\"\"",
    ".",
    ",",
    "\n",
    "#",
    "true",
    "inf",
    "nan",
    "0x",
    "1_0",
    "steps = ",
    "kind = \"dit\"",
    "use_ot = true",
    "time_sampling = \"u_shaped\"",
    "flow_type = \"ot_cfm\"",
    "1979-05-27",
    "\\u0000",
];

pub(super) const IMAGES: Target = Target {
    name: "config-images",
    seeds: || seeds::files("apps/cifar-train/presets", &[".toml"]),
    words: WORDS,
    finish: Finish::Nothing,
    read: |bytes| laid::<images::Config>(bytes).is_some_and(|config| short(config.validate())),
};

pub(super) const TABLES: Target = Target {
    name: "config-tables",
    seeds: || seeds::files("apps/tabular-train/presets", &[".toml"]),
    words: WORDS,
    finish: Finish::Nothing,
    read: |bytes| {
        laid::<tables::Config>(bytes).is_some_and(|config| {
            let valid = short(config.validate());
            if valid && config.widths.len() < 100 {
                // Four columns as they are, and as sequences of two places.
                let mut columns = fm_data::Columns::unchanged(4);
                let _ = config.model(&columns).map(|network| network.parameters());
                columns.series = fm_data::series::Series::new(2, 4).ok();
                let _ = config.model(&columns).map(|network| network.parameters());
            }
            valid
        })
    },
};

pub(super) const ENCODERS: Target = Target {
    name: "config-encoders",
    seeds: || vec![toml::to_string(&encoders::Config::default()).unwrap_or_default().into_bytes()],
    words: WORDS,
    finish: Finish::Nothing,
    read: |bytes| laid::<encoders::Config>(bytes).is_some_and(|config| config.model.parameters().is_ok()),
};

/// Configurations in checkpoints, as JSON.
pub(super) const SAVED: Target = Target {
    name: "config-saved",
    seeds: || {
        let tables = serde_json::to_vec(&tables::Config::default());
        [serde_json::to_vec(&images::Config::default()), tables].into_iter().flatten().collect()
    },
    words: &["{", "}", "[", "]", ",", ":", "\"", "null", "true", "1e400", "\"model\"", "\"kind\"", "\"steps\""],
    finish: Finish::Nothing,
    read: |bytes| {
        let images = serde_json::from_slice::<images::Config>(bytes).is_ok_and(|config| short(config.validate()));
        let tables = serde_json::from_slice::<tables::Config>(bytes).is_ok_and(|config| short(config.validate()));
        images | tables
    },
};

fn laid<C: Default + Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<C> {
    let table = read(&scratch::file("config.toml", bytes));
    // A program prints an error on one line.
    table.and_then(|table| lay_over(&C::default(), table)).ok()
}

/// Whether a configuration is valid.
fn short(valid: anyhow::Result<()>) -> bool {
    valid.is_ok()
}
