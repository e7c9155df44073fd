//! Networks from files of weights, of this project or of others.

use anyhow::{Context, bail, ensure};
use fm_cli::settings;
use fm_core::choice::Choice;
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use fm_models::interchange::{self, About, Assumption, Concerns, InterchangeError, Recognised, Weights};
use fm_terminal::eprintln;
use fm_train::TrainError;
use fm_train::checkpoint;
use fm_train::run_dir::{is_run, latest_checkpoint};
use std::collections::BTreeMap;
use std::path::Path;
use tch::nn::VarStore;
use tch::{Device, Tensor};
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

/// The weights of a run.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[group(skip)]
pub struct WhichWeights {
    /// Use the trained weights of a run instead of their EMA; for a file of weights, use --part.
    #[arg(long, conflicts_with = "part", help_heading = "Model")]
    pub raw_weights: bool,
    /// Use the EMA with this decay, of a run that keeps several (default: the first).
    #[arg(long, value_name = "D", conflicts_with_all = ["raw_weights", "part"], help_heading = "Model")]
    pub ema_decay: Option<f64>,
    /// Use the average of this relative width, computed from those that the run tracked with
    /// `train --ema-sigma`.
    #[arg(long, value_name = "S", conflicts_with_all = ["raw_weights", "part", "ema_decay"], help_heading = "Model", hide = true)]
    pub ema_sigma: Option<f64>,
}

impl WhichWeights {
    /// The weights of a checkpoint, and their name in messages.
    pub fn of(&self, step: u64) -> (checkpoint::Weights, String) {
        if let Some(width) = self.ema_sigma {
            return (checkpoint::Weights::SigmaRel(width), format!("averaged weights (sigma {width}) of step {step}"));
        }
        let kind = match (self.raw_weights, self.ema_decay) {
            (true, _) => checkpoint::Weights::Raw,
            (false, None) => checkpoint::Weights::Ema,
            (false, Some(decay)) => checkpoint::Weights::EmaOf(decay),
        };
        (kind, format!("{} weights of step {step}", if self.raw_weights { "raw" } else { "EMA" }))
    }

    /// Fails if a flag is set; for files of weights.
    ///
    /// # Errors
    /// A flag that is set.
    pub fn refuse(&self) -> anyhow::Result<()> {
        ensure!(
            !self.raw_weights && self.ema_decay.is_none() && self.ema_sigma.is_none(),
            "--raw-weights, --ema-decay and --ema-sigma are for runs; choose a file's weights with --part NAME"
        );
        Ok(())
    }
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
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Model", hide = true)]
    pub set: Vec<String>,
    /// Path that the network of a file was trained on, if the file does not say (default: linear).
    #[arg(long, help_heading = "Model", hide = true)]
    pub path: Option<PathKind>,
    /// Quantity that the network of a file predicts, if the file does not say (default: velocity).
    #[arg(long, help_heading = "Model", hide = true)]
    pub prediction: Option<Prediction>,
    /// Distance in time that sampling keeps from singular ends, for a file of weights (default: the
    /// file's, otherwise 0.001 where an end is singular).
    #[arg(long, value_name = "EPS", help_heading = "Model", hide = true)]
    pub time_clip: Option<f64>,
    /// Settings that other flags of the command give, which are not assumed.
    #[arg(skip)]
    pub given: Vec<&'static str>,
}

/// Distance from an end of the time span at which a network's velocity is singular.
const TIME_CLIP: f64 = 1e-3;

impl FileArgs {
    /// Whether a flag gives this setting.
    fn gives(&self, name: &str) -> bool {
        match name {
            name if self.given.contains(&name) => true,
            "path" => self.path.is_some(),
            "prediction" => self.prediction.is_some(),
            name => self.set.iter().any(|s| s.split('=').next() == Some(name)),
        }
    }

