//! A model loaded from a run, or from a file of weights.

use crate::args::ModelFileArgs;
use crate::config::Config;
use crate::saved::Saved;
use anyhow::{Context, ensure};
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_core::tensor::VelocityModel;
use fm_data::Columns;
use fm_models::ModelConfig;
use fm_models::interchange::About;
use fm_run::objective_args::FlowConfig;
use fm_run::weights::{self, WhichWeights};
use fm_tables::data::open_source;
use fm_tables::source_rows::{SOURCE_ROWS, rows_of};
use fm_terminal::eprintln;
use fm_train::fingerprint::fingerprint;
use fm_train::flat::{FlatParams, Precision};
use fm_train::run_dir::latest_checkpoint;
use fm_train::trained_source::TrainedSource;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor, nn};

pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) columns: Columns,
    pub(crate) source: Source,
    pub(crate) model: Box<dyn VelocityModel>,
    /// The source, if it was trained.
    pub(crate) trained_source: Option<TrainedSource>,
    pub(crate) device: Device,
    /// Path of the checkpoint or file.
    pub(crate) path: PathBuf,
    /// Description of the weights.
    pub(crate) weights: String,
    pub(crate) store: nn::VarStore,
    pub(crate) network: ModelConfig,
    /// Step of training, and the decay of the average, if the weights are one.
    pub(crate) step: u64,
    pub(crate) ema_decay: Option<f64>,
    /// Whether a run or the file describes the source and the columns.
    pub(crate) described: bool,
}

impl Loaded {
    pub(crate) fn dim(&self) -> usize {
        self.columns.dim()
    }

    /// The network of a run with the weights that its seed gives, before the first step.
    pub(crate) fn at_the_start(&self) -> anyhow::Result<(nn::VarStore, Box<dyn VelocityModel>)> {
        tch::manual_seed(Key::new(self.config.seed, 0, Stream::Init).torch_seed());
        let store = nn::VarStore::new(self.device);
        let model = self.config.model(&self.columns)?.build(&store.root())?;
        Ok((store, model))
    }
}

/// Loads the averaged weights of a checkpoint or of a run's newest undamaged checkpoint, or a file
/// of weights.
pub(crate) fn load(checkpoint: &Path, file: &ModelFileArgs, device: &str) -> anyhow::Result<Loaded> {
    let device = fm_run::device::select(device)?;
    if weights::is_weights(checkpoint)? {
        return from_file(checkpoint, file, device);
    }
    file.file.refuse()?;
    ensure!(file.source.is_none(), "cannot apply --source: this is a run, which knows its source; drop it");
    let (path, mut meta, damaged) = latest_checkpoint(checkpoint)?;
    damaged.iter().for_each(|problem| eprintln!("warning: {problem}; using an older checkpoint"));
    let saved = Saved::read(meta.config.take())
        .with_context(|| format!("{} was not written by tabular-train; give a run of this program", path.display()))?;
    let Saved { run: mut config, columns } = saved;
    let network = config.model(&columns)?;
    meta.check_network(&path, &network.data_shape(), network.classes(), network.parameters()?)?;
    let source = known_source(&mut config, &columns)?;
    if let (Source::Rows(rows), Some(known)) = (&source, meta.data.part("source")) {
        ensure!(
            fingerprint(rows)? == known,
            "the source {} changed since the run began; restore it, or use the model.safetensors of the run",
            config.flow.source
        );
    }
    let store = nn::VarStore::new(device);
    let model = network.build(&store.root())?;
    let trained_source = config.trained_source(&store, columns.dim());
    let (kind, weights) = file.which.of(meta.step);
    FlatParams::new(&store, Precision::F32)?.adopt(weights::of_checkpoint(&path, kind)?)?;
    let WhichWeights { raw_weights, ema_decay, ema_sigma } = file.which;
    let of_decay = !raw_weights && ema_sigma.is_none();
    let ema_decay = if of_decay { ema_decay.or(meta.ema.decays.first().copied()) } else { None };
    let (step, described) = (meta.step, true);
    Ok(Loaded {
        config,
        columns,
        source,
        model,
        trained_source,
        device,
        path,
        weights,
        store,
        network,
        step,
        ema_decay,
        described,
    })
}

/// The source of a trained model, whose name contains its measured deviation already.
fn known_source(config: &mut Config, columns: &Columns) -> anyhow::Result<Source> {
    let how = config.reading();
    open_source(&mut config.flow.source, &how, columns, || 0.0)
}

