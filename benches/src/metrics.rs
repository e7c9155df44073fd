//! Our side of `cargo xtask bench metrics`: distances between samples and between features. One
//! request per line, answered by one line of JSON.

use fm_benches::{peak, points, serve};
use fm_metrics::energy::energy_distance;
use fm_metrics::frechet::frechet;
use fm_metrics::kid::{Subsets, kid};
use fm_metrics::manifold::manifold;
use fm_metrics::moments::{Gaussian, Moments};
use ndarray::{Array2, ArrayView2, Axis};
use ndarray_npy::{read_npy, write_npy};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut x, mut y) = (Array2::<f32>::zeros((0, 0)), Array2::<f32>::zeros((0, 0)));
    serve(|words| {
        let started = Instant::now();
        let value = match words {
            ["make", dir, n, dim] => {
                let (n, dim) = (n.parse()?, dim.parse()?);
                // The two sets differ by a quarter of a standard deviation, so that distances are
                // not only noise.
                write_npy(Path::new(dir).join("x.npy"), &points(n, dim, 1))?;
                write_npy(Path::new(dir).join("y.npy"), &(points(n, dim, 2) + 0.25))?;
                return Ok("{}".into());
            }
            ["load", dir] => {
                (x, y) = (read_npy(Path::new(dir).join("x.npy"))?, read_npy(Path::new(dir).join("y.npy"))?);
                return Ok("{}".into());
            }
            ["memory"] => return Ok(format!(r#"{{"peak": {}}}"#, peak()?)),
            ["energy"] => energy_distance(x.view(), y.view())?,
            ["frechet"] => frechet(&gaussian(x.view())?, &gaussian(y.view())?)?,
            ["kid", subsets] => {
                kid(x.view(), y.view(), &Subsets { count: subsets.parse()?, ..Subsets::default() })?.value
            }
            ["prdc"] => {
                let found = manifold(x.view(), y.view(), 5)?;
                found.precision.value + found.recall.value + found.density.value + found.coverage.value
            }
            other => return Err(format!("unknown request {other:?}").into()),
        };
        let seconds = started.elapsed().as_secs_f64();
        Ok(format!(r#"{{"seconds": {seconds:e}, "value": {value:e}, "error": 0}}"#))
    })
}

fn gaussian(rows: ArrayView2<'_, f32>) -> Result<Gaussian, Box<dyn Error>> {
    let mut moments = Moments::like(rows)?;
    for part in rows.axis_chunks_iter(Axis(0), 4096) {
        moments.add(part)?;
    }
    Ok(moments.gaussian()?)
}
