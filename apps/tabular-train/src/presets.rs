//! The named experiments: files in `presets/`, in the format of a user's configuration.
//! docs/experiments.md has their results.

use crate::config::Config;
use anyhow::{Context, bail};
use fm_cli::settings;

const FILES: [(&str, &str); 6] = [
    ("gaussian4", include_str!("../presets/gaussian4.toml")),
    ("gaussian4-tuned", include_str!("../presets/gaussian4-tuned.toml")),
    ("spiral", include_str!("../presets/spiral.toml")),
    ("transport", include_str!("../presets/transport.toml")),
    ("genes", include_str!("../presets/genes.toml")),
    ("series", include_str!("../presets/series.toml")),
];

pub(crate) fn preset(name: &str) -> anyhow::Result<Config> {
    let names = FILES.map(|(name, _)| name);
    let Some((_, text)) = FILES.iter().find(|(known, _)| *known == name) else {
        let nearest = fm_cli::program::nearest(name, names).unwrap_or("spiral");
        bail!("no preset is called '{name}'; did you mean {nearest}? There are {}", names.join(", "))
    };
    let file = text.parse().with_context(|| format!("the preset {name} is not valid TOML; please report this"))?;
    settings::lay_over(&Config::default(), file)
        .with_context(|| format!("cannot read the preset {name}; please report this"))
}