    /// Fails if a flag is set; for models that are not a file of weights.
    ///
    /// # Errors
    /// A flag that is set.
    pub fn refuse(&self) -> anyhow::Result<()> {
        let network = self.part.is_some() || !self.set.is_empty();
        let objective = self.path.is_some() || self.prediction.is_some() || self.time_clip.is_some();
        ensure!(
            !network && !objective,
            "cannot apply --part, --set, --path, --prediction or --time-clip: this is a run, which knows them; drop them"
        );
        Ok(())
    }

    /// The objective of a file of weights: its description, completed by the flags. A time clip
    /// that is assumed is printed to standard error.
    ///
    /// # Errors
    /// A flag that contradicts the description, and an unknown name in it.
    pub fn objective(&self, about: Option<&About>) -> anyhow::Result<Objective> {
        let said = |text: fn(&About) -> &str| about.map(text).filter(|text| !text.is_empty());
        let mut objective = Objective {
            path: agreed("--path", self.path, said(|about| &about.path))?,
            prediction: agreed("--prediction", self.prediction, said(|about| &about.prediction))?,
            ..Objective::default()
        };
        objective.times.clip = self.time_clip.unwrap_or(about.map_or(0.0, stored_clip));
        if objective.times.clip == 0.0 && objective.span().is_err() {
            objective.times.clip = TIME_CLIP;
            eprintln!(
                "assumed   time_clip = {TIME_CLIP}: an end of the path is singular (change with --time-clip EPS)"
            );
        }
        objective.span()?;
        Ok(objective)
    }
}

/// The time clip of a description, or of the run's configuration in it.
fn stored_clip(about: &About) -> f64 {
    let run = about.config.get("run").unwrap_or(&about.config);
    about.time_clip.max(run.get("time_clip").and_then(serde_json::Value::as_f64).unwrap_or(0.0))
}

/// What a flag and a description say, if they do not contradict each other.
fn agreed<C: Choice + Default + PartialEq>(flag: &str, given: Option<C>, said: Option<&str>) -> anyhow::Result<C> {
    let said = said.map(C::parse).transpose()?;
    match (given, said) {
        (Some(given), Some(said)) if given != said => {
            bail!("the weights' own description says {said}; drop {flag} {given}")
        }
        (given, said) => Ok(given.or(said).unwrap_or_default()),
    }
}

/// What to do with weights whose time runs the other way.
const REVERSED: &str =
    "for the other direction, run `cifar-train convert FILE NEW.safetensors --time-direction data-to-noise`";

/// Whether a path is a file or a folder of weights; otherwise it is a run, a checkpoint, or a
/// folder with neither. A folder with checkpoints is a run, also if weights are beside them.
///
/// # Errors
/// A path that does not exist.
pub fn is_weights(path: &Path) -> anyhow::Result<bool> {
    let found = std::fs::metadata(path).map_err(TrainError::io("open", path))?;
    Ok(!found.is_dir() || !is_run(path) && interchange::holds_weights(path))
}

/// Reads a file or folder of weights. Averages in it that are not read are named on standard error.
///
/// # Errors
/// A damaged or unknown file, and a part that it does not have.
pub fn read(path: &Path, part: Option<&str>) -> anyhow::Result<Weights> {
    let weights = interchange::read(path, part)?;
    if let Some(unread) = &weights.unread {
        let taken = if weights.part.is_empty() { "the weights" } else { &weights.part };
        eprintln!(
            "note: {}: took {taken}, not averages; the EMA {unread} of its optimizer is not read: save it as a state_dict to use it",
            path.display()
        );
    }
    Ok(weights)
}

/// The weights of a checkpoint. Where an average is computed from snapshots, their number is
/// printed to standard error.
///
/// # Errors
/// Those of [`checkpoint::read_weights`].
pub fn of_checkpoint(path: &Path, which: checkpoint::Weights) -> Result<BTreeMap<String, Tensor>, TrainError> {
    let checkpoint::Weights::SigmaRel(width) = which else {
        return checkpoint::read_weights(path, which);
    };
    let checkpoint::Average { weights, snapshots, error } = checkpoint::average_of(path, width)?;
    eprintln!("averaged  width {width} from {snapshots} snapshots, whose combination is {:.1} % off", 100.0 * error);
    Ok(weights)
}

