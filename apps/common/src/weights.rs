//! Networks out of files of weights, ours or anybody's.

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
    /// What the file says of itself, if it is one of ours.
    pub about: Option<About>,
    /// The network's configuration.
    pub config: ModelConfig,
    /// Which weights these are, in words.
    pub name: String,
    /// Holds the weights.
    pub store: VarStore,
    /// The network.
    pub model: Box<dyn VelocityModel>,
}

/// What a file of weights does not tell by itself.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FileArgs {
    /// Which of a file's sets of weights to take: ema_model, say.
    #[arg(long, value_name = "NAME")]
    pub part: Option<String>,
    /// A setting of the network that a file of weights does not tell: heads=4, say. May be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl FileArgs {
    /// # Errors
    /// When something is asked for that only files of weights have.
    pub fn refuse(&self) -> anyhow::Result<()> {
        ensure!(self.part.is_none() && self.set.is_empty(), "--part and --set are for files of weights; this is a run");
        Ok(())
    }
}

/// Reads a file of weights and builds its network. What had to be assumed is said on standard error.
///
/// # Errors
/// Everything that is wrong with the file, an unknown key, and weights that do not fit.
pub fn open(path: &Path, args: &FileArgs, device: Device) -> anyhow::Result<Opened> {
    let (weights, settings) = (interchange::read(path, args.part.as_deref())?, &args.set);
    let Recognised { config, assumed } = interchange::recognise(&weights)?;
    let given = |assumption: &&String| !settings.iter().any(|s| s.split('=').next() == assumption.split(' ').next());
    let open: Vec<&str> = assumed.iter().filter(given).map(String::as_str).collect();
    if !open.is_empty() {
        eprintln!("assumed   {} (not in the file; --set KEY=VALUE changes it)", open.join(", "));
    }
    let config = overlay(config, settings)?;
    interchange::check_size(&weights, &config)?;
    let store = VarStore::new(device);
    let model = config.build(&store.root())?;
    interchange::load(&store, config.kind(), &weights.tensors)
        .with_context(|| format!("{} does not fit", path.display()))?;
    let part = if weights.part.is_empty() { String::new() } else { format!(" ({})", weights.part) };
    let name = format!("weights of {}{part}", path.display());
    Ok(Opened { about: weights.about, config, name, store, model })
}

/// Lays `key=value` settings over a configuration; values are TOML.
fn overlay(config: ModelConfig, settings: &[String]) -> anyhow::Result<ModelConfig> {
    let mut table = Table::try_from(&config).context("cannot write the configuration as TOML")?;
    for setting in settings {
        let top: Table =
            setting.parse().with_context(|| format!("--set {setting}: give KEY=VALUE, as in a TOML file"))?;
        ensure!(!top.contains_key("kind"), "--set kind: the network's kind is what its names say");
        settings::overlay(&mut table, top, "model.")?;
    }
    table.try_into().context("--set gives a value that does not fit its key")
}
