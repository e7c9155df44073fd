//! PyTorch's file format since 1.6: a zip archive of a pickle and the storages that it refers to.

use super::collect::collect;
use super::contents::Contents;
use super::error::{clip, list};
use super::pickle::parse;
use super::safetensors::admitted;
use super::storage::Storage;
use fm_core::budget::{Budget, Metered, OverBudget, check_zip};
use std::io::{Cursor, Read};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// The entry of an archive that this library wrote which describes the network, as JSON.
pub(super) const ABOUT_ENTRY: &str = "about.json";

/// An archive in memory, whose directory is read with bounded work.
type Archive<'a> = ZipArchive<Metered<Cursor<&'a [u8]>>>;

/// Opens an archive. The storages are borrowed from `bytes`, and checked when they are used.
///
/// # Errors
/// An archive that is damaged, ambiguous, compressed, or not PyTorch's.
pub(super) fn open<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<Contents<'a>, String> {
    let declared = check_zip(&mut Cursor::new(bytes), budget).map_err(too_many)?;
    let mut archive = ZipArchive::new(budget.metered(Cursor::new(bytes))).map_err(unread)?;
    if declared != archive.len() as u64 {
        return Err("its zip names an entry twice; save it again with torch.save".into());
    }
    let pickle = archive.file_names().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some(pickle) = pickle.map(str::to_owned) else { return Err(instead(&archive)) };
    let prefix = pickle.trim_end_matches("data.pkl").to_owned();
    let order = match archive.index_for_name(&format!("{prefix}byteorder")) {
        Some(index) => small(&mut archive, index, 16)?,
        None => Vec::new(),
    };
    let index = archive.index_for_name(&pickle).ok_or_else(|| damage("it has no data.pkl"))?;
    let (program, crc) = stored(&mut archive, bytes, index)?;
    budget.spend_work(program.len())?;
    if crc32fast::hash(program) != crc {
        return Err(damage("wrong checksum of data.pkl"));
    }
    let (tree, _) = parse(program, budget)?;
    let (leaves, modules) = collect(&tree, budget)?;
    let mut contents = Contents { leaves, modules, ..Contents::default() };
    let data = format!("{prefix}data/");
    for index in 0..archive.len() {
        let name = archive.name_for_index(index).and_then(|name| name.strip_prefix(&data)).map(str::to_owned);
        let Some(key) = name.filter(|key| !key.is_empty()) else { continue };
        budget.take_bytes(key.len() + 3 * size_of::<Storage<'_>>())?;
        let (bytes, crc) = stored(&mut archive, bytes, index)?;
        let storage = Storage { bytes, crc: Some(crc), big_endian: order == b"big" };
        contents.storages.by_key.insert(key, storage);
    }
    if let Some(index) = archive.index_for_name(&format!("{prefix}{ABOUT_ENTRY}")) {
        let (text, crc) = stored(&mut archive, bytes, index)?;
        budget.spend_work(text.len())?;
        budget.take_bytes(text.len().saturating_mul(3))?;
        if crc32fast::hash(text) != crc {
            return Err(damage("wrong checksum of about.json"));
        }
        let text = std::str::from_utf8(text).map_err(damage)?;
        contents.about = Some(serde_json::from_str(admitted(text)?).map_err(damage)?);
    }
    Ok(contents)
}

fn too_many(error: std::io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(OverBudget::Parts { count, remedy, .. }) => {
            format!("its zip has {count} entries, more than weights need; {remedy}")
        }
        Some(over) => over.to_string(),
        None => damage(error),
    }
}

fn unread(error: ZipError) -> String {
    match error {
        ZipError::Io(error) => too_many(error),
        error => damage(error),
    }
}

fn damage(problem: impl std::fmt::Display) -> String {
    format!("its zip is damaged or cut short ({}); fetch it again", clip(problem, 80))
}

/// The bytes and the checksum of an entry that is not compressed.
fn stored<'a>(archive: &mut Archive<'a>, bytes: &'a [u8], index: usize) -> Result<(&'a [u8], u32), String> {
    let entry = archive.by_index(index).map_err(damage)?;
    let name = clip(entry.name(), 60);
    if entry.compression() != CompressionMethod::Stored {
        return Err(format!("its entry {name} is compressed; save it with torch.save, which does not"));
    }
    let part = usize::try_from(entry.data_start()).ok().zip(usize::try_from(entry.size()).ok());
    let part = part.and_then(|(start, size)| bytes.get(start..start.checked_add(size)?));
    let part = part.ok_or_else(|| format!("its entry {name} is cut short; fetch it again"))?;
    Ok((part, entry.crc32()))
}

/// The content of a small entry.
fn small(archive: &mut Archive<'_>, index: usize, most: u64) -> Result<Vec<u8>, String> {
    let entry = archive.by_index(index).map_err(damage)?;
    let mut content = Vec::new();
    entry.take(most).read_to_end(&mut content).map_err(damage)?;
    Ok(content)
}

/// What a zip archive without a pickle is, and the remedy.
fn instead(archive: &Archive<'_>) -> String {
    let has = |end: &str| archive.file_names().any(|name| name.ends_with(end));
    if archive.is_empty() {
        return "it is an empty zip archive; save the weights with torch.save".into();
    }
    if has(".npy") {
        return "it is a NumPy archive (.npz), whose arrays are not named like a network's; load it with numpy.load \
                and save the tensors with torch.save"
            .into();
    }
    if has(".h5") {
        return "it is a Keras file, and Keras networks are not known here; save PyTorch's weights of the network"
            .into();
    }
    for end in [".pt", ".pth", ".safetensors", ".ckpt", ".bin"] {
        if has(end) {
            return format!("it is a zip archive with a {end} file in it; unpack it, and name that file");
        }
    }
    let mut names: Vec<&str> = archive.file_names().collect();
    names.sort_unstable();
    format!("its zip has no data.pkl but {}; save it with torch.save", list(&names))
}
