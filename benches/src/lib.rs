//! What the benches and the comparison with peers share: inputs, and how a worker speaks.

use fm_core::rng::{Stream, normal_rows};
use ndarray::Array2;
use std::error::Error;
use std::io::{BufRead, Write};

/// Reads one request a line on standard input, as words, and writes one line of JSON for each.
///
/// # Errors
/// The first request that fails.
pub fn serve(mut answer: impl FnMut(&[&str]) -> Result<String, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let (stdin, mut stdout) = (std::io::stdin(), std::io::stdout());
    for line in stdin.lock().lines() {
        let line = line?;
        writeln!(stdout, "{}", answer(&line.split_whitespace().collect::<Vec<_>>())?)?;
        stdout.flush()?;
    }
    Ok(())
}

/// `n` standard normal points of dimension `dim`.
pub fn points(n: usize, dim: usize, seed: u64) -> Array2<f32> {
    let values = normal_rows(seed, 0, Stream::Data, 0, n, dim);
    Array2::from_shape_vec((n, dim), values).unwrap_or_else(|_| Array2::zeros((n, dim)))
}

/// Squared Euclidean costs between two independent normal point sets.
pub fn cost_matrix(n: usize, dim: usize, seed: u64) -> Array2<f64> {
    let (x, y) = (points(n, dim, 2 * seed), points(n, dim, 2 * seed + 1));
    fm_ot::cost::Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap_or_default()
}
