//! Means and covariances as `.npz`, in the format of pytorch-fid: arrays `mu` (d) and `sigma` (d,
//! d), f64 (f32 is also read), in a zip archive that may be compressed. Files written here also
//! contain the number of samples (`count`), which other programs ignore.
//!
//! ```
//! use fm_metrics::{moments::Gaussian, statistics};
//! use ndarray::array;
//! let path = tempfile::tempdir()?.keep().join("statistics.npz");
//! let gaussian = Gaussian { mean: array![1.0, 2.0], covariance: array![[2.0, 1.0], [1.0, 3.0]], count: Some(9) };
//! std::fs::write(&path, statistics::write(&gaussian)?)?;
//! assert_eq!(statistics::read(&path)?, gaussian);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::MetricError;
use crate::moments::Gaussian;
use fm_core::budget::{self, Budget, Metered, check_zip, limits};
use fm_core::message;
use ndarray::{Array0, Array1, Array2, ArrayD, Dimension};
use ndarray_npy::{ReadNpyError, ReadNpyExt, WriteNpyExt};
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The maximum number of features of a file: its matrix then takes 8 GiB.
const MOST: u64 = 1 << 15;

/// Maximum size of an `.npy` in addition to its numbers, in bytes.
const HEADER: u64 = 1 << 12;

/// The bytes before the name of a member.
const LOCAL: u64 = 30;

/// The largest number of samples that f64 holds exactly.
const COUNT: f64 = 9_007_199_254_740_992.0;

/// An archive whose directory is read with bounded work.
type Archive = ZipArchive<BufReader<Metered<File>>>;

/// Reads a file of statistics.
///
/// # Errors
/// [`MetricError::Statistics`] for a file that is missing, of another format or shape, whose
/// headers claim more data than it holds, with values that are not finite, or with a sigma that is
/// not symmetric or has a negative variance; its text says which, and where.
pub fn read(path: &Path) -> Result<Gaussian, MetricError> {
    let broken = |problem: String| MetricError::Statistics { path: path.into(), problem };
    let opened = budget::open(path, &limits::STATISTICS);
    let (mut file, mut budget) = opened.map_err(|e| broken(format!("it cannot be opened ({e})")))?;
    let zip = |problem: String| broken(format!("it is not a zip archive ({problem})"));
    let declared = check_zip(&mut file, &mut budget).map_err(|e| zip(e.to_string()))?;
    let mut archive = Archive::new(BufReader::new(budget.metered(file))).map_err(|e| match e {
        ZipError::Io(e) => zip(e.to_string()),
        e => zip(e.to_string()),
    })?;
    budget.count(archive.len()).map_err(|over| broken(over.cause()))?;
    if declared != archive.len() as u64 {
        return Err(broken("it holds two arrays of one name".into()));
    }
    let has_count = archive.index_for_name("count.npy").is_some();
    let mut array = |name: &str, most: u64| member(&mut archive, name, most, &mut budget);
    let mean = array("mu", 8 * MOST + HEADER).map_err(broken)?;
    let d = mean.len();
    let covariance = array("sigma", 8 * (d * d) as u64 + HEADER).map_err(broken)?;
    // A number of samples that is none is not one of this program's.
    let whole = |n: &f64| *n >= 1.0 && *n <= COUNT && n.fract() == 0.0;
    let counted = if has_count { Some(array("count", HEADER).map_err(broken)?) } else { None };
    let count = counted.and_then(|a| a.first().copied()).filter(whole).map(|n| n as usize);
    let shapes = format!("mu is of shape {:?} and sigma of {:?}", mean.shape(), covariance.shape());
    let wrong = |_| broken(shapes.clone());
    let mean: Array1<f64> = mean.into_dimensionality().map_err(wrong)?;
    let covariance: Array2<f64> = covariance.into_dimensionality().map_err(wrong)?;
    if mean.is_empty() || covariance.dim() != (d, d) {
        return Err(broken(shapes));
    }
    same_names(archive).map_err(broken)?;
    let gaussian = Gaussian { mean, covariance, count };
    gaussian.problem().map_or(Ok(()), |problem| Err(broken(problem)))?;
    Ok(gaussian)
}

/// Compares the names in the directory with those before the members: a damaged name would hide a
/// member.
fn same_names(mut archive: Archive) -> Result<(), String> {
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|e| e.to_string())?;
        members.push((entry.header_start(), entry.name_raw().to_vec()));
    }
    let mut file = archive.into_inner();
    for (start, name) in members {
        let mut found = vec![0; name.len()];
        let mut header = [0; LOCAL as usize];
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut header));
        read.and_then(|()| file.read_exact(&mut found)).map_err(|e| format!("a member has no name ({e})"))?;
        let length = usize::from(u16::from_le_bytes([header[26], header[27]]));
        if found != name || length != name.len() {
            return Err(format!("its member {} has two names", message::name(&String::from_utf8_lossy(&name))));
        }
    }
    Ok(())
}

