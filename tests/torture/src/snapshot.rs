//! The content of a directory, and how two of them differ.

use crate::log_damage::LOG;
use anyhow::Context;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Entries whose content depends on the clock or the process.
const NOT_COMPARED: [&str; 3] = ["tensorboard", "run.lock", "pairs.lock"];
/// A log of which only the steps are compared.
const TIMES: &str = "timing.jsonl";
/// Folders of a run, which may be empty. Rounds of reflow have several runs.
const FOLDERS: [&str; 5] = ["", "checkpoints", "samples", "best", "averages"];
/// How many differences are named.
const NAMED: usize = 4;

/// The description of a checkpoint, which has the hash of the log.
const META: &str = "meta.json";
/// The curve of the log.
const CURVE: &str = "loss.png";

/// A hash of each file of a directory, by its path in it. An empty directory is an entry too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<PathBuf, Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    hash: String,
    /// The hash of a description without that of the log.
    beside_log: Option<String>,
}

/// A log that lost lines before a step.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it may be.
    pub(crate) texts: Vec<Vec<u8>>,
    /// The step. Descriptions of later checkpoints have another hash of the log.
    pub(crate) after: u64,
}

/// What may differ from the reference.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowed {
    /// Checkpoints that only one of the two has, the newest one excepted: a run that was stopped
    /// saves at another step.
    pub(crate) other_steps: bool,
    /// These files, and those in these directories, which are not the whole directory.
    pub(crate) inside: Vec<PathBuf>,
    /// A log that is not that of the reference, and what follows from it.
    pub(crate) log: Option<Log>,
}

impl Log {
    /// Whether a file is right, if the log has to do with it.
    fn allows(&self, path: &Path, one: Option<&Entry>, two: Option<&Entry>) -> Option<bool> {
        // A curve needs lines.
        if path == Path::new(CURVE) && self.name == LOG {
            return Some(true);
        }
        let (one, two) = (one?, two?);
        if path == Path::new(self.name) {
            let right = |text: &Vec<u8>| Entry::of(path, text).hash == two.hash;
            return Some(self.texts.iter().any(right));
        }
        let later = saved_at(path).is_some_and(|step| step > self.after);
        let description = self.name == LOG && later && name(path) == META;
        description.then(|| one.beside_log.is_some() && one.beside_log == two.beside_log)
    }
}

impl Entry {
    fn of(path: &Path, bytes: &[u8]) -> Self {
        let hash = if name(path) == TIMES { steps(bytes) } else { hash(bytes) };
        Self { hash, beside_log: (name(path) == META).then(|| without_log(bytes)).flatten() }
    }
}

/// The hash of a description without those of the log and of itself.
fn without_log(bytes: &[u8]) -> Option<String> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    let entries = value.as_object_mut()?;
    entries.remove("log")?;
    entries.remove("sha256")?;
    Some(hash(value.to_string().as_bytes()))
}

impl Snapshot {
    /// Reads a directory, except for these files.
    pub(crate) fn read(root: &Path, except: &BTreeSet<PathBuf>) -> anyhow::Result<Self> {
        let mut found = BTreeMap::new();
        let mut left = vec![PathBuf::new()];
        while let Some(inner) = left.pop() {
            let path = root.join(&inner);
            if fs::symlink_metadata(&path).with_context(|| format!("{} is missing", path.display()))?.is_dir() {
                let names: Vec<_> =
                    fs::read_dir(&path)?.map(|entry| entry.map(|e| e.file_name())).collect::<Result<_, _>>()?;
                let inner_of = |name| if inner.as_os_str().is_empty() { PathBuf::from(name) } else { inner.join(name) };
                let below: Vec<PathBuf> = names.into_iter().map(inner_of).collect();
                let known = |path: &&PathBuf| !NOT_COMPARED.contains(&name(path));
                let ours: Vec<PathBuf> = below.iter().filter(known).cloned().collect();
                if below.is_empty() && !FOLDERS.contains(&name(&inner)) {
                    found.insert(inner, Entry { hash: "an empty directory".into(), beside_log: None });
                }
                left.extend(ours);
            } else if !except.contains(&inner) {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let entry = Entry::of(&inner, &bytes);
                found.insert(inner, entry);
            }
        }
        Ok(Self(found))
    }

