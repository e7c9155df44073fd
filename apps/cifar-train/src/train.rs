//! `cifar-train train`.

use crate::args::TrainArgs;
use crate::batches::ImageBatches;
use crate::config::Config;
use crate::generate::{Request, generate};
use crate::{data, plan};
use anyhow::{Context, bail, ensure};
use fm_app::pictures::{Grid, curve, save_png};
use fm_app::watch::{Cadence, Watch};
use fm_core::path::{Linear, ProbPath};
use fm_core::rng::{Stream, torch_seed};
use fm_core::tensor::VelocityModel;
use fm_data::ImageSet;
use fm_train::checkpoint::{self, DataMeta, RunInfo};
use fm_train::flat::FlatParams;
use fm_train::run_dir::{RunDir, latest_checkpoint};
use fm_train::schedule::Schedule;
use fm_train::train::{Record, TrainOptions, TrainState, train};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tch::{Device, nn};

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let (mut config, out) = configure(args)?;
    config.validate()?;
    let set = data::open(&config.data, config.image_size)?;
    ensure!(set.shape[1] == set.shape[2], "images must be square, these are {} x {}", set.shape[1], set.shape[2]);
    if let Some(epochs) = args.epochs {
        config.steps = (epochs * set.len() as u64).div_ceil(config.batch_size as u64);
        config.validate()?;
    }
    let classes = if config.conditional { set.classes.len() } else { 0 };
    config.model.fit_to_images(set.shape, classes, config.label_drop > 0.0);

    let device = fm_app::device::select(&config.device)?;
    tch::manual_seed(torch_seed(config.seed, 0, Stream::Init));
    let store = nn::VarStore::new(device);
    let model = config.model.build(&store.root())?;
    println!("{}", plan::describe(&config, &set, fm_models::parameter_count(&store), device, &out));
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let params = FlatParams::new(&store, config.precision);
    let state = TrainState::new(params, config.optimizer, config.ema_decay);
    Job { config, set, model, device, out }.run(state, args.resume)
}

fn configure(args: &TrainArgs) -> anyhow::Result<(Config, PathBuf)> {
    if !args.resume {
        let config = Config::resolve(args)?;
        let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&config.preset));
        return Ok((config, out));
    }
    let Some(out) = args.out.clone() else { bail!("--resume needs the run to go on with: --out DIR") };
    let (path, meta, _) = latest_checkpoint(&out).context("there is nothing to resume")?;
    let saved = serde_json::from_value(meta.config).with_context(|| format!("{} was not written by cifar-train", path.display()))?;
    Ok((Config::resume(saved, args)?, out))
}

/// A run whose parts are all there.
struct Job {
    config: Config,
    set: ImageSet,
    model: Box<dyn VelocityModel>,
    device: Device,
    out: PathBuf,
}

