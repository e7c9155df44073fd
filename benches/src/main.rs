//! `bench-worker`: does our side of a comparison. Reads one request a line on standard input and answers each with one line of
//! JSON, so that the driver can alternate it with the peers.
//!
//! `make FILE N DIM SEED` writes a cost matrix; `load FILE` reads it; `assign` solves it and answers {"seconds", "value"}.

use fm_benches::cost_matrix;
use fm_ot::assignment::assign;
use ndarray::Array2;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let (stdin, mut stdout) = (std::io::stdin(), std::io::stdout());
    let mut matrix = Array2::zeros((0, 0));
    for line in stdin.lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words.as_slice() {
            ["make", file, n, dim, seed] => {
                ndarray_npy::write_npy(file, &cost_matrix(n.parse()?, dim.parse()?, seed.parse()?))?;
                "{}".into()
            }
            ["load", file] => {
                matrix = ndarray_npy::read_npy(file)?;
                "{}".into()
            }
            ["assign"] => {
                let started = Instant::now();
                let plan = assign(matrix.view())?;
                format!(r#"{{"seconds": {:e}, "value": {:e}}}"#, started.elapsed().as_secs_f64(), plan.cost)
            }
            other => return Err(format!("unknown request {other:?}").into()),
        };
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}
