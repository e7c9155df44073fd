//! Networks from files of weights, of this project or of others.

use crate::settings;
use anyhow::{Context, ensure};
use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use fm_models::interchange::{self, About, Recognised};
use std::path::Path;
use tch::Device;
use tch::nn::VarStore;
use toml::Table;

/// A network with the weights of a file.
#[derive(Debug)]
pub struct Opened {
    /// The metadata of the file, if this project wrote it.
    pub about: Option<About>,
    /// The network's configuration.
    pub config: ModelConfig,
    /// A description of the weights, for messages.
    pub name: String,
    /// The store of the weights.
    pub store: VarStore,
    /// The network.
    pub model: Box<dyn VelocityModel>,
}

/// Choices that a file of weights leaves open.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FileArgs {
    /// Take this set of weights from a file with several, for example net_model (default: the EMA,
    /// if there is one).
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub part: Option<String>,
    /// Set a parameter of the network that a file of weights does not determine, for example
    /// heads=4; repeatable.
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Model")]
    pub set: Vec<String>,
}

impl FileArgs {
    /// Fails if a flag is set; for models that are not a file of weights.
    ///
    /// # Errors
    /// A flag that is set.
    pub fn refuse(&self) -> anyhow::Result<()> {
        ensure!(self.part.is_none() && self.set.is_empty(), "cannot apply --part or --set: this is a run; drop them");
        Ok(())
    }
}

/// Reads a file of weights and builds its network. Assumed settings are printed to standard error.
///
/// # Errors
/// A damaged or unknown file, an unknown key, and weights that do not fit the network.
pub fn open(path: &Path, args: &FileArgs, device: Device) -> anyhow::Result<Opened> {
    let (weights, settings) = (interchange::read(path, args.part.as_deref())?, &args.set);
    let Recognised { config, assumed } = interchange::recognise(&weights)?;
    let given = |assumption: &&String| !settings.iter().any(|s| s.split('=').next() == assumption.split(' ').next());
    let open: Vec<&str> = assumed.iter().filter(given).map(String::as_str).collect();
    if !open.is_empty() {
        eprintln!("assumed   {} (not in the file; change with --set KEY=VALUE)", open.join(", "));
    }
    let config = overlay(config, settings)?;
    interchange::check_size(&weights, &config)?;
    let store = VarStore::new(device);
    let model = config.build(&store.root())?;
    interchange::load(&store, config.kind(), &weights.tensors)
        .with_context(|| format!("cannot load {}", path.display()))?;
    let part = if weights.part.is_empty() { String::new() } else { format!(" ({})", weights.part) };
    let name = format!("weights of {}{part}", path.display());
    Ok(Opened { about: weights.about, config, name, store, model })
}

/// Overrides a configuration by `key=value` settings; values are TOML.
fn overlay(config: ModelConfig, settings: &[String]) -> anyhow::Result<ModelConfig> {
    let mut table = Table::try_from(&config).context("cannot write the configuration as TOML")?;
    for setting in settings {
        let top: Table =
            setting.parse().with_context(|| format!("cannot read --set {setting}; give KEY=VALUE as in TOML"))?;
        ensure!(!top.contains_key("kind"), "cannot set kind: it follows from the tensors of the file; drop --set kind");
        settings::overlay(&mut table, top, "model.")?;
    }
    table.try_into().context("--set gives a value that does not fit its key")
}