/// Weights to start from, by name: the first average of a run or checkpoint, or the content of a
/// file.
///
/// # Errors
/// Errors of reading; a file with several sets of weights of equal rank.
pub fn initial(path: &Path) -> anyhow::Result<BTreeMap<String, Tensor>> {
    if is_weights(path)? {
        return match read(path, None) {
            Ok(found) => Ok(found.tensors),
            // There is no flag for a part here.
            Err(error) => match error.downcast_ref() {
                Some(InterchangeError::Part { problem, parts }) => bail!(
                    "{problem}; write one to a file: cifar-train convert {} NEW.safetensors --part {}",
                    path.display(),
                    parts.first().map_or("NAME", String::as_str)
                ),
                _ => Err(error),
            },
        };
    }
    let (path, _, damaged) = latest_checkpoint(path)?;
    damaged.iter().for_each(|problem| eprintln!("warning: {problem}; using an older checkpoint"));
    Ok(checkpoint::read_weights(&path, checkpoint::Weights::Ema)?)
}

/// How to change an assumption.
fn remedy(assumption: &Assumption) -> String {
    match (assumption.concerns, assumption.name) {
        (Concerns::Network, name) => format!("change with --set {name}=VALUE"),
        (Concerns::Objective, "time_direction") => REVERSED.into(),
        (Concerns::Objective, name) => format!("change with --{name} NAME"),
        (Concerns::Sampling, _) => "change with --cfg-scale S".into(),
        (Concerns::Data, "latents") => "take the latents with --npy; the picture shows their channels".into(),
        (Concerns::Data, _) => "it cannot be changed".into(),
    }
}

/// Reads a file of weights and builds its network. Assumed settings are printed to standard error.
///
/// # Errors
/// A damaged or unknown file, an unknown key, and weights that do not fit the network.
pub fn open(path: &Path, args: &FileArgs, device: Device) -> anyhow::Result<Opened> {
    Ok(open_with(path, args, device, |_, _, _| ())?.0)
}

/// [`open`], for files with further parameters, which `beside` creates in the store of the network
/// by the file's metadata and tensors.
///
/// # Errors
/// As [`open`].
pub fn open_with<T>(
    path: &Path,
    args: &FileArgs,
    device: Device,
    beside: impl FnOnce(&VarStore, Option<&About>, &BTreeMap<String, Tensor>) -> T,
) -> anyhow::Result<(Opened, T)> {
    let (weights, settings) = (read(path, args.part.as_deref())?, &args.set);
    let Recognised { config, assumed } = interchange::recognise(&weights)?;
    for assumption in assumed.iter().filter(|assumption| !args.gives(assumption.name)) {
        eprintln!("assumed   {assumption}: {} ({})", assumption.why, remedy(assumption));
    }
    let config = overlay(config, settings)?;
    interchange::check_size(&weights, &config)?;
    let store = VarStore::new(device);
    let model = config.build(&store.root())?;
    let further = beside(&store, weights.about.as_ref(), &weights.tensors);
    interchange::load(&store, config.kind(), &weights.tensors)
        .with_context(|| format!("cannot load {}", path.display()))?;
    let part = if weights.part.is_empty() { String::new() } else { format!(" ({})", weights.part) };
    let name = format!("weights of {}{part}", path.display());
    Ok((Opened { about: weights.about, config, name, store, model }, further))
}

/// Overrides a configuration by `key=value` settings; values are TOML.
fn overlay(config: ModelConfig, settings: &[String]) -> anyhow::Result<ModelConfig> {
    let mut table = Table::try_from(&config).context("cannot write the configuration as TOML; please report this")?;
    for setting in settings {
        let top: Table =
            setting.parse().with_context(|| format!("cannot read --set {setting}; give KEY=VALUE as in TOML"))?;
        ensure!(!top.contains_key("kind"), "cannot set kind: it follows from the tensors of the file; drop --set kind");
        settings::overlay(&mut table, top, "model.")?;
    }
    table.try_into().context("--set gives a value that does not fit its key; see the keys by `inspect FILE`")
}
