//! A training run, from its directory to its summary; the same for all programs.

use crate::artefact::{self, CONFIG, WEIGHTS};
use crate::optimizer_args::LearningConfig;
use crate::process_group::Group;
use crate::progress::{Cadence, Draw, Watch};
use crate::quality::Quality;
use crate::runtime::Profiler;
use anyhow::{Context, bail, ensure};
use fm_cli::memory::peak_memory;
use fm_core::budget::limits;
use fm_ot::Reports;
use fm_pictures::Curves;
use fm_terminal::interrupt::Interruptible;
use fm_terminal::{eprintln, println};
use fm_torch::memory::{DeviceMemory, device_memory};
use fm_train::batch::BatchSource;
use fm_train::callbacks::{self, Callback};
use fm_train::checkpoint::{self, RunInfo};
use fm_train::epoch::EpochLength;
use fm_train::files::read_plain;
use fm_train::held_out::Validation;
use fm_train::record::LogRecord;
use fm_train::run_dir::{RunDir, holds_checkpoints, latest_checkpoint};
use fm_train::task::Task;
use fm_train::train::{TrainOptions, TrainState, train};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tch::Tensor;

/// Everything that a training run needs besides its task, batches and state.
#[derive(Debug)]
pub struct Job {
    /// The run directory.
    pub out: PathBuf,
    /// Whether to resume the run in this directory.
    pub resume: bool,
    /// Whether a resumed run may continue on other data.
    pub allow_changed_data: bool,
    /// The resolved configuration, the content of `config.toml`.
    pub config_toml: String,
    /// Metadata for the checkpoints.
    pub info: RunInfo,
    /// Further files of the run, by name; for example the autoencoder of a latent space.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// Further tensors of the file of weights of the finished run, such as the rows of a source.
    pub tensors: Vec<(String, Tensor)>,
    /// Options of the training loop.
    pub options: TrainOptions,
    /// Intervals of checkpoints and pictures.
    pub cadence: Cadence,
    /// The length of an epoch, if the data have one.
    pub epoch: Option<EpochLength>,
    /// Rows per step.
    pub batch_size: usize,
    /// Optimization settings; they define further callbacks, such as early stopping.
    pub learning: LearningConfig,
    /// The file for a profile of a few steps.
    pub profile: Option<PathBuf>,
    /// The reports of the coupling's plans.
    pub couplings: Reports,
}

/// Task, batches and measurements of a training run.
pub struct Parts<'a> {
    /// The loss.
    pub task: &'a dyn Task,
    /// The batches.
    pub source: &'a dyn BatchSource,
    /// The loss on held-out rows, if it is measured.
    pub validation: Option<Validation<'a>>,
    /// The quality of samples, if it is measured.
    pub quality: Option<Quality<'a>>,
    /// Makes a picture of the current model.
    pub draw: Draw<'a>,
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("validation", &self.validation)
            .field("quality", &self.quality)
            .finish_non_exhaustive()
    }
}

impl Job {
    /// Trains to the end or until interrupted. Only rank 0 writes files.
    ///
    /// # Errors
    /// A directory that holds a run already or cannot be written, and errors of training, with the
    /// last checkpoint.
    pub fn run(&self, group: &Group, mut state: TrainState, parts: Parts<'_>) -> anyhow::Result<ExitCode> {
        let Parts { task, source, validation, quality, draw } = parts;
        state.epoch = self.epoch;
        let run = group.is_first().then(|| self.open(&mut state, group.restarted())).transpose()?;
        group.share(&mut state, &self.info)?;
        let work = Interruptible::start(NOTICE).context("cannot handle Ctrl-C")?;
        let (first, started, steps) = (state.step, Instant::now(), self.options.steps);
        let mut options = TrainOptions { interrupted: work.flag(), ..self.options.clone() };
        let mut observers: Vec<Box<dyn Callback + '_>> = Vec::new();
        observers.extend(validation.map(|validation| Box::new(validation) as Box<_>));
        observers.extend(quality.map(|quality| Box::new(quality) as Box<_>));
        observers
            .extend(self.learning.observers(&self.out, &self.info, run.is_some())?.into_iter().map(|o| o as Box<_>));
        if let (Some(path), true) = (&self.profile, group.is_first()) {
            // It would wait for a reader in the middle of the run.
            let pipe = fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
            ensure!(!pipe, "cannot write a profile into the pipe {}; give the name of a file", path.display());
            observers.push(Box::new(Profiler::new(path.clone(), state.params.device(), (first, steps))));
        }
        let log = group.agree(|| Ok(read_log(&self.out)))?;
        // A run that was stopped early is over.
        if callbacks::replay(&records(&log), state.step, &mut observers) {
            options.steps = state.step;
        }
        if let Some(run) = &run {
            let span = (first, options.steps);
            let mut watch = Watch::new(run, self.info.clone(), self.cadence, span, self.batch_size, work.flag(), draw)?;
            watch.catch_up(&mut state)?;
            // Last, so that it saves after another callback has stopped the run.
            observers.push(Box::new(watch));
        }
        train(task, source, &mut state, &options, &mut observers).with_context(|| self.last_good())?;
        drop(observers);

        let stopped = work.raised() && state.step < options.steps;
        if let Some(run) = &run {
            let device = device_memory(state.params.device());
            let artefact = !stopped && artefact::write(run, &self.out, &self.info, &self.tensors)?;
            report(run, &self.out, (state.step - first, started.elapsed().as_secs_f64()), device, artefact)?;
            self.epilogue(state.step, stopped);
        }
        Ok(if stopped { ExitCode::from(130) } else { ExitCode::SUCCESS })
    }

