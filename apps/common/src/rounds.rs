//! Reflow in rounds: each round trains a student on the pairs of the model of the round before.
//!
//! | entry | content |
//! |---|---|
//! | `rounds.json` | the teacher and the settings of the rounds; shows that the directory is ours |
//! | `round-K/` | the run of round K, from 1 |
//! | `pairs-K/` | its pairs, if they are stored |
//! | `steps.json` | quality over the number of Euler steps, of the teacher (round 0) and of each round |
//!
//! A command that was interrupted is repeated: it continues the round in which it stopped.

use anyhow::{Context, ensure};
use fm_terminal::println;
use fm_train::files::{self, read_plain};
use fm_train::run_dir::holds_checkpoints;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The file of settings.
const ABOUT: &str = "rounds.json";
/// The file with the number of finished rounds.
const DONE: &str = "done.json";
/// The longest such file, in bytes.
const LONGEST: u64 = 1 << 20;
/// The most rounds.
const MOST: usize = 100;

/// Rounds of reflow.
#[derive(Debug)]
pub struct Rounds<'a> {
    /// The model that makes the pairs of round 1.
    pub teacher: &'a Path,
    /// Number of rounds.
    pub count: usize,
    /// The directory of all rounds.
    pub out: &'a Path,
    /// Everything else that the results depend on.
    pub settings: Value,
}

/// One round.
#[derive(Debug)]
pub struct Round {
    /// Its number, from 1.
    pub number: usize,
    /// The model that makes the pairs.
    pub teacher: PathBuf,
    /// The directory of its pairs.
    pub pairs: PathBuf,
    /// The directory of its run.
    pub out: PathBuf,
    /// Whether the run was begun before.
    pub resume: bool,
}

impl Rounds<'_> {
    /// Trains the rounds that are not finished, in order. Returns the models of all rounds, the
    /// teacher first, or the exit code of a round that was stopped.
    ///
    /// # Errors
    /// A directory of something else or of other settings, and errors of a round.
    pub fn run(
        &self,
        mut train: impl FnMut(&Round) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<Result<Vec<PathBuf>, ExitCode>> {
        ensure!((1..=MOST).contains(&self.count), "--rounds is {}; choose 1 to {MOST}", self.count);
        self.open()?;
        let mut models = vec![self.teacher.to_path_buf()];
        let done = self.done();
        for number in 1..=self.count {
            let out = self.out.join(format!("round-{number}"));
            let teacher = models.last().cloned().unwrap_or_default();
            let pairs = self.out.join(format!("pairs-{number}"));
            if number <= done {
                println!("round     {number} of {} is done: {}", self.count, out.display());
            } else {
                println!("round     {number} of {}: the teacher is {}", self.count, teacher.display());
                let resume = holds_checkpoints(&out);
                let code = train(&Round { number, teacher, pairs, out: out.clone(), resume })?;
                if code != ExitCode::SUCCESS {
                    println!("stopped   in round {number}; repeat the command to continue");
                    return Ok(Err(code));
                }
                files::write(&self.out.join(DONE), format!("{number}\n").as_bytes())?;
            }
            models.push(out);
        }
        Ok(Ok(models))
    }

    /// The number of rounds of which everything is written. A round that is not among them is
    /// resumed, if only to write what a killed process left out.
    fn done(&self) -> usize {
        let text = read_plain(&self.out.join(DONE), 100).unwrap_or_default();
        String::from_utf8_lossy(&text).trim().parse().unwrap_or(0)
    }

    /// Makes the directory, or checks that it has rounds of these settings.
    fn open(&self) -> anyhow::Result<()> {
        // The number of rounds may grow.
        let about = serde_json::json!({ "teacher": self.teacher, "settings": self.settings });
        let path = self.out.join(ABOUT);
        if path.exists() {
            let text = read_plain(&path, LONGEST).with_context(|| {
                format!("cannot read {}, the settings of the rounds; choose another --out", path.display())
            })?;
            let known: Value = serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged; choose another --out", path.display()))?;
            ensure!(
                known == about,
                "{} holds rounds of another teacher or other settings; repeat that command, or choose another --out",
                self.out.display()
            );
            return Ok(());
        }
        let holds = fs::read_dir(self.out).is_ok_and(|mut entries| entries.next().is_some());
        ensure!(!holds, "{} holds files of something else; choose another --out", self.out.display());
        fs::create_dir_all(self.out).map_err(fm_train::TrainError::io("create", self.out))?;
        Ok(files::write(&path, format!("{about:#}\n").as_bytes())?)
    }
}
