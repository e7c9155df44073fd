//! Shared by the benches and the comparison with peers: inputs, networks, and the protocol of a
//! worker.

#[cfg(feature = "tch")]
pub mod networks;
#[cfg(feature = "tch")]
pub mod ranks;
#[cfg(feature = "tch")]
pub mod steps;

use fm_core::rng::{Key, Stream, normal_rows};
use ndarray::Array2;
use std::error::Error;
use std::io::{BufRead, Write};

/// Any error; a worker that fails prints it and ends.
pub type Failure = Box<dyn Error>;

/// Reads one request per line on standard input, as words, and writes one line of JSON for each.
///
/// # Errors
/// The first request that fails.
pub fn serve(mut answer: impl FnMut(&[&str]) -> Result<String, Failure>) -> Result<(), Failure> {
    let (stdin, mut stdout) = (std::io::stdin(), std::io::stdout());
    for line in stdin.lock().lines() {
        let line = line?;
        writeln!(stdout, "{}", answer(&line.split_whitespace().collect::<Vec<_>>())?)?;
        stdout.flush()?;
    }
    Ok(())
}

/// Starts a worker for networks: the device is its first argument, by default the CPU; memory and
/// threads are set as in the programs.
///
/// # Errors
/// A device that does not exist.
#[cfg(feature = "tch")]
pub fn start() -> Result<tch::Device, Failure> {
    start_on(std::env::args().nth(1).as_deref().unwrap_or("cpu"))
}

/// Starts a worker on a device given by name.
///
/// # Errors
/// A device that does not exist.
#[cfg(feature = "tch")]
pub fn start_on(device: &str) -> Result<tch::Device, Failure> {
    fm_cli::memory::keep_freed();
    let device = fm_run::device::select(device)?;
    let threads = std::env::var("OMP_NUM_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    tch::set_num_threads(threads);
    Ok(device)
}

/// `n` standard normal points of dimension `dim`.
pub fn points(n: usize, dim: usize, seed: u64) -> Array2<f32> {
    let values = normal_rows(Key::new(seed, 0, Stream::Data), n, dim);
    Array2::from_shape_vec((n, dim), values).unwrap_or_else(|_| Array2::zeros((n, dim)))
}

/// Squared Euclidean costs between two independent normal point sets.
pub fn cost_matrix(n: usize, dim: usize, seed: u64) -> Array2<f64> {
    let (x, y) = (points(n, dim, 2 * seed), points(n, dim, 2 * seed + 1));
    fm_ot::cost::Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap_or_default()
}

/// The peak memory of this process, in MiB.
///
/// # Errors
/// A system that does not report it.
pub fn peak() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