    /// Prints the plans, the profile, and why the run stopped.
    fn epilogue(&self, step: u64, interrupted: bool) {
        let plans = self.couplings.tally();
        if plans.unconverged > 0 {
            println!("coupling  {plans}");
        }
        self.profile.iter().for_each(|path| println!("profile   {}", path.display()));
        let LearningConfig { monitor, early_stopping, .. } = &self.learning;
        if interrupted {
            println!("stopped   at step {step}; continue with --resume --out {}", self.out.display());
        } else if step < self.options.steps {
            println!("stopped   at step {step}: {monitor} has not improved for {early_stopping} lines of the log");
        }
        if let Some(error) = fm_terminal::print::lost() {
            let log = self.out.join("metrics.jsonl");
            eprintln!("warning: standard output was lost ({error}); the log is {}", log.display());
        }
    }

    /// Opens the run directory; restores the state from it if the run is resumed.
    fn open(&self, state: &mut TrainState, restarted: bool) -> anyhow::Result<RunDir> {
        let mut before = Before::default();
        let run = if self.resume {
            let run = RunDir::open(&self.out)?;
            before = self.restore(state)?;
            run.begin()?;
            run
        } else {
            self.ensure_new()?;
            // A launcher starts a run again that has no checkpoint yet, but perhaps a best one.
            if restarted { RunDir::open(&self.out)? } else { RunDir::create(&self.out)? }
        };
        self.rewind_log(&run, &before, state.step)?;
        for log in ["timing.jsonl", "moments.jsonl"] {
            let found = run.rewind(log, state.step)?;
            let problem = found.problem(0);
            problem.iter().for_each(|problem| eprintln!("warning: {log} {problem}"));
        }
        fm_train::files::write(&run.join("config.toml"), self.config_toml.as_bytes())?;
        self.files.iter().try_for_each(|(name, bytes)| fm_train::files::write(&run.join(name), bytes))?;
        Ok(run)
    }

    /// Fails for a directory with checkpoints. Damaged ones count too: what is left of a run is
    /// never overwritten.
    fn ensure_new(&self) -> anyhow::Result<()> {
        let out = self.out.display();
        match latest_checkpoint(&self.out) {
            Ok(_) => bail!("{out} already holds a run; pass --resume to continue it, or another --out"),
            Err(_) if holds_checkpoints(&self.out) => {
                bail!("{out} holds a run without a usable checkpoint, which cannot be resumed; pass another --out")
            }
            Err(_) => Ok(()),
        }
    }

    /// Cuts the log back to the step of the checkpoint, and warns of what is wrong with it. The log
    /// must be that of the checkpoint if the run stops or keeps its best by it.
    fn rewind_log(&self, run: &RunDir, before: &Before, step: u64) -> anyhow::Result<()> {
        let known = !before.log.is_empty();
        let whole = known && before.log == run.digest_at("metrics.jsonl", step)?;
        let decides = self.learning.early_stopping > 0 || self.learning.keep_best > 0;
        // Before anything is written, so that the log can be restored.
        ensure!(
            whole || !known || !decides || self.allow_changed_data,
            "cannot resume: metrics.jsonl, by which the run stops or keeps its best, is not the log of its checkpoint; restore it, or pass --allow-changed-data"
        );
        // No line of the checkpoint's log is missing, however often it was written.
        let logged_every = if whole { 0 } else { before.log_every.unwrap_or(self.options.log_every) };
        let problem = run.rewind("metrics.jsonl", step)?.problem(logged_every);
        problem
            .iter()
            .for_each(|problem| eprintln!("warning: metrics.jsonl {problem}; the curves use the other lines"));
        if problem.is_none() && known && !whole {
            eprintln!("warning: metrics.jsonl is not the log that the checkpoint was saved with; the curves use it");
        }
        Ok(())
    }

