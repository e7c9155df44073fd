//! `cifar-train train`.

use crate::args::TrainArgs;
use crate::batches::ImageBatches;
use crate::config::Config;
use crate::generate::{Request, generate};
use crate::latent::{self, Autoencoder, Latents, to_pixels};
use crate::{data, plan};
use anyhow::{Context, bail};
use fm_app::job::Job;
use fm_app::pictures::{Grid, save_png};
use fm_app::sampler::Sampler;
use fm_app::sources::irreducible;
use fm_app::watch::Cadence;
use fm_core::rng::{Stream, torch_seed};
use fm_core::source::Source;
use fm_core::tensor::VelocityModel;
use fm_data::ImageSet;
use fm_train::checkpoint::{DataMeta, RunInfo};
use fm_train::run_dir::latest_checkpoint;
use fm_train::task::FlowMatching;
use fm_train::train::{TrainOptions, TrainState};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tch::{Device, nn};

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let (mut config, out) = configure(args)?;
    config.validate()?;
    let set = data::open(&config.data, config.image_size)?;
    if let Some(epochs) = args.epochs {
        config.steps = (epochs * set.len() as u64).div_ceil(config.batch_size as u64);
        config.validate()?;
    }
    let device = fm_app::device::select(&config.device)?;
    let autoencoder = open_autoencoder(&config, args.resume.then_some(&out), device)?;
    let mut scale = config.latent_scale;
    let encode = |a: &Autoencoder| Latents::of(a, &set, config.horizontal_flip, &mut scale);
    let latents = autoencoder.as_ref().map(encode).transpose()?;
    config.latent_scale = scale;
    let shape = autoencoder.as_ref().map_or(set.shape, |a| a.config().latent_shape().map(|n| n as usize));
    let classes = if config.conditional { set.classes.len() } else { 0 };
    config.model.fit_to_images(shape, classes, config.label_drop > 0.0);
    let rows = || latents.as_ref().map_or_else(|| data::matrix(&set), |latents| latents.plain.clone());
    let deviation = || match &latents {
        Some(latents) => fm_core::source::deviation(latents.plain.iter().map(|v| f64::from(*v))),
        None => data::deviation(&set),
    };
    let source = data::open_source(&mut config, shape.iter().product(), deviation)?;
    let objective = config.flow.objective.clone();
    objective.validate(&source)?;
    // Better now than after the training.
    objective.span().context("a network trained so could not be sampled")?;

    let batches = ImageBatches::new(&set, latents.as_ref(), source.clone(), &config)?;
    tch::manual_seed(torch_seed(config.seed, 0, Stream::Init));
    let store = nn::VarStore::new(device);
    let model = config.model.build(&store.root())?;
    println!("{}", plan::describe(&config, &set, fm_models::parameter_count(&store), device, &out));
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let least = irreducible(&config.flow, &source, rows, config.conditional, config.seed)?;
    if let Some(least) = least {
        println!(
            "least     loss {:.5} +- {:.5}: what the field that knows every image would have",
            least.value, least.standard_error
        );
    }
    let copy = |a: &Autoencoder| Ok::<_, anyhow::Error>((latent::FILE, a.bytes()?));
    let row_shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
    let state = config.learning.state(&store, &config.model, config.precision, objective.loss_aware_bins);
    let job = Job {
        resume: args.resume,
        config_toml: toml::to_string(&config).context("cannot write the configuration as TOML")?,
        info: info(&config, &set, &row_shape)?,
        files: autoencoder.iter().map(copy).collect::<Result<_, _>>()?,
        options: TrainOptions { irreducible: least.map(|l| l.value), ..options(&config) },
        cadence: Cadence {
            save_every: config.save_every,
            keep: config.keep_checkpoints,
            sample_every: config.sample_every,
        },
        batch_size: config.batch_size,
        learning: config.learning.clone(),
        out: out.clone(),
    };
    let preview = Preview {
        config: &config,
        set: &set,
        autoencoder: autoencoder.as_ref(),
        shape: row_shape.clone(),
        model: model.as_ref(),
        source: &source,
        device,
        out: &out,
    };
    let task = FlowMatching { model: model.as_ref(), objective, shape: row_shape };
    job.run(&task, &batches, state, Box::new(|state| preview.draw(state)))
}

