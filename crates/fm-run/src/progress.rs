//! The callback of a training run: progress bar, logs, checkpoints and pictures.

use fm_cli::every::Every;
use fm_cli::memory::{peak_memory, resident_memory};
use fm_core::budget::limits;
use fm_terminal::eprintln;
use fm_torch::memory::device_memory;
use fm_train::callbacks::Callback;
use fm_train::checkpoint::{self, RunInfo};
use fm_train::epoch::EpochLength;
use fm_train::files::read_plain;
use fm_train::record::LogRecord;
use fm_train::run_dir::RunDir;
use fm_train::tensorboard::EventWriter;
use fm_train::train::TrainState;
use fm_train::{TrainError, error::Outside};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};
use tch::Device;

/// Intervals of checkpoints and pictures.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// Steps between checkpoints; 0 saves only at the end.
    pub save_every: u64,
    /// Checkpoints to keep; 0 keeps all.
    pub keep: usize,
    /// Steps between pictures; 0 draws none.
    pub sample_every: u64,
}

impl Cadence {
    /// The intervals in steps.
    ///
    /// # Errors
    /// Epochs of data that have none.
    pub fn new(save: Every, keep: usize, sample: Every, epoch: Option<EpochLength>) -> anyhow::Result<Self> {
        Ok(Self { save_every: save.steps(epoch)?, keep, sample_every: sample.steps(epoch)? })
    }
}

/// Draws a picture of the current model.
pub type Draw<'a> = Box<dyn FnMut(&mut TrainState) -> anyhow::Result<()> + 'a>;

/// The callback that every training run of the programs has.
pub struct Watch<'a> {
    run: &'a RunDir,
    info: RunInfo,
    cadence: Cadence,
    total: u64,
    rows_per_step: usize,
    draw: Draw<'a>,
    interrupted: Arc<AtomicBool>,
    bar: ProgressBar,
    events: EventWriter,
    last: (Instant, u64),
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("cadence", &self.cadence).field("total", &self.total).finish_non_exhaustive()
    }
}

/// A line of `timing.jsonl`: the values that depend on the clock and the machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timing {
    /// Completed steps.
    pub step: u64,
    /// Time of the line, in seconds since 1970.
    pub time: f64,
    /// Steps per second since the previous line.
    pub steps_per_second: f64,
    /// Rows per second since the previous line.
    pub rows_per_second: f64,
    /// Resident memory.
    pub resident_memory_bytes: Option<u64>,
    /// Peak resident memory so far.
    pub peak_memory_bytes: Option<u64>,
    /// GPU memory allocated to tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
    /// Peak GPU memory reserved by libtorch so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_device_memory_bytes: Option<u64>,
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// The step of a line of a log.
#[derive(Deserialize)]
struct Step {
    step: u64,
}