/// A file written by this library names its objective; any other network is assumed to predict the
/// velocity of the linear path, in the data's units.
fn from_file(path: &Path, args: &ModelFileArgs, device: Device) -> anyhow::Result<Loaded> {
    args.which.refuse()?;
    let file = &args.file;
    let (opened, Beside { trained: trained_source, rows }) = weights::open_with(path, file, device, beside)?;
    let shape = opened.config.data_shape();
    ensure!(shape.len() == 1, "{} is a network for images; use cifar-train", path.display());
    let whole = |about: &About| !about.program.starts_with("tabular-train") || !about.config.is_null();
    ensure!(
        opened.about.as_ref().is_none_or(whole),
        "{} is a part of a checkpoint, which knows the columns' units; name the checkpoint's directory",
        path.display()
    );
    let objective = file.objective(opened.about.as_ref())?;
    let clip = objective.times.clip;
    let describes = |about: &About| !about.config.is_null();
    ensure!(
        args.source.is_none() || !opened.about.as_ref().is_some_and(&describes),
        "cannot apply --source: {} names the source of its run; drop it",
        path.display()
    );
    let flow = FlowConfig { objective, source: assumed_source(args, &opened), ..FlowConfig::default() };
    let unknown = || Saved {
        run: Config { flow, ..Config::default() }.with_parameters(false),
        columns: Columns::unchanged(shape[0] as usize),
    };
    let (step, ema_decay) = opened.about.as_ref().map_or((0, None), |about| (about.step, about.ema_decay));
    let described = opened.about.as_ref().is_some_and(describes);
    let Saved { run: mut config, columns } = match opened.about {
        // Columns in wrong units would not be noticed.
        Some(about) if !about.config.is_null() => Saved::read(about.config).with_context(|| {
            format!("cannot read what {} was trained for; write it again from its run", path.display())
        })?,
        _ => unknown(),
    };
    config.flow.objective.times.clip = clip;
    let classes = columns.classes.len() as i64;
    ensure!(
        columns.dim() as i64 == shape[0] && (classes == 0 || classes == opened.config.classes()),
        "cannot use {}: it describes {} columns and {classes} classes, which its network does not take; write it again from its run",
        path.display(),
        columns.dim()
    );
    // A toy distribution opens no file, and the user may name one.
    if args.source.is_none() && config.source_toy().is_none() && rows.is_none() {
        fm_run::sources::named(&config.flow.source)
            .with_context(|| format!("{} describes a source that is not in the file; use the run", path.display()))?;
    }
    let source = match rows {
        Some(rows) => Source::Rows(rows_of(&rows, columns.dim())?),
        None => known_source(&mut config, &columns)?,
    };
    let (path, model, store, weights) = (path.to_path_buf(), opened.model, opened.store, opened.name);
    let network = opened.config;
    Ok(Loaded {
        config,
        columns,
        source,
        model,
        trained_source,
        device,
        path,
        weights,
        store,
        network,
        step,
        ema_decay,
        described,
    })
}

/// What a file of weights has of its run's source: a trained source, with its parameters in
/// `store`, or rows.
#[derive(Default)]
struct Beside {
    trained: Option<TrainedSource>,
    rows: Option<Tensor>,
}

fn beside(store: &nn::VarStore, about: Option<&About>, tensors: &BTreeMap<String, Tensor>) -> Beside {
    let Some(Saved { run, columns }) = about.and_then(|about| Saved::read(about.config.clone()).ok()) else {
        return Beside::default();
    };
    let rows = tensors.get(SOURCE_ROWS).map(|rows| (store.root() / "source").zeros_no_train("rows", &rows.size()));
    Beside { trained: run.trained_source(store, columns.dim()), rows }
}

/// The source that the user names for a file of weights that does not; a source that is assumed is
/// printed to standard error.
fn assumed_source(args: &ModelFileArgs, opened: &weights::Opened) -> String {
    let FlowConfig { source, .. } = FlowConfig::default();
    let needed = args.source.is_none() && !args.file.given.contains(&"source");
    if needed && opened.about.as_ref().is_none_or(|about| about.config.is_null()) {
        eprintln!("assumed   source = {source}: the file does not name one (change with --source NAME)");
    }
    args.source.clone().unwrap_or(source)
}
