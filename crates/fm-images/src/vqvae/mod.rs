//! The command `vqvae`: trains a VQ-VAE, the autoencoder of `train --latent`.
//!
//! | module | content |
//! |---|---|
//! | [`config`] | the options of a run |
//! | `resolve` | the configuration from a file and flags, or of a resumed run |
//! | `report` | reconstruction error and used codes, as numbers and as a picture |

pub mod config;
mod report;
mod resolve;

use crate::data;
use anyhow::{Context, ensure};
use config::{Config, ConfigArgs};
use fm_cli::every::total_steps;
use fm_cli::memory::ensure_batch_fits;
use fm_core::data::{DataError, Order};
use fm_core::rng::{Key, Stream};
use fm_core::tape::Tape;
use fm_core::tensor::Role;
use fm_data::ImageSet;
use fm_models::vqvae::VqVae;
use fm_pictures::{Grid, save_picture};
use fm_run::optimizer_args::LearningConfig;
use fm_run::process_group::Group;
use fm_run::progress::Cadence;
use fm_run::training_run::{Job, Parts};
use fm_terminal::println;
use fm_train::TrainError;
use fm_train::batch::{Batch, BatchSource};
use fm_train::block::Packer;
use fm_train::checkpoint::{DataMeta, RunInfo};
use fm_train::ema::EmaConfig;
use fm_train::epoch::EpochLength;
use fm_train::fingerprint::fingerprint;
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::schedule::{Decay, Schedule};
use fm_train::task::{HostInputs, Inputs, LossOutput, Pack, PackContext, Task};
use fm_train::train::{TrainOptions, TrainState};
use rand::Rng;
use report::{report, side_by_side};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use tch::nn;

/// A run has defaults; a TOML file overrides them, and flags override both.
#[derive(Debug, clap::Args)]
pub struct AutoencoderArgs {
    /// Read options from a TOML file; it takes any keys of a run's config.toml.
    #[arg(long, value_name = "FILE.toml", help_heading = "Run")]
    config: Option<PathBuf>,
    /// Also measure the reconstruction error on held-out images, for example cifar10-test.
    #[arg(long, value_name = "DATA", help_heading = "Data")]
    test: Option<String>,
    /// Total number of passes over the images, instead of --steps.
    #[arg(long, help_heading = "Optimization")]
    epochs: Option<u64>,
    /// Run directory.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: PathBuf,
    /// Continue from the newest intact checkpoint of --out, with its configuration.
    /// Only --steps or --epochs, --num-workers, --device, --save-every, --sample-every and
    /// --log-every may change.
    #[arg(long, conflicts_with = "config", help_heading = "Run")]
    resume: bool,
    /// Resume also if the data or the teacher changed since the run began.
    #[arg(long, requires = "resume", help_heading = "Run", hide = true)]
    allow_changed_data: bool,
    /// The options of the configuration.
    #[command(flatten)]
    options: ConfigArgs,
}

/// Reconstruction as a task for the training loop.
struct Autoencoding<'m> {
    model: &'m VqVae,
    seed: u64,
}

impl Task for Autoencoding<'_> {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn packer(&self) -> Box<dyn Pack + '_> {
        Box::new(ImagePacker)
    }

    /// The loss of all rows at once, because the codebook is updated from the whole batch.
    fn loss<'a>(&'a self, inputs: &Inputs, rows: Range<usize>, _: &mut Tape<'a>) -> Result<LossOutput, TrainError> {
        let missing = || TrainError::Batch { step: inputs.step, problem: "it has no images; check the data".into() };
        let images = inputs.of("x1", &rows).ok_or_else(missing)?;
        Ok(LossOutput { loss: self.model.loss(&images, true), rows: None })
    }
}

/// Packs images.
struct ImagePacker;

impl Pack for ImagePacker {
    fn pack(&self, batch: &Batch, context: &PackContext<'_>) -> Result<HostInputs, TrainError> {
        let (rows, whole) = batch.span();
        let mut packer = Packer::default();
        packer.push("x1", &batch.x1, &[&[rows.len() as i64], &batch.shape[..]].concat());
        Ok(HostInputs { step: batch.step, rows, whole, coupling_gain: None, block: packer.finish(context.device)? })
    }
}

struct Images<'a> {
    set: &'a ImageSet,
    order: Order,
    config: &'a Config,
}

impl BatchSource for Images<'_> {
    fn batch(&self, step: u64) -> Result<Batch, DataError> {
        let rows = self.order.batch(step, self.config.batch_size);
        let mut x1 = vec![0.0; rows.len() * self.set.dim()];
        for (i, (row, out)) in rows.iter().zip(x1.chunks_exact_mut(self.set.dim())).enumerate() {
            let mirror = || Key::new(self.config.seed, step, Stream::Augment).generator(i).random();
            self.set.write_normalised(*row, self.config.horizontal_flip && mirror(), out);
        }
        let shape = self.set.shape.map(|n| n as i64).to_vec();
        Ok(Batch { step, shape, x1, ..Batch::default() })
    }
}

