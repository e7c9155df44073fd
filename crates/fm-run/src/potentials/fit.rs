//! The loop of a fit: progress, choices on a device, and states to continue from.

use anyhow::Context;
use fm_core::rng::Stream;
use fm_ot::semidiscrete::{FittingState, NoiseRows};
use fm_ot::{OtError, Semidiscrete, SemidiscreteOptions, SemidiscreteReport};
use fm_train::device_dataset::DeviceDataset;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array2;
use std::time::{Duration, Instant};
use tch::{Kind, Tensor};

/// Fresh noise rows per data row that measure a fit.
const MEASURED: usize = 16;
/// The time between saved states.
const EVERY: Duration = Duration::from_secs(30);

/// Noise rows, as a function of their place.
pub(super) type Noise<'a> = dyn Fn(NoiseRows, Stream) -> Result<Array2<f32>, OtError> + 'a;

/// A fit that may continue another one, be stopped, and use a device.
pub(super) struct Fit<'a> {
    pub(super) options: &'a SemidiscreteOptions,
    pub(super) noise: &'a Noise<'a>,
    /// The data on the device that chooses.
    pub(super) images: Option<&'a mut DeviceDataset>,
    /// The state of an unfinished fit.
    pub(super) from: Option<FittingState>,
    /// Whether to stop.
    pub(super) stopped: &'a dyn Fn() -> bool,
    /// Saves a state.
    pub(super) save: &'a dyn Fn(FittingState) -> anyhow::Result<()>,
}

impl Fit<'_> {
    /// Fits the coupling and measures it on fresh noise rows, with a progress bar on terminals;
    /// `None` if it was stopped, after its state was saved.
    pub(super) fn run(self, coupling: &mut Semidiscrete) -> anyhow::Result<Option<SemidiscreteReport>> {
        let Self { options, noise, mut images, from, stopped, save } = self;
        let mut fit = coupling.fitting(options, from.as_ref())?;
        let (bar, mut saved) = (progress(), Instant::now());
        while let Some(at) = fit.next_rows() {
            bar.set_length(at.batches as u64);
            bar.set_position(at.batches_done as u64);
            // Read once: a signal between two reads would end the fit without saving it.
            let stop = stopped();
            if stop || saved.elapsed() > EVERY {
                save(fit.state())?;
                saved = Instant::now();
            }
            if stop {
                bar.finish_and_clear();
                return Ok(None);
            }
            let x0 = noise(at, Stream::Coupling)?;
            match &mut images {
                None => {
                    fit.step(x0.view())?;
                }
                Some(images) => {
                    images.set_potentials(&fit.potentials())?;
                    let rows = chosen(images, &x0, fit.class())?;
                    fit.step_chosen(x0.view(), &rows)?;
                }
            }
        }
        bar.finish_and_clear();
        let potentials = fit.finish()?;
        *coupling = coupling.clone().with_potentials(&potentials)?;
        let draws = MEASURED.saturating_mul(coupling.row_count()).clamp(1000, 1 << 20);
        let Some(images) = images else {
            return Ok(Some(coupling.measure(draws, |at| noise(at, Stream::Estimate))?));
        };
        images.set_potentials(&potentials)?;
        let classes = coupling.classes();
        let report = coupling.measure_chosen(draws, |at| {
            let x0 = noise(at, Stream::Estimate)?;
            let rows = chosen(images, &x0, classes.get(at.part).copied())?;
            anyhow::Ok((x0, rows))
        })?;
        Ok(Some(report))
    }
}

/// Fits a coupling to noise rows, with a progress bar on terminals, and measures it on fresh noise
/// rows.
///
/// # Errors
/// Those of the noise and of the fit.
pub fn fit_shown(
    coupling: &mut Semidiscrete,
    options: &SemidiscreteOptions,
    noise: impl Fn(NoiseRows, Stream) -> Result<Array2<f32>, OtError>,
) -> anyhow::Result<SemidiscreteReport> {
    let never = || false;
    let fit = Fit { options, noise: &noise, images: None, from: None, stopped: &never, save: &|_| Ok(()) };
    fit.run(coupling)?.context("the fit was stopped; start it again")
}

/// The data row of each noise row, by the potentials of the device; mirrored rows last.
fn chosen(images: &DeviceDataset, x0: &Array2<f32>, class: Option<i64>) -> anyhow::Result<Vec<usize>> {
    let x0 = Tensor::try_from(x0)?.to_device(images.device()).view(images.batch_shape(x0.nrows()).as_slice());
    let classes = class.map(|class| Tensor::full([x0.size()[0]], class, (Kind::Int64, images.device())));
    let (rows, mirrored) = images
        .choose(&x0, classes.as_ref())
        .context("the device has no potentials to choose by; please report this")?;
    let rows = match mirrored {
        Some(mirrored) => rows + mirrored.to_kind(Kind::Int64) * images.len() as i64,
        None => rows,
    };
    Ok(Vec::<i64>::try_from(rows)?.into_iter().map(|row| row as usize).collect())
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:28} coupling {pos}/{len}  ETA {eta}") {
        bar.set_style(style);
    }
    bar
}
