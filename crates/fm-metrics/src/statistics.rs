//! Means and covariances as `.npz`, as pytorch-fid reads and writes them: arrays `mu` (d) and `sigma` (d, d), f64 (f32 is read too), in a zip that may be
//! compressed. Ours also say from how many samples (`count`), which others ignore.
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
use ndarray::{Array0, Array1, Array2, ArrayD, Dimension};
use ndarray_npy::{ReadNpyError, ReadNpyExt, WriteNpyExt};
use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The most features that a file may have: its matrix then takes 8 GiB.
const MOST: usize = 1 << 15;

/// Reads a file of statistics.
///
/// # Errors
/// [`MetricError::Statistics`] for a file that is missing, no such file, of another shape, or with values that are not finite.
pub fn read(path: &Path) -> Result<Gaussian, MetricError> {
    let broken = |problem: String| MetricError::Statistics { path: path.into(), problem };
    let file = File::open(path).map_err(|e| broken(format!("cannot be opened ({e})")))?;
    let mut archive = ZipArchive::new(file).map_err(|e| broken(format!("is no zip ({e})")))?;
    let mut array = |name: &str| -> Result<ArrayD<f64>, String> {
        let mut entry = archive.by_name(&format!("{name}.npy")).map_err(|e| format!("has no {name} ({e})"))?;
        if entry.size() > (8 * MOST * MOST) as u64 {
            return Err(format!("its {name} is of {} bytes", entry.size()));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| format!("its {name} cannot be read ({e})"))?;
        numbers(&bytes).map_err(|e| format!("its {name} cannot be read ({e})"))
    };
    let mean = array("mu").map_err(broken)?;
    let covariance = array("sigma").map_err(broken)?;
    let count = array("count").ok().and_then(|a| a.first().copied()).map(|n| n as usize);
    let shapes = format!("mu is of shape {:?} and sigma of {:?}", mean.shape(), covariance.shape());
    let fits = (mean.ndim(), covariance.ndim()) == (1, 2) && covariance.shape() == [mean.len(), mean.len()];
    let wrong = |_| broken(shapes.clone());
    let mean: Array1<f64> = mean.into_dimensionality().map_err(wrong)?;
    let covariance: Array2<f64> = covariance.into_dimensionality().map_err(wrong)?;
    if !fits || mean.is_empty() {
        return Err(broken(shapes));
    }
    if !mean.iter().chain(&covariance).all(|v| v.is_finite()) {
        return Err(broken("it has values that are not finite".into()));
    }
    Ok(Gaussian { mean, covariance, count })
}

fn numbers(bytes: &[u8]) -> Result<ArrayD<f64>, ReadNpyError> {
    match ArrayD::<f64>::read_npy(bytes) {
        Err(ReadNpyError::WrongDescriptor(_)) => Ok(ArrayD::<f32>::read_npy(bytes)?.mapv(f64::from)),
        other => other,
    }
}

/// The bytes of such a file.
///
/// # Errors
/// A matrix that does not fit into memory.
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