impl<'a> Watch<'a> {
    /// The callback of a run from step `first` to `total`. The bar is drawn only on a terminal.
    ///
    /// # Errors
    /// A TensorBoard file that cannot be created.
    pub fn new(
        run: &'a RunDir,
        info: RunInfo,
        cadence: Cadence,
        (first, total): (u64, u64),
        rows_per_step: usize,
        interrupted: Arc<AtomicBool>,
        draw: Draw<'a>,
    ) -> Result<Self, TrainError> {
        let bar = ProgressBar::new(total).with_position(first);
        let template = "{bar:28} step {pos}/{len}  {per_sec}  ETA {eta}  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("per_sec", |s: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
                let _ = write!(w, "{:.1} steps/s", s.per_sec());
            }));
        }
        bar.reset_eta();
        let events = EventWriter::create(&run.join("tensorboard"), now(), first)?;
        let last = (Instant::now(), first);
        Ok(Self { run, info, cadence, total, rows_per_step, draw, interrupted, bar, events, last })
    }

    /// Draws the picture that is due at the step of a checkpoint, if the run was killed between the
    /// two.
    ///
    /// # Errors
    /// Those of the picture.
    pub fn catch_up(&mut self, state: &mut TrainState) -> Result<(), TrainError> {
        let step = state.step;
        let due =
            self.cadence.sample_every > 0 && (step.is_multiple_of(self.cadence.sample_every) || step == self.total);
        if step == 0 || !due {
            Ok(())
        } else if self.is_drawn(step)? {
            // TensorBoard may lack the picture if the run was killed between the two.
            self.show(step)
        } else {
            self.picture(state)
        }
    }

    /// Whether the picture of this step, or the line of its moments, exists already.
    fn is_drawn(&self, step: u64) -> Result<bool, TrainError> {
        let (lines, _) = self.run.rewind_as::<Step>("moments.jsonl", step)?;
        Ok(self.picture_path(step).exists() || lines.last().is_some_and(|line| line.step == step))
    }

    fn picture_path(&self, step: u64) -> PathBuf {
        self.run.join(format!("samples/step-{step}.png"))
    }

    fn save(&self, state: &TrainState) -> Result<(), TrainError> {
        // A checkpoint implies the lines before it.
        self.run.sync(&["metrics.jsonl", "timing.jsonl", "moments.jsonl"])?;
        let log = self.run.digest("metrics.jsonl")?;
        let info = RunInfo { log, ..self.info.clone() };
        // Before the checkpoint, from which the run continues.
        checkpoint::save_averages(&self.run.join(""), state, &info)?;
        checkpoint::save(&self.run.checkpoints(), state, &info)?;
        let kept = self.run.retain(self.cadence.keep)?;
        self.bar.suspend(|| kept.iter().for_each(|warning| eprintln!("warning: {warning}")));
        Ok(())
    }

    fn picture(&mut self, state: &mut TrainState) -> Result<(), TrainError> {
        // The output of `draw` is printed above the bar.
        let draw = &mut self.draw;
        self.bar.suspend(|| draw(state)).map_err(|e| TrainError::Callback(Outside::from(e)))?;
        self.show(state.step)
    }

    /// Writes the picture of a step for TensorBoard, if there is one.
    fn show(&mut self, step: u64) -> Result<(), TrainError> {
        let Ok((png, _)) = read_plain(&self.picture_path(step), &limits::PICTURE) else { return Ok(()) };
        let size = image::load_from_memory(&png).map_or((0, 0), |image| (image.width(), image.height()));
        self.events.image(now(), step, "samples", size, png)
    }

    fn log(&mut self, record: &LogRecord, device: Device) -> Result<(), TrainError> {
        let seconds = self.last.0.elapsed().as_secs_f64().max(1e-9);
        let steps_per_second = (record.step - self.last.1) as f64 / seconds;
        let rows_per_second = steps_per_second * self.rows_per_step as f64;
        self.last = (Instant::now(), record.step);
        let held_out = record.val_loss.map_or(String::new(), |loss| format!("  val_loss {loss:.4}"));
        let quality = record.quality.map_or(String::new(), |quality| format!("  quality {quality:.4}"));
        let epoch = record.epoch.map_or(String::new(), |epoch| format!("epoch {epoch:.1}  "));
        self.bar.set_message(format!(
            "{epoch}loss {:.4}{held_out}{quality}  grad {:.2}  lr {:.1e}  {rows_per_second:.0} rows/s",
            record.loss, record.grad_norm, record.lr
        ));
        self.run.append("metrics.jsonl", record)?;
        let device = device_memory(device);
        let timing = Timing {
            step: record.step,
            time: now(),
            steps_per_second,
            rows_per_second,
            resident_memory_bytes: resident_memory(),
            peak_memory_bytes: peak_memory(),
            device_memory_bytes: device.map(|m| m.allocated),
            peak_device_memory_bytes: device.map(|m| m.peak_reserved),
        };
        self.run.append("timing.jsonl", &timing)?;
        let values = scalars(record, &timing);
        let values: Vec<(&str, f64)> = values.iter().map(|(tag, value)| (tag.as_str(), *value)).collect();
        self.events.scalars(timing.time, record.step, &values)
    }
}

/// The values of a line of both logs, by TensorBoard tag.
fn scalars(record: &LogRecord, timing: &Timing) -> Vec<(String, f64)> {
    let mut values = vec![
        ("train/loss".to_owned(), record.loss),
        ("train/grad_norm".to_owned(), record.grad_norm),
        ("train/update_ratio".to_owned(), record.update_ratio),
        ("train/lr".to_owned(), record.lr),
        ("train/skipped".to_owned(), record.skipped as f64),
        ("speed/rows_per_second".to_owned(), timing.rows_per_second),
    ];
    let known = [
        ("train/epoch", record.epoch),
        ("train/epoch_loss", record.epoch_loss),
        ("train/excess", record.excess),
        ("val/quality", record.quality),
        ("val/loss", record.val_loss),
        ("val/loss_raw", record.val_loss_raw),
        ("train/coupling_gain", record.coupling_gain),
        ("memory/resident_bytes", timing.resident_memory_bytes.map(|b| b as f64)),
        ("memory/device_bytes", timing.device_memory_bytes.map(|b| b as f64)),
    ];
    values.extend(known.into_iter().filter_map(|(tag, value)| Some((tag.to_owned(), value?))));
    let by_time = [
        ("loss_by_time", &record.loss_by_time),
        ("val_loss_by_time", &record.val_loss_by_time),
        ("val_loss_raw_by_time", &record.val_loss_raw_by_time),
    ];
    for (tag, losses) in by_time {
        for (k, loss) in losses.iter().enumerate() {
            let (from, to) = (k as f64 / 10.0, (k + 1) as f64 / 10.0);
            values.extend(loss.map(|loss| (format!("{tag}/{from:.1}-{to:.1}"), loss)));
        }
    }
    values
}

impl Callback for Watch<'_> {
    fn after_step(
        &mut self,
        state: &mut TrainState,
        record: Option<&LogRecord>,
    ) -> Result<ControlFlow<()>, TrainError> {
        self.bar.set_position(state.step);
        if let Some(record) = record {
            self.log(record, state.params.device())?;
        }
        let due = |every: u64| every > 0 && state.step.is_multiple_of(every);
        if due(self.cadence.save_every) {
            self.save(state)?;
        }
        if due(self.cadence.sample_every) {
            self.picture(state)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn at_end(&mut self, state: &mut TrainState) -> Result<(), TrainError> {
        self.save(state)?;
        let interrupted = self.interrupted.load(Ordering::SeqCst) && state.step < self.total;
        let due = self.cadence.sample_every > 0 && !interrupted;
        if due && !self.is_drawn(state.step)? {
            self.picture(state)?;
        }
        self.bar.finish_and_clear();
        Ok(())
    }
}
