//! Reflow in rounds: each round trains a student on the pairs of the model of the round before.
//!
//! | entry | content |
//! |---|---|
//! | `rounds.json` | the teacher and the settings of the rounds; marks the directory as one of rounds |
//! | `round-K/` | the run of round K, from 1 |
//! | `pairs-K/` | its pairs, if they are stored |
//! | `steps.json` | quality over the number of Euler steps, of the teacher (round 0) and of each round |
//!
//! To continue after an interruption, repeat the command: it resumes the round in which it stopped.

use anyhow::{Context, anyhow, ensure};
use fm_core::budget::limits;
use fm_terminal::println;
use fm_train::files::{self, Lock, read_known, read_plain};
use fm_train::run_dir::holds_checkpoints;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The file of settings.
const ABOUT: &str = "rounds.json";
/// The file with the number of finished rounds.
const DONE: &str = "done.json";
/// The lock, which a run's directory has too.
const LOCK: &str = "run.lock";
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
    /// A directory with other content or of other settings, and errors of a round.
    pub fn run(
        &self,
        mut train: impl FnMut(&Round) -> anyhow::Result<ExitCode>,
    ) -> anyhow::Result<Result<Vec<PathBuf>, ExitCode>> {
        ensure!((1..=MOST).contains(&self.count), "--rounds is {}; choose 1 to {MOST}", self.count);
        let _lock = self.open()?;
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
                let text = format!("{:#}\n", serde_json::json!({ "done": number }));
                files::write(&self.out.join(DONE), files::with_checksum(&text).as_bytes())?;
            }
            models.push(out);
        }
        Ok(Ok(models))
    }

    /// The number of rounds of which everything is written. A round that is not among them is
    /// resumed, if only to write what a killed process left out.
    fn done(&self) -> usize {
        let text = read_known(&self.out.join(DONE), 1000).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // Earlier versions wrote the number alone.
        if let Ok(number) = text.trim().parse() {
            return number;
        }
        // A round that is wrongly taken for done would be a teacher before its time.
        let (text, checksum) = files::without_checksum(&text);
        let intact = checksum.is_some_and(|recorded| recorded == files::sha256(text.as_bytes()));
        let done = serde_json::from_str::<Value>(&text).ok().filter(|_| intact).and_then(|done| done["done"].as_u64());
        done.map_or(0, |done| done as usize)
    }

    /// Makes the directory, or checks that it has rounds of these settings, and locks it.
    fn open(&self) -> anyhow::Result<Lock> {
        self.check()?;
        fs::create_dir_all(self.out).map_err(fm_train::TrainError::io("create", self.out))?;
        let lock = files::lock(self.out, LOCK)?;
        lock.clean(&[]);
        // Another process may have begun here before this one got the lock.
        if !self.check()? {
            files::write(&self.out.join(ABOUT), format!("{:#}\n", self.about()).as_bytes())?;
        }
        Ok(lock)
    }

    fn about(&self) -> Value {
        serde_json::json!({ "teacher": self.teacher, "settings": self.settings })
    }

    /// Whether the directory has rounds of these settings, rather than nothing.
    fn check(&self) -> anyhow::Result<bool> {
        // The number of rounds may grow.
        let about = self.about();
        let path = self.out.join(ABOUT);
        if path.exists() {
            let (text, mut budget) = read_plain(&path, &limits::TABLE_OF_RESULTS).with_context(|| {
                format!("cannot read {}, the settings of the rounds; choose another --out", path.display())
            })?;
            let damaged = |_| anyhow!("{} is damaged; choose another --out", path.display());
            let known: Value = files::json(&text, &mut budget).map_err(damaged)?;
            ensure!(
                known == about,
                "{} holds rounds of another teacher or other settings; repeat that command, or choose another --out",
                self.out.display()
            );
            return Ok(true);
        }
        // Hidden files are ignored, as they are in a run's directory.
        let visible = |entry: &fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
        let other = |entry: &fs::DirEntry| visible(entry) && entry.file_name() != LOCK;
        let holds = fs::read_dir(self.out).is_ok_and(|entries| entries.flatten().any(|entry| other(&entry)));
        ensure!(!holds, "{} holds files of something else; choose another --out", self.out.display());
        Ok(false)
    }
}
