//! `cifar-train vqvae`: trains the autoencoder in whose latent space `train --latent` works.

use crate::args::AutoencoderArgs;
use crate::data;
use crate::latent::Autoencoder;
use anyhow::{Context, ensure};
use fm_app::flow::set;
use fm_app::job::Job;
use fm_app::pictures::{Grid, save_png};
use fm_app::settings;
use fm_app::watch::Cadence;
use fm_core::rng::{self, Stream, torch_seed};
use fm_core::tape::Tape;
use fm_core::tensor::upload;
use fm_data::{ImageSet, order::Order};
use fm_metrics::palette::palette_error;
use fm_models::vqvae::{VqVae, VqVaeConfig};
use fm_train::TrainError;
use fm_train::adamw::AdamWConfig;
use fm_train::adaptive::AdaptiveTimes;
use fm_train::batch::{Batch, BatchSource};
use fm_train::checkpoint::{DataMeta, RunInfo};
use fm_train::flat::{FlatParams, Precision};
use fm_train::run_dir::latest_checkpoint;
use fm_train::schedule::{Decay, Schedule};
use fm_train::task::{At, Task};
use fm_train::train::{TrainOptions, TrainState};
use ndarray::Array2;
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use tch::{Device, Tensor, nn, no_grad};

/// Everything that decides what a run computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) data: String,
    pub(crate) image_size: u32,
    pub(crate) horizontal_flip: bool,
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    pub(crate) batch_size: usize,
    pub(crate) lr: f64,
    pub(crate) warmup_steps: u64,
    pub(crate) num_workers: usize,
    pub(crate) device: String,
    pub(crate) log_every: u64,
    pub(crate) save_every: u64,
    pub(crate) sample_every: u64,
    pub(crate) model: VqVaeConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "digits".into(),
            image_size: 32,
            horizontal_flip: false,
            seed: 0,
            steps: 2000,
            batch_size: 64,
            lr: 1e-3,
            warmup_steps: 100,
            num_workers: 1,
            device: "auto".into(),
            log_every: 50,
            save_every: 500,
            sample_every: 500,
            model: VqVaeConfig::default(),
        }
    }
}

impl Config {
    fn resolve(args: &AutoencoderArgs) -> anyhow::Result<Self> {
        let saved =
            args.resume.then(|| latest_checkpoint(&args.out).context("there is nothing to resume")).transpose()?;
        let base = match &saved {
            Some((path, meta, _)) => serde_json::from_value(meta.config.clone())
                .with_context(|| format!("{} is no autoencoder's", path.display()))?,
            None => {
                let file = args.config.as_deref().map(settings::read).transpose()?.unwrap_or_default();
                settings::lay_over(&Self::default(), file)?
            }
        };
        let mut config: Self = base;
        let before = config.clone();
        config.apply(args);
        if saved.is_some() {
            settings::check_resumed(
                &before,
                &config,
                &["steps", "num_workers", "device", "save_every", "sample_every"],
            )?;
        }
        ensure!(config.steps > 0 && config.batch_size > 0, "steps and batch_size must be at least 1");
        ensure!(config.log_every > 0, "log_every is 0: give at least 1");
        ensure!(config.lr > 0.0 && config.lr.is_finite(), "lr is {}: choose a learning rate above 0 (--lr)", config.lr);
        Ok(config)
    }

    fn apply(&mut self, args: &AutoencoderArgs) {
        set(&mut self.data, &args.data);
        set(&mut self.image_size, &args.image_size);
        set(&mut self.horizontal_flip, &args.horizontal_flip);
        set(&mut self.seed, &args.seed);
        set(&mut self.steps, &args.steps);
        set(&mut self.batch_size, &args.batch_size);
        set(&mut self.lr, &args.lr);
        set(&mut self.device, &args.device);
        set(&mut self.save_every, &args.save_every);
        set(&mut self.sample_every, &args.sample_every);
        set(&mut self.model.channels, &args.channels);
        set(&mut self.model.channel_mult, &args.channel_mult);
        set(&mut self.model.codebook.codes, &args.codes);
        set(&mut self.model.codebook.dim, &args.code_dim);
        set(&mut self.model.commitment, &args.commitment);
    }
}

/// Reconstruction as a task for the training loop.
struct Autoencoding<'m> {
    model: &'m VqVae,
}

