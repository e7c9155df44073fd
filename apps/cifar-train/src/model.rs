//! A model loaded from a run, or from a file of weights.

use crate::args::{CheckpointArgs, Which};
use crate::config::Config;
use crate::presets;
use anyhow::{Context, ensure};
use fm_core::source::Source;
use fm_core::tensor::VelocityModel;
use fm_data::ImageSet;
use fm_images::data;
use fm_images::latent::{self, Autoencoder};
use fm_models::interchange::{self, About};
use fm_models::resize::{Resized, resized};
use fm_run::guidance::Weak;
use fm_run::objective_args::FlowConfig;
use fm_run::weights::{self, Opened, WhichWeights};
use fm_terminal::eprintln;
use fm_train::checkpoint::DataMeta;
use fm_train::flat::{FlatParams, Precision};
use fm_train::run_dir::latest_checkpoint;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tch::{Device, nn};

pub(crate) struct Loaded {
    /// Path of the checkpoint or file.
    pub(crate) path: PathBuf,
    pub(crate) config: Config,
    pub(crate) data: DataMeta,
    pub(crate) source: Source,
    /// The autoencoder of a network in a latent space.
    pub(crate) autoencoder: Option<Autoencoder>,
    pub(crate) model: Box<dyn VelocityModel>,
    /// A weaker model to guide samples away from.
    pub(crate) weak: Option<Rc<Weak>>,
    pub(crate) device: Device,
    pub(crate) store: nn::VarStore,
    pub(crate) step: u64,
    /// Decay of the moving average, if the weights are an average.
    pub(crate) ema_decay: Option<f64>,
    /// Description of the weights.
    pub(crate) weights: String,
}

pub(crate) fn load(from: &CheckpointArgs) -> anyhow::Result<Loaded> {
    open(&from.checkpoint, &from.which, false)
}

/// Opens a model. `exact` uses f32, whatever precision the network was trained in.
pub(crate) fn open(path: &Path, which: &Which, exact: bool) -> anyhow::Result<Loaded> {
    let device = fm_run::device::select(&which.device)?;
    if weights::is_weights(path)? {
        return from_file(path, which, device);
    }
    which.file.refuse()?;
    let (path, mut meta, damaged) = latest_checkpoint(path)?;
    damaged.iter().for_each(|problem| eprintln!("warning: {problem}; using an older checkpoint"));
    let mut config: Config = serde_json::from_value(meta.config.take())
        .with_context(|| format!("{} was not written by cifar-train; give a run of this program", path.display()))?;
    let network = &config.model;
    meta.check_network(&path, &network.data_shape(), network.classes(), network.parameters()?)?;
    let source = open_source(&mut config, &meta.data.shape)?;
    let store = nn::VarStore::new(device);
    let model = config.model.build(&store.root())?;
    let autoencoder = open_autoencoder(&config, &path, device)?;
    if let (Some(autoencoder), Some(known)) = (&autoencoder, meta.data.part(latent::AUTOENCODER)) {
        ensure!(
            autoencoder.sha256()? == known,
            "the autoencoder of {} is not the one that the run was trained with, or it is damaged; restore it",
            path.display()
        );
    }
    let (kind, weights) = which.weights.of(meta.step);
    let precision = if exact { Precision::F32 } else { config.precision.into() };
    FlatParams::new(&store, precision)?.adopt(weights::of_checkpoint(&path, kind)?)?;
    let WhichWeights { raw_weights, ema_decay, ema_sigma } = which.weights;
    let ema_decay =
        if raw_weights || ema_sigma.is_some() { None } else { ema_decay.or(meta.ema.decays.first().copied()) };
    Ok(Loaded {
        path,
        config,
        data: meta.data,
        source,
        autoencoder,
        model,
        weak: None,
        device,
        store,
        step: meta.step,
        ema_decay,
        weights,
    })
}

