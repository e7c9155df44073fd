//! The potentials of a semidiscrete coupling: fitted before the training, and stored in the run.
//!
//! `potentials.txt` has a comment with two hashes and one potential per line, in the order of the
//! data rows, mirrored rows last; `numpy.loadtxt` reads it. The first hash covers everything that
//! the potentials depend on: the data, the source, the cost, the seed and the options of the fit.
//! The second covers the lines. A resumed run reads the file. If it is missing, damaged or of
//! another fit, the potentials are fitted again, with the same result.

use crate::objective_args::FlowConfig;
use crate::process_group::Group;
use anyhow::ensure;
use fm_cli::memory::ensure_fits;
use fm_core::data::{Dataset, Pick};
use fm_core::rng::Stream;
use fm_core::source::Source;
use fm_ot::semidiscrete::NoiseRows;
use fm_ot::{OtError, Semidiscrete, SemidiscreteOptions, SemidiscreteReport};
use fm_terminal::{eprintln, println};
use fm_train::files::{read_known, sha256};
use fm_train::fingerprint::fingerprint;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array2;
use std::path::Path;
use std::time::Instant;

/// The file of a run.
pub const POTENTIALS: &str = "potentials.txt";
/// The most bytes per line of the file.
const LINE: u64 = 32;
/// Fresh noise rows per data row that measure a fit.
const MEASURED: usize = 16;

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

/// A fitted coupling, and its file.
#[derive(Debug)]
pub struct Potentials {
    /// The coupling.
    pub coupling: Semidiscrete,
    text: String,
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

    /// The coupling of a configuration, fitted on rank 0 or read from the `resumed` run; `None` for
    /// couplings of batches.
    ///
    /// # Errors
    /// Data without a fixed number of rows, or more than fit into memory; a directory or a device
    /// in place of the file; errors of the fit.
    pub fn fit(problem: &Problem<'_>, resumed: Option<&Path>, group: &Group) -> anyhow::Result<Option<Self>> {
        let Some(options) = problem.config.coupling.semidiscrete() else { return Ok(None) };
        ensure!(
            !problem.data.is_endless(),
            "the semidiscrete coupling chooses among the rows of the data, and these are drawn anew at every step; \
             give their number (--rows 10000)"
        );
        if let Some(run) = resumed {
            ensure_plain(&run.join(POTENTIALS))?;
        }
        let coupling = problem.unfitted()?;
        let key = problem.key(&options)?;
        let bits = group.agree(|| {
            let known = resumed.and_then(|run| read_again(run, &key, coupling.row_count()));
            let potentials = match known {
                Some(known) => {
                    println!("coupling  {} potentials of the run, from {POTENTIALS}", known.len());
                    known
                }
                None => problem.fitted(coupling.clone(), &options)?,
            };
            // TOML has whole numbers of 64 bits, and writes f64 exactly too; bits leave no doubt.
            Ok(potentials.into_iter().map(|g| g.to_bits() as i64).collect::<Vec<_>>())
        })?;
        let potentials: Vec<f64> = bits.into_iter().map(|bits| f64::from_bits(bits as u64)).collect();
        let text = written(&key, &potentials);
        Ok(Some(Self { coupling: coupling.with_potentials(&potentials)?, text }))
    }
}

impl Problem<'_> {
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

    /// Fits the potentials and prints how well.
    fn fitted(&self, mut coupling: Semidiscrete, options: &SemidiscreteOptions) -> anyhow::Result<Vec<f64>> {
        let (started, rows) = (Instant::now(), coupling.row_count());
        let noise = |at: NoiseRows, stream| at.draw(self.source, self.seed, stream, self.data.dim());
        let report = fit_shown(&mut coupling, options, noise)?;
        println!("coupling  {rows} potentials fitted in {:.1} s: {report}", started.elapsed().as_secs_f64());
        println!("coupling  noise chooses the data rows, so an epoch is {rows} rows, not one pass over them");
        Ok(coupling.potentials())
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
) -> Result<SemidiscreteReport, OtError> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:28} coupling {pos}/{len}  ETA {eta}") {
        bar.set_style(style);
    }
    coupling.fit(options, |at| {
        bar.set_length(at.batches as u64);
        bar.set_position(at.batches_done as u64);
        noise(at, Stream::Coupling)
    })?;
    bar.finish_and_clear();
    let draws = MEASURED.saturating_mul(coupling.row_count()).clamp(1000, 1 << 20);
    coupling.measure(draws, |at| noise(at, Stream::Estimate))
}

