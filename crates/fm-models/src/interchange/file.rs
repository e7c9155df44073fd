//! Files and folders that hold one set of weights, in one piece or in shards.

use super::contents::Contents;
use super::error::{InterchangeError, clip, list};
use super::format::{Format, identify};
use super::{legacy, safetensors, torch};
use fm_core::budget::{self, Budget, limits};
use std::path::{Path, PathBuf};

/// Maximum number of shards.
const SHARDS: usize = limits::SHARD_LIST.parts.0 as usize;

/// Names of files of weights in a folder of Hugging Face's libraries, the preferred one first.
const NAMES: [&str; 8] = [
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.bin.index.json",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
];

/// Endings of files of weights.
const ENDINGS: [&str; 5] = [".safetensors", ".pt", ".pth", ".ckpt", ".bin"];

/// Whether a folder holds files of weights, or parts of a pipeline: what [`read`](super::read)
/// takes, or names a file in.
pub fn holds_weights(folder: &Path) -> bool {
    let named = |name: &str| {
        let file = name.strip_suffix(".index.json").unwrap_or(name);
        ENDINGS.iter().any(|end| file.ends_with(end)) || name == "model_index.json" || name == ".metadata"
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.take(SHARDS).any(|entry| entry.file_name().to_str().is_some_and(named))
}

/// The bytes of one set of weights: of each of its shards, in their order.
#[derive(Debug)]
pub(super) struct Shards {
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The class that a folder's configuration names.
    pub(super) class: Option<String>,
}

/// Reads the bytes of a file, of all shards that an index or one of the shards names, or of the
/// weights in a folder.
///
/// # Errors
/// [`InterchangeError::Io`], and [`InterchangeError::File`] for a folder without weights, a missing
/// shard, and anything that is not a regular file.
pub(super) fn load(path: &Path) -> Result<Shards, InterchangeError> {
    let meta = std::fs::metadata(path).map_err(InterchangeError::io(path))?;
    if meta.is_dir() {
        return folder(path);
    }
    let bytes = regular(path)?;
    let paths = match identify(&bytes, path) {
        Format::Index => indexed(&bytes, path)?,
        _ => siblings(path).unwrap_or_default(),
    };
    if paths.is_empty() {
        return Ok(Shards { files: vec![(path.into(), bytes)], class: None });
    }
    let missing: Vec<String> = paths.iter().filter(|p| !p.is_file()).map(|p| name(p)).collect();
    if !missing.is_empty() {
        let problem =
            format!("of its {} shards {} are missing; fetch them into its folder", paths.len(), list(&missing));
        return Err(InterchangeError::file(path, problem));
    }
    let read = |shard: PathBuf| {
        let bytes = regular(&shard)?;
        Ok((shard, bytes))
    };
    Ok(Shards { files: paths.into_iter().map(read).collect::<Result<_, InterchangeError>>()?, class: None })
}

/// The bytes of a regular file: a pipe would never end.
fn regular(path: &Path) -> Result<Vec<u8>, InterchangeError> {
    if !std::fs::metadata(path).map_err(InterchangeError::io(path))?.is_file() {
        return Err(InterchangeError::file(path, "it is not a regular file; copy its content into one"));
    }
    budget::read(path, &limits::WEIGHTS).map(|(bytes, _)| bytes).map_err(InterchangeError::io(path))
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn folder(path: &Path) -> Result<Shards, InterchangeError> {
    let class = budget::read(&path.join("config.json"), &limits::DESCRIPTION)
        .ok()
        .filter(|(bytes, budget)| budget.count(budget::json_values(bytes)).is_ok())
        .and_then(|(bytes, _)| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .and_then(|config| Some(clip(config.get("_class_name")?.as_str()?, 60)));
    let found = NAMES.iter().map(|name| path.join(name)).find(|file| file.is_file());
    // The first shard of many, without an index.
    let first = || {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(path).ok()?.take(SHARDS).filter_map(|e| Some(e.ok()?.path())).collect();
        files.sort();
        files.into_iter().find(|file| siblings(file).is_some())
    };
    if let Some(file) = found.or_else(first) {
        return Ok(Shards { class, ..load(&file)? });
    }
    let mut held: Vec<String> = std::fs::read_dir(path)
        .map_err(InterchangeError::io(path))?
        .take(SHARDS)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    held.sort();
    if held.iter().any(|name| name == "model_index.json") {
        let parts =
            ["unet", "transformer", "prior"].into_iter().find(|part| path.join(part).is_dir()).unwrap_or("unet");
        let problem = format!("it is the folder of a diffusers pipeline; name the folder {parts} in it");
        return Err(InterchangeError::file(path, problem));
    }
    if held.iter().any(|name| name == ".metadata") && held.iter().any(|name| name.ends_with(".distcp")) {
        let problem = "it is a distributed checkpoint; make a file of it: python -m \
                       torch.distributed.checkpoint.format_utils dcp_to_torch DIRECTORY FILE.pt";
        return Err(InterchangeError::file(path, problem));
    }
    held.retain(|name| ENDINGS.iter().any(|end| name.ends_with(end)));
    let files = if held.is_empty() { "a .safetensors, .pt or .pth file".into() } else { list(&held) };
    Err(InterchangeError::file(path, format!("it is a directory; name a file in it: {files}")))
}

/// The shards that an index lists, in the order of their names.
fn indexed(bytes: &[u8], path: &Path) -> Result<Vec<PathBuf>, InterchangeError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let problem = |text: String| InterchangeError::file(path, text);
    Budget::admit(&limits::SHARD_LIST, bytes.len() as u64)
        .map_err(|over| problem(format!("its list of shards is too long: {over}")))?;
    let index: Index = serde_json::from_slice(bytes)
        .map_err(|e| problem(format!("its list of shards is damaged ({}); fetch it again", clip(e, 80))))?;
    let shards: std::collections::BTreeSet<String> = index.weight_map.into_values().collect();
    // Only files beside the index: it may come from anywhere.
    let plain = |name: &str| !name.is_empty() && Path::new(name).file_name().is_some_and(|n| n == name);
    if let Some(other) = shards.iter().find(|name| !plain(name)) {
        let text =
            format!("its list of shards names {}, which is not a file beside it; fetch it again", clip(other, 60));
        return Err(problem(text));
    }
    if shards.is_empty() || shards.len() > SHARDS {
        return Err(problem(format!("its list has {} shards; give one with 1 to {SHARDS}", shards.len())));
    }
    Ok(shards.into_iter().map(|name| path.with_file_name(name)).collect())
}

/// All shards of a file called `STEM-00001-of-00005.EXTENSION`; `None` for other names.
fn siblings(path: &Path) -> Option<Vec<PathBuf>> {
    let (stem, extension) = (path.file_stem()?.to_str()?, path.extension()?.to_str()?);
    let (start, total) = stem.rsplit_once("-of-")?;
    let (start, number) = start.rsplit_once('-')?;
    let digits = |text: &str| (text.len() == 5).then(|| text.parse::<usize>().ok()).flatten();
    let (total_count, _) = (digits(total)?, digits(number)?);
    let shard = |i: usize| path.with_file_name(format!("{start}-{i:05}-of-{total}.{extension}"));
    (1..=SHARDS).contains(&total_count).then(|| (1..=total_count).map(shard).collect())
}

impl Shards {
    /// The contents of all shards.
    ///
    /// # Errors
    /// [`InterchangeError::File`] for a file that is damaged or not a file of weights.
    pub(super) fn open(&self) -> Result<(Contents<'_>, Budget), InterchangeError> {
        let total: usize = self.files.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut budget = of_weights(total, self.files.first().map_or(Path::new(""), |(path, _)| path))?;
        let mut all = Contents::default();
        for (i, (path, bytes)) in self.files.iter().enumerate() {
            let contents = parse(bytes, path, &mut budget).map_err(|problem| InterchangeError::file(path, problem))?;
            if self.files.len() == 1 {
                return Ok((contents, budget));
            }
            all.append(i, contents, &mut budget).map_err(|problem| InterchangeError::file(path, problem))?;
        }
        Ok((all, budget))
    }
}

/// The budget of files of weights with this number of bytes.
pub(super) fn of_weights(bytes: usize, path: &Path) -> Result<Budget, InterchangeError> {
    Budget::new(&limits::WEIGHTS, bytes as u64).map_err(|over| InterchangeError::file(path, over.to_string()))
}

/// The contents of one file.
pub(super) fn parse<'a>(bytes: &'a [u8], path: &Path, budget: &mut Budget) -> Result<Contents<'a>, String> {
    match identify(bytes, path) {
        Format::Zip => torch::open(bytes, budget),
        Format::Pickle => legacy::open(bytes, budget),
        Format::Safetensors => safetensors::open(bytes, budget),
        Format::Index => Err("it is a list of shards; give its path, with the shards beside it".into()),
        Format::Other(problem) => Err(problem),
    }
}
