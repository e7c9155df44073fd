//! The potentials of a semidiscrete coupling: fitted before the training, and stored in the run.
//!
//! The fit is saved every 30 seconds and at Ctrl-C. A run that has no checkpoint yet continues it
//! when the same command is given again, with the same result. A resumed run reads the potentials;
//! if the file is missing, damaged or of another fit, they are fitted again. Where a GPU holds the
//! images, it chooses the data rows of the noise rows, in the fit and in the training.

mod file;
mod fit;

pub use file::{POTENTIALS, Stored, read, written};
pub use fit::fit_shown;

use crate::objective_args::FlowConfig;
use crate::process_group::Group;
use anyhow::{Context, ensure};
use file::stored;
use fit::{Fit, Noise};
use fm_cli::memory::ensure_fits;
use fm_core::coupling::ChooseRows;
use fm_core::data::{Dataset, Pick};
use fm_core::source::Source;
use fm_ot::{Semidiscrete, SemidiscreteOptions};
use fm_terminal::interrupt::Interruptible;
use fm_terminal::println;
use fm_train::device_dataset::DeviceDataset;
use fm_train::files::{self, sha256};
use fm_train::fingerprint::fingerprint;
use fm_train::run_dir::RunDir;
use ndarray::Array2;
use std::path::Path;
use std::time::Instant;

/// What the first Ctrl-C prints.
const NOTICE: &str = "interrupted: saving the fit of the coupling; press Ctrl-C again to abort";

/// What potentials are fitted to.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    /// Objective, source and coupling of the run.
    pub config: &'a FlowConfig,
    /// The source.
    pub source: &'a Source,
    /// The training data.
    pub data: &'a dyn Dataset,
    /// Whether training mirrors rows at random.
    pub mirror: bool,
    /// Whether the model has classes.
    pub conditional: bool,
    /// The seed of the run.
    pub seed: u64,
}

impl std::fmt::Debug for Problem<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Problem").field("config", self.config).field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The run that stores potentials.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its directory.
    pub out: &'a Path,
    /// Whether it is resumed.
    pub resume: bool,
    /// The processes that train.
    pub group: &'a Group,
}

/// A fitted coupling, and its file.
#[derive(Debug)]
pub struct Potentials {
    /// The coupling.
    pub coupling: Semidiscrete,
    text: String,
}

/// The coupling of a run.
#[derive(Debug)]
pub enum Fitted {
    /// A coupling without potentials.
    OfBatches,
    /// A semidiscrete coupling with its potentials.
    ByPotentials(Box<Potentials>),
    /// The fit was interrupted, and its state is saved.
    Interrupted,
}

impl Fitted {
    /// The potentials, if there are any.
    pub fn potentials(&self) -> Option<&Potentials> {
        if let Fitted::ByPotentials(potentials) = self { Some(potentials) } else { None }
    }
}

impl Potentials {
    /// The files that a run stores.
    pub fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![(POTENTIALS, self.text.clone().into_bytes())]
    }

    /// The part of a run's fingerprint that the potentials are.
    pub fn fingerprint(&self) -> String {
        format!(" potentials={}", sha256(self.text.as_bytes()))
    }
}

/// How potentials are fitted.
struct Fitting<'a> {
    options: &'a SemidiscreteOptions,
    /// The hash of what they depend on.
    key: &'a str,
    /// Whether to stop.
    stopped: &'a dyn Fn() -> bool,
}