/// Fails before the fit if its file could not be written.
fn ensure_plain(path: &Path) -> anyhow::Result<()> {
    let plain = std::fs::symlink_metadata(path).map_or(true, |found| found.is_file());
    ensure!(plain, "cannot write {}: it is not a plain file; move it away", path.display());
    Ok(())
}

/// The text of potentials.
fn written(key: &str, potentials: &[f64]) -> String {
    let lines: String = potentials.iter().map(|g| format!("{g:e}\n")).collect();
    format!("# {key} {}\n{lines}", sha256(lines.as_bytes()))
}

/// The potentials of a text, and the hash of what they depend on.
///
/// # Errors
/// What is wrong with the text, in few words.
pub fn read(bytes: &[u8]) -> Result<(String, Vec<f64>), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
    let (head, lines) = text.split_once('\n').ok_or("it has no lines")?;
    let hashes = head.strip_prefix("# ").and_then(|hashes| hashes.split_once(' '));
    let (key, hash) = hashes.ok_or("its first line has no hashes")?;
    if sha256(lines.as_bytes()) != hash {
        return Err("its lines are not those of its hash".into());
    }
    let number = |line: &str| line.parse().ok().filter(|g: &f64| g.is_finite());
    let potentials: Option<Vec<f64>> = lines.lines().map(number).collect();
    Ok((key.to_owned(), potentials.ok_or("a line is not a finite number")?))
}

/// The potentials of a run, if they are those of this fit.
fn read_again(run: &Path, key: &str, rows: usize) -> Option<Vec<f64>> {
    let path = run.join(POTENTIALS);
    let bytes = read_known(&path, LINE * (rows as u64 + 8)).map_err(|error| error.to_string());
    let problem = match bytes.and_then(|bytes| read(&bytes)) {
        Ok((of, potentials)) if of == key && potentials.len() == rows => return Some(potentials),
        Ok(_) => "it is of another fit".to_owned(),
        Err(problem) => problem,
    };
    eprintln!("warning: {} cannot be used: {problem}; fitting the potentials again", path.display());
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn potentials_are_read_as_written_and_damage_is_found() {
        let values = [0.1, -1e-300, 12345.678901234567, 0.0, f64::MAX];
        let text = written("key", &values);
        assert_eq!(read(text.as_bytes()), Ok(("key".into(), values.to_vec())));
        for damaged in [text.replace("1e-1\n", "2e-1\n"), text.replace('#', ""), text.trim_end().into(), String::new()]
        {
            assert!(read(damaged.as_bytes()).is_err(), "{damaged}");
        }
        let not_finite = format!("# key {}\nNaN\n", sha256(b"NaN\n"));
        assert_eq!(read(not_finite.as_bytes()).unwrap_err(), "a line is not a finite number");
        assert!(read(b"# \xff").is_err());
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(POTENTIALS), written("key", &[1.5, 2.5])).unwrap();
        assert_eq!(read_again(dir.path(), "key", 2), Some(vec![1.5, 2.5]));
        assert_eq!(read_again(dir.path(), "key", 3), None);
        assert_eq!(read_again(dir.path(), "other", 2), None);
        assert_eq!(read_again(&dir.path().join("missing"), "key", 2), None);
        assert!(
            ensure_plain(&dir.path().join(POTENTIALS)).is_ok() && ensure_plain(&dir.path().join("missing")).is_ok()
        );
        assert!(ensure_plain(dir.path()).unwrap_err().to_string().contains("it is not a plain file"));
    }
}