    /// The differences of another directory from this one, in words; empty if there are none.
    pub(crate) fn differences(&self, other: &Self, allowed: &Allowed) -> String {
        let newest = |of: &Path| self.0.keys().filter_map(|path| step(path).filter(|(run, _)| *run == of)).max();
        let all: BTreeSet<&PathBuf> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |path: &&PathBuf| -> Option<String> {
            let within = |inside: &PathBuf| !inside.as_os_str().is_empty() && path.starts_with(inside);
            if allowed.inside.iter().any(within) {
                return None;
            }
            let other_step = allowed.other_steps && step(path).is_some_and(|found| Some(found) != newest(found.0));
            let (one, two) = (self.0.get(*path), other.0.get(*path));
            let allowed_by_log = allowed.log.as_ref().and_then(|log| log.allows(path, one, two));
            let how = match (one, two) {
                _ if allowed_by_log == Some(true) => return None,
                (Some(one), Some(two)) if one == two && allowed_by_log.is_none() => return None,
                (Some(_), Some(_)) => "differs",
                _ if other_step => return None,
                (Some(_), None) => "is missing",
                (None, _) => "is left over",
            };
            Some(format!("{} {how}", path.display()))
        };
        let found: Vec<String> = all.iter().filter_map(differs).collect();
        let more = if found.len() > NAMED { format!(" and {} more", found.len() - NAMED) } else { String::new() };
        found.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ") + &more
    }
}

/// The last part of a path in a directory; empty for the directory.
fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The run and the step of a file in a checkpoint.
fn step(path: &Path) -> Option<(&Path, u64)> {
    let found = path.ancestors().find(|place| place.parent().is_some_and(|above| name(above) == "checkpoints"))?;
    let run = found.parent()?.parent()?;
    Some((run, name(found).strip_prefix("step-")?.parse().ok()?))
}

/// The step of a file in a checkpoint or in a snapshot of averages.
fn saved_at(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|place| name(place).strip_prefix("step-")?.parse().ok())
}

