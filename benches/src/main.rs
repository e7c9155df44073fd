//! `bench-worker`: our side of a comparison. Reads one request per line on standard input and
//! answers each with one line of JSON, so that the driver can alternate it with the peers.
//!
//! `make DIR N DIM SEED` writes two point sets and their cost matrix; `load DIR` reads them;
//! `cost`, `assign`, `sinkhorn EPSILON TOLERANCE` and `couple exact|sinkhorn` do the work and
//! answer {"seconds", "value", "error"}; `memory` answers {"peak"}.

use fm_benches::points;
use fm_core::coupling::{Conditions, Coupling, CouplingInput};
use fm_core::rng::{Key, Stream};
use fm_ot::assignment::assign;
use fm_ot::cost::Metric;
use fm_ot::coupling::{OtCoupling, Plan};
use fm_ot::entropic::{Epsilon, SinkhornOptions, sinkhorn};
use fm_ot::marginals::Marginals;
use ndarray::Array2;
use ndarray_npy::{read_npy, write_npy};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

#[derive(Default)]
struct Loaded {
    x: Array2<f32>,
    y: Array2<f32>,
    cost: Array2<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut loaded = Loaded::default();
    fm_benches::serve(|words| {
        Ok(match words {
            ["make", dir, n, dim, seed] => {
                make(Path::new(dir), n.parse()?, dim.parse()?, seed.parse()?)?;
                "{}".into()
            }
            ["load", dir] => {
                let dir = Path::new(dir);
                let [x, y] = ["x", "y"].map(|name| read_npy(dir.join(format!("{name}.npy"))));
                loaded = Loaded { x: x?, y: y?, cost: read_npy(dir.join("cost.npy"))? };
                "{}".into()
            }
            ["memory"] => format!(r#"{{"peak": {}}}"#, fm_benches::peak()?),
            ["cost"] => timed(|| {
                let cost = Metric::SquaredEuclidean.matrix(loaded.x.view(), loaded.y.view())?;
                Ok((cost[(0, 0)], 0.0))
            })?,
            ["assign"] => timed(|| Ok((assign(loaded.cost.view())?.cost, 0.0)))?,
            ["couple", name] => {
                let plan = if *name == "exact" { Plan::Exact } else { Plan::Sinkhorn(SinkhornOptions::default()) };
                let coupling = OtCoupling { plan, ..OtCoupling::default() };
                let batch = CouplingInput { x0: loaded.x.view(), x1: loaded.y.view(), conditions: Conditions::None };
                timed(|| {
                    let pairing = coupling.couple(&batch, &mut Key::new(0, 0, Stream::Coupling).generator(0))?;
                    let rows: Vec<usize> = (0..loaded.x.nrows()).collect();
                    Ok((pairing.sources(&rows, 1)[0] as f64, 0.0))
                })?
            }
            ["sinkhorn", epsilon, tolerance] => {
                let options = SinkhornOptions {
                    epsilon: Epsilon::Absolute(epsilon.parse()?),
                    tolerance: tolerance.parse()?,
                    max_iterations: 100_000,
                    require_convergence: true,
                };
                let marginals = Marginals::uniform(loaded.cost.nrows(), loaded.cost.ncols());
                timed(|| {
                    let found = sinkhorn(loaded.cost.view(), &marginals, &options)?;
                    Ok((found.cost, found.error))
                })?
            }
            other => return Err(format!("unknown request {other:?}").into()),
        })
    })
}

fn make(dir: &Path, n: usize, dim: usize, seed: u64) -> Result<(), Box<dyn Error>> {
    let (x, y) = (points(n, dim, 2 * seed), points(n, dim, 2 * seed + 1));
    write_npy(dir.join("cost.npy"), &Metric::SquaredEuclidean.matrix(x.view(), y.view())?)?;
    write_npy(dir.join("x.npy"), &x)?;
    write_npy(dir.join("y.npy"), &y)?;
    Ok(())
}

/// Time, value and error of some work, as JSON.
fn timed(work: impl FnOnce() -> Result<(f64, f64), Box<dyn Error>>) -> Result<String, Box<dyn Error>> {
    let started = Instant::now();
    let (value, error) = work()?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(format!(r#"{{"seconds": {seconds:e}, "value": {value:e}, "error": {error:e}}}"#))
}