impl Job {
    fn run(self, mut state: TrainState, resume: bool) -> anyhow::Result<ExitCode> {
        let run = RunDir::open(&self.out)?;
        if resume {
            self.restore(&run, &mut state)?;
        } else if latest_checkpoint(&self.out).is_ok() {
            bail!("{} already holds a run; pass --resume to go on with it, or another --out", self.out.display());
        }
        for log in ["metrics.jsonl", "timing.jsonl"] {
            run.rewind(log, state.step)?;
        }
        let text = toml::to_string(&self.config).context("cannot write the configuration as TOML")?;
        fm_train::files::write(&run.join("config.toml"), text.as_bytes())?;

        let (first, started) = (state.step, Instant::now());
        let interrupted = fm_app::cli::interrupt_flag()?;
        let draw = Box::new(|state: &mut TrainState| self.draw(state));
        let c = &self.config;
        let cadence = Cadence { save_every: c.save_every, keep: c.keep_checkpoints, sample_every: c.sample_every };
        let mut watch = Watch::new(&run, self.info()?, cadence, (first, c.steps), c.batch_size, interrupted.clone(), draw);
        let source = ImageBatches::new(&self.set, c);
        train(self.model.as_ref(), &Linear, &source, &mut state, &self.options(), &mut watch)?;
        drop(watch);

        self.report(&run, state.step - first, started.elapsed().as_secs_f64())?;
        if interrupted.load(Ordering::SeqCst) && state.step < c.steps {
            println!("stopped at step {}; go on with: cifar-train train --resume --out {}", state.step, self.out.display());
            return Ok(ExitCode::from(130));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn restore(&self, run: &RunDir, state: &mut TrainState) -> anyhow::Result<()> {
        let (path, meta, damaged) = latest_checkpoint(&run.join(""))?;
        damaged.iter().for_each(|problem| eprintln!("warning: {problem}; going on from the one before"));
        checkpoint::restore(&path, state)?;
        println!("resumed  {} at step {}", path.display(), state.step);
        let threads = tch::get_num_threads();
        if meta.threads != threads {
            eprintln!("warning: {} threads now, {} before: the last bits of the results may differ", threads, meta.threads);
        }
        if state.step >= self.config.steps {
            println!("all {} steps are done; ask for more with --steps", self.config.steps);
        }
        Ok(())
    }

    fn options(&self) -> TrainOptions {
        let c = &self.config;
        TrainOptions {
            shape: self.shape(),
            steps: c.steps,
            workers: c.num_workers,
            log_every: c.log_every,
            clip: c.clip,
            schedule: Schedule { lr: c.lr, warmup_steps: c.warmup_steps, decay: c.decay, total_steps: c.steps },
            seed: c.seed,
        }
    }

    fn shape(&self) -> Vec<i64> {
        self.set.shape.map(|s| s as i64).to_vec()
    }

    fn info(&self) -> anyhow::Result<RunInfo> {
        let levels = self.set.levels;
        Ok(RunInfo {
            program: format!("cifar-train {}", env!("CARGO_PKG_VERSION")),
            path: Linear.name().into(),
            data: DataMeta {
                shape: self.shape(),
                normalisation: format!("pixel values 0..={levels} as 2 p / {levels} - 1"),
                levels,
                classes: if self.config.conditional { self.set.classes.clone() } else { Vec::new() },
            },
            config: serde_json::to_value(&self.config)?,
        })
    }

    /// A grid of EMA samples, `samples/step-N.png`.
    fn draw(&self, state: &mut TrainState) -> anyhow::Result<()> {
        let names = if self.config.conditional { self.set.classes.clone() } else { Vec::new() };
        let (columns, rows) = (8, if names.is_empty() { 8 } else { names.len().min(16) });
        let conditional = !names.is_empty();
        let request = Request {
            sampler: Request::preview(&self.config.sampling),
            cfg_scale: if self.config.model.null_class().is_some() { self.config.sampling.cfg_scale } else { 1.0 },
            seed: self.config.seed,
            shape: self.shape(),
            count: rows * columns,
            classes: if conditional { (0..rows * columns).map(|i| (i / columns) as i64).collect() } else { Vec::new() },
            null_class: self.config.model.null_class(),
            batch_size: rows * columns,
        };
        state.params.bind(Some(&state.ema.weights));
        let drawn = generate(self.model.as_ref(), self.device, &request, false);
        state.params.bind(None);
        let row_names = names.into_iter().take(rows).collect();
        let grid = Grid { shape: self.set.shape, levels: self.set.levels, columns, row_names };
        let path = self.out.join("samples").join(format!("step-{}.png", state.step));
        save_png(&path, &grid.draw(&self.set.denormalise(&drawn?.values))?)
    }

    /// The last lines of a run, and its loss curve.
    fn report(&self, run: &RunDir, steps: u64, seconds: f64) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        let records: Vec<Record> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        if let Some(last) = records.last() {
            let points: Vec<(f64, f64)> = records.iter().map(|r| (r.step as f64, r.loss)).collect();
            curve(&run.join("loss.png"), "training loss", ("step", "mean (v - u)²"), &points)?;
            let memory = fm_app::device::peak_memory().map_or("unknown".into(), |b| format!("{:.2} GiB", b as f64 / (1u64 << 30) as f64));
            println!("trained   {steps} steps in {seconds:.1} s: {:.2} steps/s; loss {:.4}; peak memory {memory}", steps as f64 / seconds, last.loss);
        }
        println!("wrote     {}: loss.png, metrics.jsonl, samples/, checkpoints/", self.out.display());
        Ok(())
    }
}