impl Problem<'_> {
    /// The coupling of the configuration, read from the run or fitted on rank 0. `images` are the
    /// data on a GPU: it then chooses rows in the fit, and gets the potentials.
    ///
    /// # Errors
    /// Data without a fixed number of rows, or more than fit into memory; a directory or a device
    /// in place of the file; a directory of something else; errors of the fit.
    pub fn fit(&self, place: Place<'_>, images: &mut Option<DeviceDataset>) -> anyhow::Result<Fitted> {
        let Some(options) = self.config.coupling.semidiscrete() else { return Ok(Fitted::OfBatches) };
        ensure!(
            !self.data.is_endless(),
            "the semidiscrete coupling chooses among the rows of the data, and these are drawn anew at every step; \
             give their number (--rows 10000)"
        );
        ensure_plain(&place.out.join(POTENTIALS))?;
        let mut coupling = self.unfitted()?;
        let key = self.key(&options)?;
        if let Some(zeros) = coupling.row_potentials()
            && let Some(held) = images.take()
        {
            *images = Some(held.choosing(&zeros)?);
        }
        // In all processes: the others wait for rank 0 and would end at once.
        let work = Interruptible::start(NOTICE).context("cannot handle Ctrl-C")?;
        let bits = place.group.agree(|| {
            let stopped = || work.raised();
            let fitting = Fitting { options: &options, key: &key, stopped: &stopped };
            let potentials = self.known_or_fitted(&place, &mut coupling, &fitting, images.as_mut())?;
            // TOML has whole numbers of 64 bits, and writes f64 exactly too; bits leave no doubt.
            Ok(potentials.unwrap_or_default().into_iter().map(|g| g.to_bits() as i64).collect::<Vec<_>>())
        })?;
        if bits.is_empty() {
            return Ok(Fitted::Interrupted);
        }
        let potentials: Vec<f64> = bits.into_iter().map(|bits| f64::from_bits(bits as u64)).collect();
        images.as_mut().map_or(Ok(()), |images| images.set_potentials(&potentials))?;
        let coupling = coupling.with_potentials(&potentials)?;
        let text = written(&key, &Stored::Fitted(potentials));
        Ok(Fitted::ByPotentials(Box::new(Potentials { coupling, text })))
    }

    /// The potentials that the run has stored, or those of a fit; `None` if it was interrupted.
    fn known_or_fitted(
        &self,
        place: &Place<'_>,
        coupling: &mut Semidiscrete,
        fitting: &Fitting<'_>,
        images: Option<&mut DeviceDataset>,
    ) -> anyhow::Result<Option<Vec<f64>>> {
        let Place { out, resume, group } = *place;
        let Fitting { options, key, stopped } = *fitting;
        // Before anything is read: a directory of another run is refused here.
        let new = match (resume, group.restarted()) {
            (true, _) => None,
            (false, true) => Some(RunDir::open(out)?),
            (false, false) => Some(RunDir::create(out)?),
        };
        let from = match stored(out, resume, key, coupling.row_count()) {
            Some(Stored::Fitted(known)) => {
                println!("coupling  {} potentials of the run, from {POTENTIALS}", known.len());
                return Ok(Some(known));
            }
            Some(Stored::Unfinished(state)) => Some(state),
            None => None,
        };
        let run = new.map_or_else(|| RunDir::open(out), Ok)?;
        run.begin()?;
        let keep = |stored: &Stored| Ok(files::write(&run.join(POTENTIALS), written(key, stored).as_bytes())?);
        if let Some(state) = &from {
            println!("coupling  continues the fit of the run after {} batches", state.batches_done);
        }
        let started = Instant::now();
        let noise: &Noise<'_> = &|at, stream| at.draw(self.source, self.seed, stream, self.data.dim());
        let fit = Fit { options, noise, images, from, stopped, save: &|state| keep(&Stored::Unfinished(state)) };
        let report = fit.run(coupling)?;
        let (rows, potentials) = (coupling.row_count(), coupling.potentials());
        if report.is_some() {
            keep(&Stored::Fitted(potentials.clone()))?;
        }
        // A signal may also have come while the fit was measured.
        let Some(report) = report.filter(|_| !stopped()) else {
            println!("stopped   in the fit of the coupling; the same command continues it, into {}", out.display());
            return Ok(None);
        };
        println!("coupling  {rows} potentials fitted in {:.1} s: {report}", started.elapsed().as_secs_f64());
        println!("coupling  noise chooses the data rows, so an epoch is {rows} rows, not one pass over them");
        Ok(Some(potentials))
    }

    /// The coupling of all rows, and of all mirrored rows, with potentials of 0.
    fn unfitted(&self) -> anyhow::Result<Semidiscrete> {
        let (len, dim) = (self.data.len(), self.data.dim());
        let rows = if self.mirror { 2 * len } else { len };
        // The rows, their copy by classes, and potentials.
        ensure_fits("the rows of the semidiscrete coupling", &[rows, dim], 2 * size_of::<f32>(), "data set")?;
        let mut values = Array2::<f32>::zeros((rows, dim));
        for (i, mut row) in values.rows_mut().into_iter().enumerate() {
            let pick = Pick { row: i % len, mirrored: i >= len };
            if let Some(out) = row.as_slice_mut() {
                self.data.write(pick, out).map_err(|problem| anyhow::anyhow!(problem))?;
            }
        }
        if !self.conditional {
            return Ok(Semidiscrete::new(values, self.config.cost)?);
        }
        // Batches refuse rows without classes.
        let classes: Vec<i64> = (0..rows).map(|i| self.data.class(i % len).unwrap_or(-1)).collect();
        Ok(Semidiscrete::with_classes(values, &classes, self.config.cost)?)
    }

    /// The hash of what the potentials depend on.
    fn key(&self, options: &SemidiscreteOptions) -> anyhow::Result<String> {
        let source = match self.source {
            Source::Rows(rows) => fingerprint(rows)?,
            _ => self.config.source.clone(),
        };
        let of = [
            fingerprint(self.data)?,
            format!("{source} {} {} {} {}", self.config.cost, self.seed, self.mirror, self.conditional),
            serde_json::to_string(options)?,
        ];
        Ok(sha256(of.join("\n").as_bytes()))
    }
}

