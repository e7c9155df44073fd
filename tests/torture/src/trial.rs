//! One strike: a run that is struck, continued to its end, and compared with the reference.

use crate::foreign::Foreign;
use crate::log_damage::{Damage, LOG, LOGS, changes, continued};
use crate::programs::{At, Ended, How, Outputs, Programs};
use crate::snapshot::{Allowed, Log, Snapshot};
use crate::strikes::{Done, Strike};
use crate::subjects::Configuration;
use anyhow::{Context, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xtask_shell::ours;

/// A process may take this time in addition to ten times that of the reference.
const PATIENCE: Duration = Duration::from_secs(180);

/// A configuration with the result of its uninterrupted run.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) configuration: Configuration,
    pub(crate) done: Done,
    snapshot: Snapshot,
    /// The text of each log.
    logs: Vec<(&'static str, Vec<u8>)>,
}

/// The outcome of a first run.
#[derive(Debug)]
pub(crate) enum First {
    /// The run ended.
    Done(Box<Reference>),
    /// The program does not run this configuration, and says why.
    Refused(String),
}

/// The directory of a run, and what happened in it.
struct Trial<'a> {
    programs: &'a Programs,
    reference: &'a Reference,
    out: PathBuf,
    foreign: Foreign,
    allowed: Allowed,
}

/// Runs a configuration without a strike.
///
/// # Errors
/// A crash, a hang, a run that ends without its directory, or one of which no calls were seen.
pub(crate) fn first(programs: &Programs, configuration: Configuration, folder: &Path) -> anyhow::Result<First> {
    let out = fresh(folder)?;
    let how = How { root: &out, at: None, outputs: Outputs::Kept, kill_after: None, limit: PATIENCE };
    let ended = programs.run(configuration.program, &configuration.start(&out), &how)?;
    if let Some(crash) = ended.crash() {
        bail!("{crash}");
    }
    if ended.code != Some(0) {
        return Ok(First::Refused(ended.error));
    }
    let done = Done::new(ended.calls, ended.seconds);
    for call in ["mkdir", "open", "write", "fsync", "rename"] {
        ensure!(done.calls.iter().any(|(name, _)| name == call), "no {call} was seen, so no strike would hit one");
    }
    let snapshot = Snapshot::read(&out, &BTreeSet::new())?;
    let logs = LOGS.iter().filter_map(|name| Some((*name, fs::read(out.join(name)).ok()?))).collect();
    Ok(First::Done(Box::new(Reference { configuration, done, snapshot, logs })))
}

/// An empty folder with the path of a run's directory in it.
fn fresh(folder: &Path) -> anyhow::Result<PathBuf> {
    ours::empty(folder)?;
    Ok(folder.join("run"))
}

/// Strikes a run.
///
/// # Errors
/// What is wrong with the program under this strike.
pub(crate) fn strike(programs: &Programs, reference: &Reference, strike: &Strike, folder: &Path) -> anyhow::Result<()> {
    let out = fresh(folder)?;
    let foreign = Foreign::before(&out)?;
    let mut trial = Trial { programs, reference, out, foreign, allowed: Allowed::default() };
    trial.hit(strike)?;
    trial.unharmed()?;
    trial.finish()
}