impl Task for Autoencoding<'_> {
    fn loss<'a>(
        &'a self,
        batch: &Batch,
        at: At,
        _: Option<&mut AdaptiveTimes>,
        _: &mut Tape<'a>,
    ) -> Result<Tensor, TrainError> {
        let shape = self.model.config().image_shape();
        let rows = batch.x1.len() as i64 / shape.iter().product::<i64>();
        let x = upload(&batch.x1, &[&[rows], shape.as_slice()].concat(), at.device);
        Ok(self.model.loss(&x, true))
    }
}

struct Images<'a> {
    set: &'a ImageSet,
    order: Order,
    config: &'a Config,
}

impl BatchSource for Images<'_> {
    fn batch(&self, step: u64) -> Result<Batch, String> {
        let rows = self.order.batch(step, self.config.batch_size);
        let mut x1 = vec![0.0; rows.len() * self.set.dim()];
        for (i, (row, out)) in rows.iter().zip(x1.chunks_exact_mut(self.set.dim())).enumerate() {
            let mirror = || rng::stream(self.config.seed, step, Stream::Augment, i as u64).random();
            self.set.write_normalised(*row, self.config.horizontal_flip && mirror(), out);
        }
        Ok(Batch { x1, ..Batch::default() })
    }
}

pub(crate) fn run(args: &AutoencoderArgs) -> anyhow::Result<ExitCode> {
    let mut config = Config::resolve(args)?;
    let set = data::open(&config.data, config.image_size)?;
    let [channels, height, width] = set.shape.map(|n| n as i64);
    (config.model.image_channels, config.model.image_size) = (channels, [height, width]);
    let device = fm_app::device::select(&config.device)?;
    tch::manual_seed(torch_seed(config.seed, 0, Stream::Init));
    let store = nn::VarStore::new(device);
    let model = VqVae::new(&store.root(), &config.model)?;
    println!("data      {}: {} images {:?}", config.data, set.len(), set.shape);
    println!(
        "model     VQ-VAE, {} parameters, {} codes, latents {:?}, {:.0} bits an image, on {device:?}",
        fm_models::parameter_count(&store),
        config.model.codebook.codes,
        config.model.latent_shape(),
        config.model.bits()
    );
    println!("training  {} steps of {} images, into {}", config.steps, config.batch_size, args.out.display());
    // The autoencoder is used as it is, not its average, because its codes are no average either.
    let state = TrainState::new(FlatParams::new(&store, Precision::F32), AdamWConfig::default(), 0.0, 0);
    let images = Images { set: &set, order: Order::new(config.seed, set.len()), config: &config };
    let job = job(args, &config, &set)?;
    let picture = |state: &mut TrainState| {
        let path = args.out.join("samples").join(format!("step-{}.png", state.step));
        let (pixels, columns) = side_by_side(&model, &set, device)?;
        save_png(&path, &Grid { shape: set.shape, levels: set.levels, columns, row_names: vec![] }.draw(&pixels)?)
    };
    let code = job.run(&Autoencoding { model: &model }, &images, state, Box::new(picture))?;
    if code == ExitCode::SUCCESS {
        let test = args.test.as_deref().map(|name| data::open(name, config.image_size)).transpose()?;
        let measured =
            report(&args.out, &config, &set, test.as_ref().map(|set| (args.test.as_deref().unwrap_or(""), set)))?;
        fm_train::files::write(&args.out.join("autoencoder.json"), format!("{measured:#}\n").as_bytes())?;
    }
    Ok(code)
}

fn job(args: &AutoencoderArgs, config: &Config, set: &ImageSet) -> anyhow::Result<Job> {
    Ok(Job {
        out: args.out.clone(),
        resume: args.resume,
        config_toml: toml::to_string(config).context("cannot write the configuration as TOML")?,
        info: RunInfo {
            program: format!("cifar-train {}", env!("CARGO_PKG_VERSION")),
            path: "none".into(),
            prediction: "reconstruction".into(),
            data: DataMeta {
                shape: config.model.image_shape().to_vec(),
                normalisation: format!("pixel values 0..={0} as 2 p / {0} - 1", set.levels),
                levels: set.levels,
                classes: Vec::new(),
            },
            model: serde_json::Value::Null,
            config: serde_json::to_value(config)?,
        },
        files: Vec::new(),
        options: TrainOptions {
            steps: config.steps,
            workers: config.num_workers,
            log_every: config.log_every,
            clip: 1.0,
            schedule: Schedule {
                lr: config.lr,
                warmup_steps: config.warmup_steps,
                decay: Decay::Cosine,
                total_steps: config.steps,
            },
            seed: config.seed,
            checkpoint_activations: false,
            irreducible: None,
        },
        cadence: Cadence { save_every: config.save_every, keep: 3, sample_every: config.sample_every },
        batch_size: config.batch_size,
    })
}