fn configure(args: &TrainArgs) -> anyhow::Result<(Config, PathBuf)> {
    if !args.resume {
        let config = Config::resolve(args)?;
        let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&config.preset));
        return Ok((config, out));
    }
    let Some(out) = args.out.clone() else { bail!("--resume needs the run to go on with: --out DIR") };
    let (path, meta, _) = latest_checkpoint(&out).context("there is nothing to resume")?;
    let saved = serde_json::from_value(meta.config)
        .with_context(|| format!("{} was not written by cifar-train", path.display()))?;
    Ok((Config::resume(saved, args)?, out))
}

/// What a picture of the model in training needs.
struct Preview<'a> {
    config: &'a Config,
    set: &'a ImageSet,
    autoencoder: Option<&'a Autoencoder>,
    shape: Vec<i64>,
    model: &'a dyn VelocityModel,
    source: &'a Source,
    device: Device,
    out: &'a Path,
}

impl Preview<'_> {
    /// A grid of EMA samples, `samples/step-N.png`.
    fn draw(&self, state: &mut TrainState) -> anyhow::Result<()> {
        let names = if self.config.conditional { self.set.classes.as_slice() } else { &[] };
        let (columns, rows) = (8, if names.is_empty() { 8 } else { names.len().min(16) });
        let count = rows * columns;
        let request = Request {
            sampler: Sampler::fixed(self.config.sampling.solver, self.config.sampling.num_steps),
            objective: self.config.flow.objective.clone(),
            source: self.source.clone(),
            cfg_scale: if self.config.model.null_class().is_some() { self.config.sampling.cfg_scale } else { 1.0 },
            cfg_interval: (0.0, 1.0),
            seed: self.config.seed,
            shape: self.shape.clone(),
            count,
            classes: if names.is_empty() { Vec::new() } else { (0..count).map(|i| (i / columns) as i64).collect() },
            null_class: self.config.model.null_class(),
            batch_size: count,
        };
        state.params.bind(Some(state.ema.weights()));
        let drawn = generate(self.model, self.device, &request, false);
        state.params.bind(None);
        let row_names = names.iter().take(rows).cloned().collect();
        let grid = Grid { shape: self.set.shape, levels: self.set.levels, columns, row_names };
        let path = self.out.join("samples").join(format!("step-{}.png", state.step));
        let images = to_pixels(self.autoencoder, self.config.latent_scale, drawn?.values)?;
        save_png(&path, &grid.draw(&self.set.denormalise(&images))?)
    }
}

/// The autoencoder that the configuration names; when a run is resumed, the one that it keeps.
fn open_autoencoder(config: &Config, resumed: Option<&PathBuf>, device: Device) -> anyhow::Result<Option<Autoencoder>> {
    let place = resumed.map_or_else(|| PathBuf::from(&config.latent), |run| run.join(latent::FILE));
    (!config.latent.is_empty()).then(|| Autoencoder::open(&place, device)).transpose()
}

fn options(c: &Config) -> TrainOptions {
    TrainOptions {
        steps: c.steps,
        workers: c.num_workers,
        log_every: c.log_every,
        clip: c.learning.clip,
        schedule: c.learning.schedule(c.steps),
        seed: c.seed,
        micro_batch: c.learning.micro_batch_size,
        patience: c.learning.non_finite_patience,
        checkpoint_activations: c.checkpoint_activations,
        irreducible: None,
    }
}

fn info(config: &Config, set: &ImageSet, shape: &[i64]) -> anyhow::Result<RunInfo> {
    let levels = set.levels;
    let pixels = format!("pixel values 0..={levels} as 2 p / {levels} - 1");
    let normalisation = match config.latent.is_empty() {
        true => pixels,
        false => format!("{pixels}, encoded, times {}", config.latent_scale),
    };
    Ok(RunInfo {
        program: format!("cifar-train {}", env!("CARGO_PKG_VERSION")),
        path: config.flow.objective.path.to_string(),
        prediction: config.flow.objective.prediction.to_string(),
        data: DataMeta {
            shape: shape.to_vec(),
            normalisation,
            levels,
            classes: if config.conditional { set.classes.clone() } else { Vec::new() },
        },
        model: serde_json::to_value(&config.model)?,
        config: serde_json::to_value(config)?,
    })
}