/// Fails before the fit if its file could not be written.
fn ensure_plain(path: &Path) -> anyhow::Result<()> {
    let plain = std::fs::symlink_metadata(path).map_or(true, |found| found.is_file());
    ensure!(plain, "cannot write {}: it is not a plain file; move it away", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_file_is_a_plain_one_or_new() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ensure_plain(&dir.path().join("missing")).is_ok());
        assert!(ensure_plain(dir.path()).unwrap_err().to_string().contains("it is not a plain file"));
    }

    /// A signal at any read of the flag, also after the last batch, ends the fit with all that was
    /// done in the file, and the next call continues from there.
    #[test]
    fn a_signal_at_any_moment_loses_nothing() {
        let (data, source, group) = (ndarray::array![[-1.0f32], [2.0]], Source::default(), Group::alone());
        let config = FlowConfig { coupling: "semidiscrete:draws=1".parse().unwrap(), ..FlowConfig::default() };
        let problem =
            Problem { config: &config, source: &source, data: &data, mirror: false, conditional: false, seed: 3 };
        let options = config.coupling.semidiscrete().unwrap();
        let fit = |out: &Path, from: usize| {
            let reads = Cell::new(0);
            let stopped = || {
                reads.set(reads.get() + 1);
                reads.get() > from
            };
            let fitting = Fitting { options: &options, key: "key", stopped: &stopped };
            let mut coupling = problem.unfitted().unwrap();
            problem
                .known_or_fitted(&Place { out, resume: false, group: &group }, &mut coupling, &fitting, None)
                .unwrap()
        };
        let dir = tempfile::tempdir().unwrap();
        let whole = fit(&dir.path().join("whole"), usize::MAX).unwrap();
        // The fit has 2000 batches, and the flag is read before each of them and at the end.
        for from in [0, 1, 2, 1999, 2000] {
            let out = dir.path().join(from.to_string());
            assert_eq!(fit(&out, from), None, "{from}");
            match read(&std::fs::read(out.join(POTENTIALS)).unwrap()).unwrap().1 {
                Stored::Unfinished(state) => assert_eq!(state.batches_done, from),
                Stored::Fitted(potentials) => assert_eq!((from, &potentials), (2000, &whole)),
            }
            assert_eq!(fit(&out, usize::MAX).as_ref(), Some(&whole), "{from}");
        }
    }
}