impl Trial<'_> {
    /// Runs the command that starts or continues the run.
    fn run(&self, at: Option<At>, outputs: Outputs, kill_after: Option<Duration>) -> anyhow::Result<Ended> {
        let Reference { configuration, done, .. } = self.reference;
        let limit = PATIENCE + Duration::from_secs_f64(10.0 * done.seconds);
        let how = How { root: &self.out, at, outputs, kill_after, limit };
        let resumes = !configuration.trains() || !self.checkpoints().is_empty();
        let words = if resumes { configuration.resume(&self.out) } else { configuration.start(&self.out) };
        self.programs.run(configuration.program, &words, &how)
    }

    /// Runs the struck command, which must not crash.
    fn struck(&self, at: Option<At>, outputs: Outputs, kill_after: Option<Duration>) -> anyhow::Result<Ended> {
        let ended = self.run(at, outputs, kill_after)?;
        ended.crash().map_or(Ok(ended), |crash| bail!("{crash}"))
    }

    fn hit(&mut self, strike: &Strike) -> anyhow::Result<()> {
        match strike {
            Strike::Nothing => {
                self.run(None, Outputs::Kept, None)?.success()?;
                self.same("before it was continued")
            }
            Strike::Kill(at) => self.struck(Some(*at), Outputs::Kept, None).map(drop),
            Strike::Time(after) => self.struck(None, Outputs::Kept, Some(*after)).map(drop),
            Strike::Series(all) => all.iter().try_for_each(|at| {
                self.struck(Some(*at), Outputs::Kept, None)?;
                self.unharmed()
            }),
            Strike::Disk(at) => {
                let ended = self.struck(Some(*at), Outputs::Kept, None)?;
                ensure!([Some(0), Some(2)].contains(&ended.code), "a failing disk ended it with {}", ended.describe());
                ensure!(ended.code == Some(0) || !ended.error.is_empty(), "a failing disk ended it without a message");
                self.no_temporary_files()
            }
            Strike::Flip { at, newest, file, bit } => {
                self.struck(Some(*at), Outputs::Kept, None)?;
                self.flip(*newest, *file, *bit)
            }
            Strike::Log { at, name, damage, place } => {
                self.struck(Some(*at), Outputs::Kept, None)?;
                self.damage_log(name, *damage, *place)
            }
            Strike::Signal(at) | Strike::Hangup(at) => {
                self.allowed.other_steps = true;
                let ended = self.struck(Some(*at), Outputs::Kept, None)?;
                self.stopped(&ended)
            }
            Strike::Outputs(outputs) => {
                let ended = self.struck(None, *outputs, None)?;
                self.went_on(&ended)
            }
            Strike::Stuffed => {
                let at = At { action: "stuffed", call: 0, value: 0 };
                let ended = self.struck(Some(at), Outputs::Kept, None)?;
                self.went_on(&ended)
            }
        }
    }

    /// A run that was asked to stop has saved a checkpoint, unless it had not begun to train. The
    /// command that makes pairs may just end.
    fn stopped(&self, ended: &Ended) -> anyhow::Result<()> {
        if ended.code == Some(0) {
            return self.same("though it ended as if complete");
        }
        if !self.reference.configuration.trains() || !self.out.join("metrics.jsonl").exists() {
            return Ok(());
        }
        ensure!(ended.signal.is_none(), "it was ended by the signal while it trained: {}", ended.describe());
        ensure!(!self.checkpoints().is_empty(), "it stopped without a checkpoint: {}", ended.describe());
        Ok(())
    }

    /// A run whose output fails is complete, or has stopped with a message or a checkpoint.
    fn went_on(&self, ended: &Ended) -> anyhow::Result<()> {
        ensure!(ended.signal.is_none(), "it was ended by {}", ended.describe());
        if ended.code == Some(0) {
            return self.same("though it ended as if complete");
        }
        let saved = !self.reference.configuration.trains() || !self.checkpoints().is_empty();
        ensure!(saved, "it ended without a checkpoint: {}", ended.describe());
        Ok(())
    }

    /// The checkpoints in the directory, by step.
    fn checkpoints(&self) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(self.out.join("checkpoints")).into_iter().flatten().flatten();
        let step = |name: &str| name.strip_prefix("step-")?.parse::<u64>().ok().filter(|n| name == format!("step-{n}"));
        let mut found: Vec<_> =
            entries.filter_map(|entry| Some((step(entry.file_name().to_str()?)?, entry.path()))).collect();
        found.sort();
        found
    }

    /// Flips a bit in a checkpoint, or in a file of the pairs. The run goes on from an older
    /// checkpoint, or, if there is none, is refused until the bit is flipped back.
    fn flip(&mut self, newest: bool, file: u64, bit: u64) -> anyhow::Result<()> {
        let trains = self.reference.configuration.trains();
        let all = self.checkpoints();
        let directory = match all.last() {
            Some((_, last)) if newest => last.clone(),
            Some(_) => all[file as usize % all.len()].1.clone(),
            None => self.out.clone(),
        };
        let plain = |path: &PathBuf| path.is_file() && path.extension().is_some_and(|e| e != "lock" && e != "partial");
        let mut files: Vec<PathBuf> =
            fs::read_dir(&directory)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
        files.retain(plain);
        files.sort();
        ensure!(!files.is_empty(), "{} has no files to damage", directory.display());
        let path = &files[file as usize % files.len()];
        let whole = fs::read(path)?;
        let mut damaged = whole.clone();
        let place = bit as usize % (8 * damaged.len()).max(1);
        if let Some(byte) = damaged.get_mut(place / 8) {
            *byte ^= 1 << (place % 8);
        }
        fs::write(path, damaged)?;
        // Nothing shows any more which files of this checkpoint are ours, so it is kept aside.
        if trains && path.ends_with("meta.json") {
            let mut aside = directory.clone().into_os_string();
            aside.push(".damaged-1");
            self.allowed.inside.extend(Path::new(&aside).strip_prefix(&self.out).ok().map(Into::into));
        }
        let is_newest = all.last().is_none_or(|(_, last)| *last == directory);
        if !is_newest {
            // It is not used again, and stays damaged or is removed.
            let inside = directory.strip_prefix(&self.out).into_iter().map(Into::into).collect();
            self.allowed = Allowed { inside, other_steps: true, log: None };
        }
        let ended = self.struck(None, Outputs::Kept, None)?;
        let named = path.strip_prefix(&self.out).unwrap_or(path).display();
        if ended.code == Some(0) {
            return self.same(&format!("after bit {place} of {named} was flipped"));
        }
        ensure!(ended.code == Some(2), "with bit {place} of {named} flipped: {}", ended.describe());
        let alone = all.len() <= 1;
        ensure!(alone, "it refused, though there are older checkpoints than the damaged {named}: {}", ended.error);
        fs::write(path, whole)?;
        Ok(())
    }

    /// Damages a log of the run, and continues the run. Lines that do not belong to the log are
    /// removed, and those after the checkpoint are written again. A changed line of the log that
    /// checkpoints depend on is told, or the run is refused for it.
    fn damage_log(&mut self, name: &'static str, damage: Damage, place: u64) -> anyhow::Result<()> {
        let path = self.out.join(name);
        let (Ok(whole), Some((step, _))) = (fs::read(&path), self.checkpoints().pop()) else { return Ok(()) };
        let bytes = damage.apply(&whole, place);
        fs::write(&path, &bytes)?;
        let ended = self.struck(None, Outputs::Kept, None)?;
        if !changes(&whole, &bytes, step) {
            ended.success().with_context(|| format!("with {damage:?} in {name}"))?;
            return self.same(&format!("after {damage:?} in {name}"));
        }
        ensure!([Some(0), Some(2)].contains(&ended.code), "with {damage:?} in {name}: {}", ended.describe());
        let told = ended
            .said
            .lines()
            .any(|line| ["warning: ", "error: "].iter().any(|w| line.starts_with(w)) && line.contains(name));
        ensure!(told || name != LOG, "a changed line of {name}, after {damage:?}, is not told: {}", ended.said);
        if ended.code == Some(2) {
            fs::write(path, whole)?;
        } else {
            let full = self.reference.logs.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_slice());
            let texts = continued(name, &bytes, full.unwrap_or_default(), step);
            self.allowed.log = Some(Log { name, texts, after: step });
            self.same(&format!("after {damage:?} in {name}"))?;
        }
        Ok(())
    }

    /// Continues the run to its end, and compares it with the reference. A run that is complete
    /// stays as it is.
    fn finish(&mut self) -> anyhow::Result<()> {
        let known = [".flow-matching-run", "pairs.json", "rounds.json"].iter().any(|name| self.out.join(name).exists());
        if known || !self.checkpoints().is_empty() {
            self.foreign.after(&self.out)?;
        }
        self.run(None, Outputs::Kept, None)?.success().context("it does not go on")?;
        self.same("")?;
        self.unharmed()
    }

    fn same(&self, when: &str) -> anyhow::Result<()> {
        let found = Snapshot::read(&self.out, self.foreign.names())?;
        let differences = self.reference.snapshot.differences(&found, &self.allowed);
        ensure!(differences.is_empty(), "{differences}{}{when}", if when.is_empty() { "" } else { ", " });
        Ok(())
    }

    fn unharmed(&self) -> anyhow::Result<()> {
        self.foreign.touched(&self.out).map_or(Ok(()), |touched| bail!("{touched}"))
    }

    /// A process that ends by itself removes its temporary files.
    fn no_temporary_files(&self) -> anyhow::Result<()> {
        let folders = ["", "checkpoints", "samples", "best", "averages"].map(|folder| self.out.join(folder));
        let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let ours = |name: &String| name.ends_with(".partial") && !self.foreign.names().contains(Path::new(name));
        names.find(ours).map_or(Ok(()), |name| bail!("{name} is left over"))
    }
}