    /// The checkpoint from which a failed run can be resumed.
    fn last_good(&self) -> String {
        match latest_checkpoint(&self.out) {
            Ok((path, _, _)) => format!("the run ended; the last good checkpoint is {}", path.display()),
            Err(_) if holds_checkpoints(&self.out) => "the run ended, and none of its checkpoints is usable".into(),
            Err(_) => "the run ended before its first checkpoint".into(),
        }
    }

    /// Restores the newest usable checkpoint.
    fn restore(&self, state: &mut TrainState) -> anyhow::Result<Before> {
        let (path, meta, damaged) = latest_checkpoint(&self.out)?;
        damaged.iter().for_each(|problem| eprintln!("warning: {problem}; using an older checkpoint"));
        if !self.allow_changed_data && meta.data.check_unchanged(&self.info.data).is_err() {
            bail!("cannot resume: {CHANGED}");
        }
        checkpoint::restore(&path, state)?;
        println!("resumed   {} at step {}", path.display(), state.step);
        let threads = tch::get_num_threads();
        if meta.threads != threads {
            eprintln!(
                "warning: {threads} threads now, {} before, so the last bits of the results may differ; set OMP_NUM_THREADS for the same bytes",
                meta.threads
            );
        }
        if state.step >= self.options.steps {
            println!("done      all {} steps; raise --steps to train longer", self.options.steps);
        }
        let run = meta.config.get("run").unwrap_or(&meta.config);
        Ok(Before { log_every: run.get("log_every").and_then(serde_json::Value::as_u64), log: meta.log.clone() })
    }
}

/// The log of a resumed run, as its checkpoint describes it; empty for a new run.
#[derive(Default)]
struct Before {
    /// The steps between its lines.
    log_every: Option<u64>,
    /// Its hash.
    log: String,
}

/// A run that would continue on other data.
const CHANGED: &str = "the data or the teacher changed since the run began; restore them, or pass --allow-changed-data";

/// What the first Ctrl-C prints.
const NOTICE: &str = "interrupted: saving a checkpoint after this step; press Ctrl-C again to abort";

/// The text of a run's `metrics.jsonl`; empty if there is none.
pub(crate) fn read_log(out: &Path) -> String {
    let text = read_plain(&out.join("metrics.jsonl"), &limits::LOG).ok();
    text.and_then(|(bytes, _)| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// The lines of the log that can be parsed.
pub(crate) fn records(log: &str) -> Vec<LogRecord> {
    log.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// The losses over the steps: of the training rows, and of held-out rows if they were measured.
pub(crate) fn loss_curves(records: &[LogRecord]) -> Curves {
    let line = |of: &dyn Fn(&LogRecord) -> Option<f64>| -> Vec<(f64, f64)> {
        records.iter().filter_map(|r| Some((r.step as f64, of(r)?))).collect()
    };
    let training = Curves::one("Loss", ("step", "loss"), line(&|r| Some(r.loss)));
    let held_out = line(&|r| r.val_loss);
    if held_out.is_empty() {
        return training;
    }
    let named = [("training rows", line(&|r| Some(r.loss))), ("held-out rows, EMA weights", held_out)];
    let raw = ("held-out rows, raw weights", line(&|r| r.val_loss_raw));
    let lines = named.into_iter().chain([raw]).map(|(name, line)| (name.to_owned(), line)).collect();
    Curves { lines, ..training }
}

/// Prints the summary of a run and draws its loss curve.
fn report(
    run: &RunDir,
    out: &Path,
    (steps, seconds): (u64, f64),
    device: Option<DeviceMemory>,
    artefact: bool,
) -> anyhow::Result<()> {
    let records = records(&read_log(out));
    let curves = loss_curves(&records);
    // A run whose losses are not finite has weights, and nothing to draw.
    if curves.has_points() {
        curves.save(&run.join("loss.png"))?;
    }
    if let Some(last) = records.last() {
        let gib = |bytes: u64| format!("{:.2} GiB", bytes as f64 / (1u64 << 30) as f64);
        let host = peak_memory().map_or("unknown".into(), gib);
        // Reserved rather than allocated memory: other programs cannot use it.
        let memory = device.map_or(host.clone(), |m| format!("{host}, on the device {}", gib(m.peak_reserved)));
        let speed = steps as f64 / seconds;
        println!(
            "trained   {steps} steps in {seconds:.1} s: {speed:.2} steps/s; loss {:.4}{}{}; peak memory {memory}",
            last.loss,
            last.val_loss.map_or(String::new(), |loss| format!(", val_loss {loss:.4}")),
            last.quality.map_or(String::new(), |quality| format!(", quality {quality:.4}"))
        );
    }
    let model = if artefact { format!("{WEIGHTS}, {CONFIG}, ") } else { String::new() };
    let plot = if curves.has_points() { "loss.png, " } else { "" };
    println!("wrote     {}: {model}{plot}metrics.jsonl, samples/, checkpoints/", out.display());
    Ok(())
}