/// The steps of the lines of a log.
fn steps(bytes: &[u8]) -> String {
    let line =
        |line: &[u8]| serde_json::from_slice::<Value>(line).map_or("?".into(), |value| value["step"].to_string());
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(line).collect::<Vec<_>>().join(" ")
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, Snapshot) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let snapshot = Snapshot::read(dir.path(), &BTreeSet::from(["mine".into()])).unwrap();
        (dir, snapshot)
    }

    #[test]
    fn every_kind_of_difference_is_found_and_times_are_none() {
        let timing = |time: u32| format!("{{\"step\":2,\"time\":{time}}}\n");
        let (_a, a) =
            directory(&[("log", "1"), ("timing.jsonl", &timing(3)), ("old", "x"), ("run.lock", ""), ("mine", "")]);
        let (_b, b) = directory(&[("log", "1"), ("timing.jsonl", &timing(4)), ("old", "x"), ("tensorboard/e", "")]);
        assert_eq!(a.differences(&b, &Allowed::default()), "");
        let (_c, c) = directory(&[("log", "2"), ("timing.jsonl", ""), ("new", "x")]);
        let found = a.differences(&c, &Allowed::default());
        assert_eq!(found, "log differs, new is left over, old is missing, timing.jsonl differs");
    }

    #[test]
    fn a_stopped_run_may_have_other_checkpoints_but_the_same_newest_one() {
        let [a, b, c, d] = [
            &[("checkpoints/step-4/m", "4"), ("checkpoints/step-10/m", "10")][..],
            &[("checkpoints/step-5/m", "5"), ("checkpoints/step-10/m", "10")],
            &[("checkpoints/step-4/m", "9"), ("checkpoints/step-10/m", "10")],
            &[("checkpoints/step-4/m", "4"), ("checkpoints/step-9/m", "9")],
        ]
        .map(|files| directory(files).1);
        let allowed = Allowed { other_steps: true, ..Allowed::default() };
        assert_eq!(a.differences(&b, &allowed), "");
        assert!(a.differences(&b, &Allowed::default()).contains("step-5/m is left over"));
        assert_eq!(a.differences(&c, &allowed), "checkpoints/step-4/m differs");
        assert_eq!(a.differences(&d, &allowed), "checkpoints/step-10/m is missing");
        let inside = |path: &str| Allowed { inside: vec![path.into()], ..Allowed::default() };
        assert_eq!(a.differences(&c, &inside("checkpoints/step-4")), "");
        // No path stands for everything.
        assert_eq!(a.differences(&c, &inside("")), "checkpoints/step-4/m differs");
    }

    /// A log that lost a line is that of the rule, and nothing else differs but its hashes.
    #[test]
    fn a_log_that_lost_lines_excuses_only_what_follows_from_it() {
        let of = |log: &str, curve: &str, [early, late]: [&str; 2], weights: &str| {
            let meta = |hash: &str, step: u32| format!("{{\"sha256\":\"{hash}\",\"log\":\"{hash}\",\"step\":{step}}}");
            let (early, late) = (meta(early, 4), meta(late, 6));
            let files = [
                ("metrics.jsonl", log),
                ("loss.png", curve),
                ("checkpoints/step-4/meta.json", &early),
                ("checkpoints/step-6/meta.json", &late),
                ("checkpoints/step-6/model", weights),
                ("averages/step-6/meta.json", &late),
            ];
            directory(&files).1
        };
        let log = Log { name: "metrics.jsonl", texts: vec![b"short".to_vec()], after: 4 };
        let allowed = Allowed { log: Some(log), ..Allowed::default() };
        let whole = of("whole", "a", ["1", "2"], "w");
        assert_eq!(whole.differences(&of("short", "b", ["1", "3"], "w"), &allowed), "");
        let told = |other: Snapshot| whole.differences(&other, &allowed);
        assert_eq!(told(of("whole", "a", ["1", "2"], "w")), "metrics.jsonl differs");
        assert_eq!(told(of("other", "b", ["1", "3"], "w")), "metrics.jsonl differs");
        assert_eq!(told(of("short", "b", ["9", "3"], "w")), "checkpoints/step-4/meta.json differs");
        assert_eq!(told(of("short", "b", ["1", "3"], "v")), "checkpoints/step-6/model differs");
        let step = |n: u32| format!("{{\"sha256\":\"1\",\"log\":\"1\",\"step\":{n}}}");
        let [one, two] = [6, 7].map(|n| directory(&[("checkpoints/step-6/meta.json", &step(n))]).1);
        assert_eq!(one.differences(&two, &allowed), "checkpoints/step-6/meta.json differs");
    }

    /// The newest checkpoint of each round must be the same one.
    #[test]
    fn rounds_have_a_newest_checkpoint_each() {
        let round = |number: usize, step: u64| format!("round-{number}/checkpoints/step-{step}/m");
        let of = |steps: [u64; 2]| {
            let names = [round(1, steps[0]), round(1, 10), round(2, steps[1])];
            directory(&names.each_ref().map(|name| (name.as_str(), ""))).1
        };
        let allowed = Allowed { other_steps: true, ..Allowed::default() };
        assert_eq!(of([4, 6]).differences(&of([5, 6]), &allowed), "");
        assert!(of([4, 6]).differences(&of([4, 7]), &allowed).contains("round-2/checkpoints/step-6/m is missing"));
    }
}
