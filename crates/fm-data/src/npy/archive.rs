//! Members of an `.npz` archive.

use super::ArraySource;
use super::trouble::{broken, reading};
use crate::{DataError, error, input};
use fm_core::budget::limits::{self, DEFLATE};
use fm_core::budget::{Budget, Metered, check_zip};
use std::fs::File;
use std::io::{BufReader, Read};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// An archive whose directory is read with bounded work.
type Archive = ZipArchive<Metered<BufReader<File>>>;

/// Opens a member of an archive, and passes its bytes, their number and the budget to `then`.
pub(super) fn open<R>(
    source: &ArraySource,
    mut file: File,
    length: u64,
    then: impl FnOnce(&mut dyn Read, u64, Budget) -> Result<R, DataError>,
) -> Result<R, DataError> {
    let path = &source.path;
    let damaged = |e: ZipError| match e {
        ZipError::Io(e) => reading(source, e),
        e => broken(path, format!("it cannot be read as .npz ({e})"), "give a file that numpy.savez wrote"),
    };
    let mut budget = Budget::new(&limits::ARRAYS, length).map_err(|over| input::exceeded(path, over))?;
    let declared = check_zip(&mut file, &mut budget).map_err(|e| reading(source, e))?;
    let mut archive = Archive::new(budget.metered(BufReader::new(file))).map_err(damaged)?;
    // The library may use an earlier directory than the one that was checked.
    budget.count(archive.len()).map_err(|over| input::exceeded(path, over))?;
    if declared != archive.len() as u64 {
        return Err(broken(path, "it holds two arrays of one name".into(), "save it again"));
    }
    let place = member(source, &archive)?;
    let member = archive.by_index(place).map_err(damaged)?;
    let (size, packed, stored) =
        (member.size(), member.compressed_size(), member.compression() == CompressionMethod::Stored);
    let most = if stored { packed } else { packed.saturating_mul(DEFLATE).saturating_add(DEFLATE) };
    if packed > length || size > most {
        let problem = format!("an array of {size} bytes is claimed in {packed} compressed bytes of {length}");
        return Err(broken(path, problem, "it is damaged: copy or save it again"));
    }
    then(&mut member.take(size.saturating_add(1)), size, budget)
}

/// The index of the member to read.
fn member(source: &ArraySource, archive: &Archive) -> Result<usize, DataError> {
    let names: Vec<&str> = archive.file_names().filter_map(|name| name.strip_suffix(".npy")).collect();
    let file = source.path.file_name().unwrap_or_default().to_string_lossy();
    let which = |name: &str| format!("name one after a colon, as in {file}:{}", error::brief(name, 40));
    let name = match (&source.member, &names[..]) {
        (Some(name), _) => name.as_str(),
        (None, [only]) => only,
        (None, []) => {
            let problem = "it holds no arrays (.npy members)".into();
            return Err(broken(&source.path, problem, "give a file that numpy.savez wrote"));
        }
        (None, [first, ..]) => {
            let problem = format!("it holds {} arrays: {}", names.len(), error::some(&names));
            return Err(broken(&source.path, problem, &which(first)));
        }
    };
    let found = archive.index_for_name(&format!("{name}.npy")).or_else(|| archive.index_for_name(name));
    found.ok_or_else(|| {
        let problem = format!("it holds no array '{}', only {}", error::brief(name, 30), error::some(&names));
        broken(&source.path, problem, &names.first().map_or("give another file".into(), |first| which(first)))
    })
}