/// A row of images above a row of their reconstructions, four times.
fn side_by_side(model: &VqVae, set: &ImageSet, device: Device) -> anyhow::Result<(Vec<u8>, usize)> {
    let (columns, dim) = (set.len().min(12), set.dim());
    let mut pixels = Vec::new();
    for first in (0..4).map(|k| k * columns).filter(|first| first + columns <= set.len()) {
        let mut x = vec![0.0; columns * dim];
        for (i, row) in x.chunks_exact_mut(dim).enumerate() {
            set.write_normalised(first + i, false, row);
        }
        let shape = [&[columns as i64], model.config().image_shape().as_slice()].concat();
        let decoded = no_grad(|| model.reconstruct(&upload(&x, &shape, device), false).images);
        pixels.extend(&set.pixels[first * dim..(first + columns) * dim]);
        pixels.extend(set.denormalise(&Vec::<f32>::try_from(decoded.to_device(Device::Cpu).reshape([-1]))?));
    }
    Ok((pixels, columns))
}

/// Pixels that the palette is fitted to.
const PALETTE_PIXELS: usize = 200_000;

/// Reconstruction error, codes in use, and what a palette of sixteen colours loses at its rate.
fn report(
    out: &Path,
    config: &Config,
    set: &ImageSet,
    test: Option<(&str, &ImageSet)>,
) -> anyhow::Result<serde_json::Value> {
    let autoencoder = Autoencoder::open(out, fm_app::device::select(&config.device)?)?;
    let mut all = Vec::new();
    for (name, set) in [Some((config.data.as_str(), set)), test].into_iter().flatten() {
        let (error, share, perplexity) = autoencoder.measure(set)?;
        let (palette, palette_bits) = (sixteen_colours(set)?, 4.0 * (set.dim() / set.shape[0]) as f64);
        println!(
            "error     {error:.5} on {} images of {name} (mean square, values in [-1, 1]) at {:.0} bits an image; a palette of 16 colours: \
             {palette:.5} at {palette_bits:.0} bits",
            set.len(),
            config.model.bits()
        );
        println!(
            "codes     {:.1} % of {} in use, perplexity {perplexity:.1}",
            100.0 * share,
            config.model.codebook.codes
        );
        all.push(json!({
            "data": name, "images": set.len(), "error": error, "bits": config.model.bits(), "palette_error": palette,
            "palette_bits": palette_bits, "codes": config.model.codebook.codes, "used": share, "perplexity": perplexity,
        }));
    }
    Ok(all.into())
}

/// The error of the best sixteen colours for the whole set, in the units of the autoencoder's.
fn sixteen_colours(set: &ImageSet) -> anyhow::Result<f64> {
    let [channels, height, width] = set.shape;
    let (area, scale) = (height * width, 2.0 / f32::from(set.levels.max(1)));
    let every = (set.len() * area).div_ceil(PALETTE_PIXELS).max(1);
    let chosen: Vec<usize> = (0..set.len() * area).step_by(every).collect();
    let value = |i: usize, c: usize| f32::from(set.image(i / area)[c * area + i % area]) * scale - 1.0;
    let pixels = Array2::from_shape_fn((chosen.len(), channels), |(row, c)| value(chosen[row], c));
    Ok(palette_error(pixels.view(), 16)?)
}

impl Autoencoder {
    /// Mean squared error of all images, share of codes in use and their perplexity.
    fn measure(&self, set: &ImageSet) -> anyhow::Result<(f64, f64, f64)> {
        let latents = self.encode(set, false)?;
        let decoded = self.decode(latents.as_slice().unwrap_or_default())?;
        let (dim, mut row) = (set.dim(), vec![0.0; set.dim()]);
        let mut total = 0.0;
        for (i, image) in decoded.chunks_exact(dim).enumerate() {
            set.write_normalised(i, false, &mut row);
            total += row.iter().zip(image).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        }
        let (share, perplexity) = self.usage(latents.as_slice().unwrap_or_default());
        Ok((total / decoded.len().max(1) as f64, share, perplexity))
    }
}