/// Trains an autoencoder, and measures it at the end.
///
/// # Errors
/// Options outside their domains, data that cannot be read, and errors of the run.
pub fn run(args: &AutoencoderArgs) -> anyhow::Result<ExitCode> {
    Group::refuse("vqvae")?;
    let mut config = Config::resolve(args)?;
    let set = data::open(&config.data, config.image_size)?;
    // Fail before training rather than after.
    let opened = |name| Ok::<_, anyhow::Error>((name, data::open(name, config.image_size)?));
    let test: Option<(&str, ImageSet)> = args.test.as_deref().map(opened).transpose()?;
    if let Some((name, test)) = &test {
        ensure!(
            test.shape == set.shape,
            "{name} has images of {:?}, {} of {:?}; give images of one shape",
            test.shape,
            config.data,
            set.shape
        );
    }
    let [channels, height, width] = set.shape.map(|n| n as i64);
    (config.model.image_channels, config.model.image_size) = (channels, [height, width]);
    ensure_batch_fits(config.batch_size, set.dim())?;
    let device = fm_run::device::select(&config.device)?;
    tch::manual_seed(Key::new(config.seed, 0, Stream::Init).torch_seed());
    let store = nn::VarStore::new(device);
    let model = VqVae::new(&store.root(), &config.model)?;
    let epoch = EpochLength::new(set.len() as u64, config.batch_size as u64);
    if let Some(epochs) = args.epochs {
        config.steps = total_steps(epochs, epoch)?;
    }
    println!("data      {}: {} images {:?}", config.data, set.len(), set.shape);
    println!(
        "model     VQ-VAE, {} parameters, {} codes, latents {:?}, {:.0} bits an image, on {device:?}",
        fm_models::parameter_count(&store),
        config.model.codebook.codes,
        config.model.latent_shape(),
        config.model.bits()
    );
    println!("training  {} steps of {} images, into {}", config.steps, config.batch_size, args.out.display());
    // The trained weights are used without an EMA, because the codebook has none.
    let params = FlatParams::new(&store, Precision::F32)?;
    let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    let state = TrainState::new(params, optimizer, &EmaConfig::of(0.0), 0);
    let images = Images { set: &set, order: Order::new(config.seed, set.len()), config: &config };
    let job = job(args, &config, &set, epoch)?;
    let picture = |state: &mut TrainState| {
        let path = args.out.join("samples").join(format!("step-{}.png", state.step));
        let (pixels, columns) = side_by_side(&model, &set, device)?;
        save_picture(&path, &Grid { shape: set.shape, levels: set.levels, columns, row_names: vec![] }.draw(&pixels)?)
    };
    let task = Autoencoding { model: &model, seed: config.seed };
    let parts = Parts { task: &task, source: &images, validation: None, quality: None, draw: Box::new(picture) };
    let code = job.run(&Group::alone(), state, parts)?;
    if code == ExitCode::SUCCESS {
        let measured = report(&args.out, &config, &set, test.as_ref().map(|(name, set)| (*name, set)))?;
        fm_train::files::write(&args.out.join("autoencoder.json"), format!("{measured:#}\n").as_bytes())?;
    }
    Ok(code)
}

fn job(args: &AutoencoderArgs, config: &Config, set: &ImageSet, epoch: Option<EpochLength>) -> anyhow::Result<Job> {
    Ok(Job {
        out: args.out.clone(),
        resume: args.resume,
        allow_changed_data: args.allow_changed_data,
        config_toml: toml::to_string(config).context("cannot write the configuration as TOML; please report this")?,
        info: RunInfo {
            program: format!("cifar-train {}", env!("CARGO_PKG_VERSION")),
            path: "none".into(),
            prediction: "reconstruction".into(),
            data: DataMeta {
                shape: config.model.image_shape().to_vec(),
                normalisation: format!("pixel values 0..={0} as 2 p / {0} - 1", set.levels),
                levels: set.levels,
                classes: Vec::new(),
                fingerprint: fingerprint(set)?,
            },
            model: serde_json::Value::Null,
            log: String::new(),
            flow: None,
            config: serde_json::to_value(config)?,
        },
        tensors: Vec::new(),
        files: Vec::new(),
        options: TrainOptions {
            steps: config.steps,
            workers: config.num_workers,
            log_every: config.log_every.steps(epoch)?,
            clip: 1.0,
            schedule: Schedule { lr: config.lr, warmup_steps: config.warmup_steps, decay: Decay::Cosine },
            micro_batch: 0,
            patience: 10,
            checkpoint_activations: false,
            irreducible: None,
            ..TrainOptions::default()
        },
        cadence: Cadence::new(config.save_every, 3, config.sample_every, epoch)?,
        epoch,
        batch_size: config.batch_size,
        learning: LearningConfig::default(),
        profile: None,
        couplings: fm_ot::Reports::default(),
    })
}