/// Reads an array from an archive, up to a limit in bytes.
fn member(archive: &mut Archive, name: &str, most: u64, budget: &mut Budget) -> Result<ArrayD<f64>, String> {
    let entry = archive.by_name(&format!("{name}.npy")).map_err(|e| format!("it has no {name} ({e})"))?;
    if entry.size() > most || budget.take_bytes(entry.size()).is_err() {
        return Err(format!("its {name} claims {} bytes, more than fit", entry.size()));
    }
    let (mut bytes, size) = (Vec::new(), entry.size());
    // The checksum is compared at the end of the entry, which is behind its last byte.
    entry
        .take(size.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| format!("its {name} cannot be read ({e})"))?;
    if bytes.len() as u64 != size {
        return Err(format!("its {name} is not of the {size} bytes that it claims"));
    }
    numbers(bytes).map_err(|e| format!("its {name} cannot be read ({e})"))
}

fn numbers(bytes: Vec<u8>) -> Result<ArrayD<f64>, String> {
    check_header(&bytes).ok_or("its header is not that of as many numbers as follow")?;
    match ArrayD::<f64>::read_npy(&bytes[..]) {
        Err(ReadNpyError::WrongDescriptor(_)) => {
            let narrow = ArrayD::<f32>::read_npy(&bytes[..]).map_err(|e| e.to_string())?;
            drop(bytes);
            Ok(narrow.mapv(f64::from))
        }
        other => other.map_err(|e| e.to_string()),
    }
}

/// Whether the header of an `.npy` is short, flat and claims no more numbers than can follow; the
/// reader allocates what the header claims.
fn check_header(bytes: &[u8]) -> Option<()> {
    let (start, length): (usize, usize) = match *bytes.get(6..12)? {
        [1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
        [_, _, a, b, c, d] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        _ => return None,
    };
    let header = bytes.get(start..start.checked_add(length)?).filter(|header| header.len() <= HEADER as usize)?;
    let text = std::str::from_utf8(header).ok()?;
    let shape = text.split_once('(')?.1.split_once(')')?.0;
    let flat = text.matches(['(', '[', '{']).count() == 2;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let claimed = sizes.map(|size| size.parse::<usize>().ok()).try_fold(1usize, |all, n| all.checked_mul(n?.max(1)))?;
    (flat && claimed <= (bytes.len() - start - length) / 4).then_some(())
}

/// The bytes of such a file.
///
/// # Errors
/// [`MetricError::Statistics`] if the archive cannot be written.
pub fn write(gaussian: &Gaussian) -> Result<Vec<u8>, MetricError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let broken =
        |e: String| MetricError::Statistics { path: "statistics".into(), problem: format!("cannot be made ({e})") };
    let mut put = |name: &str, bytes: Vec<u8>| -> Result<(), String> {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default().large_file(true))
            .map_err(|e| e.to_string())?;
        zip.write_all(&bytes).map_err(|e| e.to_string())
    };
    put("mu", npy(&gaussian.mean).map_err(broken)?).map_err(broken)?;
    put("sigma", npy(&gaussian.covariance).map_err(broken)?).map_err(broken)?;
    if let Some(count) = gaussian.count {
        put("count", npy(&Array0::from_elem((), count as f64)).map_err(broken)?).map_err(broken)?;
    }
    Ok(zip.finish().map_err(|e| broken(e.to_string()))?.into_inner())
}

fn npy<D: Dimension>(array: &ndarray::Array<f64, D>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of these members.
    fn packed(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn header(text: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16 + 1).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.push(b'\n');
        bytes
    }

    #[test]
    fn headers_that_claim_more_than_follows_are_errors() {
        let mean = npy(&Array1::<f64>::zeros(3)).unwrap();
        let claim = |shape: &str| header(&format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"));
        let mut long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
        long.extend([b' '; 200]);
        let deep = header(&"(".repeat(4000));
        let none = claim("(0, 9223372036854775807, 9223372036854775807)");
        for sigma in [claim("(100000, 200000)"), claim("(18446744073709551615,)"), long, deep, none, Vec::new()] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("s.npz");
            std::fs::write(&path, packed(&[("mu.npy", &mean), ("sigma.npy", &sigma)])).unwrap();
            let text = read(&path).unwrap_err().to_string();
            assert!(text.contains("sigma") && text.len() <= 300 && !text.contains('\n'), "{text}");
        }
    }

    /// Zeros compress well: a small file with large members is not unpacked.
    #[test]
    fn members_larger_than_their_mean_says_are_errors() {
        let mean = npy(&Array1::<f64>::zeros(3)).unwrap();
        let wide = npy(&Array2::<f64>::zeros((1000, 1000))).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.npz");
        std::fs::write(&path, packed(&[("mu.npy", &mean), ("sigma.npy", &wide)])).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("its sigma claims 8000128 bytes"));
        assert!(read(dir.path()).is_err() && read(&dir.path().join("none")).is_err());
    }
}
