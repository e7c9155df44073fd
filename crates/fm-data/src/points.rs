//! Two-dimensional toy distributions.
//!
//! | name | distribution |
//! |---|---|
//! | `spiral` | (theta / 2 pi) (cos theta, sin theta), theta uniform on [0, 6 pi], plus normal noise of .1 |
//! | `moons` | 3 x - 1 of the unit two-moons with normal noise of .2 |
//! | `8gaussians` | eight Gaussians of variance .1 on a circle of radius 5 |
//! | `checkerboard` | uniform on the dark squares of a 4 x 4 board over [-4, 4]^2 |
//!
//! ```
//! let a = fm_data::points::toy("8gaussians", 500, 1)?;
//! assert_eq!(a.dim(), (500, 2));
//! let radius = a.rows().into_iter().map(|r| r.dot(&r).sqrt()).sum::<f32>() / 500.0;
//! assert!((radius - 5.0).abs() < 0.1);
//! # Ok::<(), fm_data::DataError>(())
//! ```

use crate::DataError;
use fm_core::rng::{Key, Stream};
use ndarray::Array2;
use rand::Rng;
use rand_distr::StandardNormal;
use std::f64::consts::PI;

/// The names that [`toy`] accepts.
pub const TOYS: [&str; 4] = ["spiral", "moons", "8gaussians", "checkerboard"];

/// Draws one point from a uniform and a normal generator.
type Draw = fn(&mut dyn FnMut() -> f64, &mut dyn FnMut() -> f64) -> [f64; 2];

/// The error for a name that [`toy`] does not accept.
pub(crate) fn unknown(name: &str) -> DataError {
    DataError::UnknownPoints { given: name.into(), known: TOYS.join(", ") }
}

/// Draws `rows` points from a toy distribution.
///
/// # Errors
/// [`DataError::UnknownPoints`] for a name that is not in the table above, [`DataError::TooMany`]
/// for more rows than fit into memory.
pub fn toy(name: &str, rows: usize, seed: u64) -> Result<Array2<f32>, DataError> {
    let draw: Draw = match name {
        "spiral" => |u, z| {
            let theta = 6.0 * PI * u();
            let radius = theta / (2.0 * PI);
            [radius * theta.cos() + 0.1 * z(), radius * theta.sin() + 0.1 * z()]
        },
        "moons" => |u, z| {
            let (upper, angle) = (u() < 0.5, PI * u());
            let moon = if upper { [angle.cos(), angle.sin()] } else { [1.0 - angle.cos(), 0.5 - angle.sin()] };
            moon.map(|m| 3.0 * (m + 0.2 * z()) - 1.0)
        },
        "8gaussians" => |u, z| {
            let angle = 2.0 * PI * (8.0 * u()).floor() / 8.0;
            [5.0 * angle.cos() + 0.1f64.sqrt() * z(), 5.0 * angle.sin() + 0.1f64.sqrt() * z()]
        },
        "checkerboard" => |u, _| {
            let x = 8.0 * u() - 4.0;
            let column = (x / 2.0).floor() as i64;
            let row = 2.0 * (2.0 * u()).floor() + column.rem_euclid(2) as f64;
            [x, 2.0 * (row + u()) - 4.0]
        },
        other => return Err(unknown(other)),
    };
    if Vec::<[f32; 2]>::new().try_reserve_exact(rows).is_err() {
        return Err(DataError::TooMany { rows });
    }
    let mut points = Array2::zeros((rows, 2));
    for (i, mut point) in points.rows_mut().into_iter().enumerate() {
        let mut uniform = Key::new(seed, 0, Stream::Data).generator(i);
        let mut normal = Key::new(seed, 1, Stream::Data).generator(i);
        let [x, y] = draw(&mut || uniform.random(), &mut || normal.sample(StandardNormal));
        (point[0], point[1]) = (x as f32, y as f32);
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toys_lie_where_they_should() {
        for name in TOYS {
            let points = toy(name, 4000, 3).unwrap();
            let reach = points.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert!(reach > 2.0 && reach < 7.5, "{name}: {reach}");
            assert_eq!(points, toy(name, 4000, 3).unwrap());
        }
        let board = toy("checkerboard", 4000, 0).unwrap();
        assert!(board.rows().into_iter().all(|p| ((p[0] / 2.0).floor() + (p[1] / 2.0).floor()) as i64 % 2 == 0));
        assert!(toy("cube", 1, 0).is_err());
        for rows in [usize::MAX, usize::MAX / 16, 1 << 48] {
            assert!(matches!(toy("moons", rows, 0), Err(DataError::TooMany { .. })));
        }
        assert_eq!(toy("moons", 0, 0).unwrap().dim(), (0, 2));
    }
}