/// A file written by this library names its objective; any other network is assumed to predict the
/// velocity of the linear path for images in [-1, 1].
fn from_file(path: &Path, which: &Which, device: Device) -> anyhow::Result<Loaded> {
    which.weights.refuse()?;
    let mut opened = weights::open(path, &which.file, device)?;
    let shape = opened.config.data_shape();
    ensure!(shape.len() == 3, "{} is a network for points; use tabular-train", path.display());
    let objective = which.file.objective(opened.about.as_ref())?;
    let About { config, data, step, ema_decay, .. } = opened.about.take().unwrap_or_default();
    let foreign_source = || format!("{} describes a source that is not in the file; use the run", path.display());
    let foreign = || format!("{} was not written by cifar-train; give a run of this program", path.display());
    let mut config = match config {
        Value::Null => {
            let flow = FlowConfig { objective, ..FlowConfig::default() };
            let mut config = Config { flow, ..presets::preset("cifar10-unet")? };
            // No guidance is assumed, unless a flag asks for it.
            config.sampling.cfg_scale = 1.0;
            config
        }
        config => {
            let mut config: Config = serde_json::from_value(config).with_context(foreign)?;
            config.flow.objective.times.clip = objective.times.clip;
            config
        }
    };
    fm_run::sources::named(&config.flow.source).with_context(foreign_source)?;
    config.model = opened.config.clone();
    let data = match data {
        Value::Null => pixels(shape.clone(), config.model.classes()),
        data => serde_json::from_value(data).with_context(foreign)?,
    };
    ensure!(
        data.shape == shape && (data.classes.is_empty() || data.classes.len() as i64 == config.model.classes()),
        "cannot use {}: it describes images of {:?} in {} classes, which its network does not take; write it again from its run",
        path.display(),
        data.shape,
        data.classes.len()
    );
    let source = open_source(&mut config, &shape)?;
    // The weights get the same memory layout as in a run, so that both round in the same way.
    FlatParams::new(&opened.store, config.precision.into())?;
    let autoencoder = open_autoencoder(&config, path, device)?;
    let (path, Opened { model, store, name: weights, .. }) = (path.to_path_buf(), opened);
    Ok(Loaded { path, config, data, source, autoencoder, model, weak: None, device, store, step, ema_decay, weights })
}

/// The source of a trained model, whose name contains its measured deviation already.
fn open_source(config: &mut Config, shape: &[i64]) -> anyhow::Result<Source> {
    let dim = shape.iter().product::<i64>() as usize;
    data::open_source(&mut config.flow.source, config.image_size, dim, || 0.0)
}

fn open_autoencoder(config: &Config, checkpoint: &Path, device: Device) -> anyhow::Result<Option<Autoencoder>> {
    (!config.latent.is_empty()).then(|| Autoencoder::open(&latent::copy_of(checkpoint)?, device)).transpose()
}

impl Loaded {
    /// The shape of an image.
    pub(crate) fn image_shape(&self) -> Vec<i64> {
        self.autoencoder.as_ref().map_or_else(|| self.data.shape.clone(), |a| a.config().image_shape().to_vec())
    }

    /// Makes it a model of images of another height and width.
    ///
    /// # Errors
    /// A size that the network does not take, and a model in a latent space.
    pub(crate) fn resize(&mut self, size: [i64; 2]) -> anyhow::Result<()> {
        ensure!(
            self.autoencoder.is_none(),
            "cannot draw another size in a latent space, whose autoencoder has one size; drop --size"
        );
        let Resized { config, store, model } = resized(&self.config.model, &self.store, size)
            .with_context(|| format!("cannot draw images of {} x {}", size[0], size[1]))?;
        // The same memory layout and precision as in a run.
        FlatParams::new(&store, self.config.precision.into())?;
        self.data.shape = config.data_shape();
        (self.config.model, self.store, self.model) = (config, store, model);
        self.source = open_source(&mut self.config, &self.data.shape)?;
        Ok(())
    }

    /// The SHA-256 of the weights that are used.
    pub(crate) fn sha256(&self) -> anyhow::Result<String> {
        let bytes = interchange::safetensors(&interchange::named(&self.store), &About::default())?;
        Ok(fm_train::files::sha256(&bytes))
    }

    /// Everything that samples depend on, as a key for caches: weights, configuration and
    /// autoencoder.
    pub(crate) fn key(&self) -> anyhow::Result<Value> {
        let autoencoder = self.autoencoder.as_ref().map(Autoencoder::sha256).transpose()?;
        Ok(
            json!({ "weights": self.sha256()?, "config": serde_json::to_value(&self.config)?, "autoencoder": autoencoder }),
        )
    }

    /// Images from the network's samples.
    pub(crate) fn to_pixels(&self, values: Vec<f32>) -> anyhow::Result<Vec<f32>> {
        latent::to_pixels(self.autoencoder.as_ref(), self.config.latent_scale, values)
    }
}

/// 8-bit images, scaled to [-1, 1] as usual.
fn pixels(shape: Vec<i64>, classes: i64) -> DataMeta {
    let classes = (0..classes).map(|k| k.to_string()).collect();
    let normalisation = "pixel values 0..=255 as 2 p / 255 - 1".into();
    DataMeta { shape, normalisation, levels: 255, classes, ..DataMeta::default() }
}

/// # Errors
/// Images of another size than the model was trained on.
pub(crate) fn check_shape(set: &ImageSet, loaded: &Loaded) -> anyhow::Result<()> {
    let shape = loaded.image_shape();
    let same = set.shape.iter().map(|&s| s as i64).eq(shape.iter().copied());
    ensure!(same, "the data set has images of {:?}, the model of {shape:?}; give images of that shape", set.shape);
    Ok(())
}
