//! The presets: files in `presets/`, in the format of a user's configuration.

use crate::config::Config;
use crate::networks::ModelKind;
use anyhow::{Context, bail};
use fm_cli::program::nearest;
use fm_cli::settings;
use toml::{Table, Value};

/// The preset of a run that names none: what `cifar-train train` trains.
pub(crate) const DEFAULT: &str = "cifar10-dit";

const FILES: [(&str, &str); 5] = [
    ("quickstart", include_str!("../presets/quickstart.toml")),
    ("cifar10-tiny", include_str!("../presets/cifar10-tiny.toml")),
    ("cifar10-unet", include_str!("../presets/cifar10-unet.toml")),
    ("cifar10-dit", include_str!("../presets/cifar10-dit.toml")),
    ("guide", include_str!("../presets/guide.toml")),
];

/// The preset with this name, applied to the one that its file extends.
pub(crate) fn preset(name: &str) -> anyhow::Result<Config> {
    let names = FILES.map(|(name, _)| name);
    let Some((_, text)) = FILES.iter().find(|(known, _)| *known == name) else {
        let hint = nearest(name, names).unwrap_or_default();
        bail!("no preset is called '{name}'; did you mean '{hint}'? There are {}", names.join(", "))
    };
    let file: Table =
        text.parse().with_context(|| format!("the preset {name} is not valid TOML; please report this"))?;
    let base = file.get("preset").and_then(Value::as_str).map_or_else(|| Ok(Config::default()), preset)?;
    let laid = lay_over(base, file).with_context(|| format!("cannot read the preset {name}; please report this"))?;
    Ok(Config { preset: name.into(), ..laid })
}

/// Overrides a configuration with a file. A file that selects another kind of network starts from
/// that kind's defaults.
pub(crate) fn lay_over(mut base: Config, mut file: Table) -> anyhow::Result<Config> {
    file.remove("preset");
    complete(&mut file);
    if let Some(kind) = file.get("model").and_then(|m| m.get("kind")).and_then(Value::as_str) {
        set_model(&mut base, ModelKind::named(kind)?);
    }
    settings::lay_over(&base, file)
}

/// Adds the settings that a run's config.toml of an earlier version lacks, where a preset has other
/// values by now. Only such a file has all other keys, `latent_scale` among them.
fn complete(file: &mut Table) {
    let whole = file.contains_key("latent_scale");
    let Some(Value::Table(model)) = file.get_mut("model").filter(|_| whole) else { return };
    if model.get("kind").and_then(Value::as_str) == Some("unet") {
        model.entry("middle_attention").or_insert(true.into());
        model.entry("out_kernel").or_insert(3.into());
    }
}

/// Selects another kind of network, in a size that suits the preset.
fn set_model(config: &mut Config, kind: ModelKind) {
    if ModelKind::named(config.model.kind()).is_ok_and(|now| now == kind) {
        return;
    }
    let full = matches!(config.preset.as_str(), "cifar10-unet" | "cifar10-dit" | "guide");
    config.model = if full { kind.full() } else { kind.small() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_another_kind_has_the_size_of_the_preset() {
        assert_eq!(preset("cifar10-tiny").unwrap().model, ModelKind::Unet.small());
        let changed = |name: &str| {
            let mut config = preset(name).unwrap();
            set_model(&mut config, ModelKind::Dit);
            set_model(&mut config, ModelKind::Unet);
            config.model
        };
        assert_eq!([changed("quickstart"), changed("guide")], [ModelKind::Unet.small(), ModelKind::Unet.full()]);
        assert_eq!(ModelKind::named("mlp").unwrap_err().to_string(), "model.kind 'mlp' is unknown; choose unet or dit");
    }

    /// A run of the preset `guide` that was written when it had attention.
    #[test]
    fn a_configuration_of_an_earlier_run_keeps_its_network() {
        let unet = ModelKind::Unet.full();
        let mut file = Table::try_from(Config { model: unet.clone(), ..Config::default() }).unwrap();
        let Some(Value::Table(model)) = file.get_mut("model") else { panic!("no table") };
        assert!(model.remove("middle_attention").is_some() && model.remove("out_kernel").is_some());
        assert_eq!(lay_over(preset("guide").unwrap(), file).unwrap().model, unet);
        // A file that a user wrote takes the preset's.
        let short =
            lay_over(preset("guide").unwrap(), "[model]\nkind = \"unet\"\nchannels = 32".parse().unwrap()).unwrap();
        let fm_models::ModelConfig::Unet(short) = short.model else { panic!("another network") };
        assert!(!short.middle_attention && short.channels == 32);
    }

    /// Counted from torchcfm's `UNetModel`, and published for the others; without classes.
    #[test]
    fn presets_have_the_sizes_that_they_name() {
        for (name, count) in [("cifar10-unet", 35_746_307), ("guide", 39_653_379)] {
            assert_eq!(preset(name).unwrap().model.parameters().unwrap(), count, "{name}");
        }
        for (name, _) in FILES {
            let config = preset(name).unwrap();
            assert_eq!(config.preset, name);
            config.validate().unwrap();
            config.model.parameters().unwrap();
        }
    }
}
