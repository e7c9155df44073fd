//! Two-dimensional toy distributions, and tables read from CSV.
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
use fm_core::rng::{self, Stream};
use ndarray::Array2;
use rand::Rng;
use rand_distr::StandardNormal;
use std::f64::consts::PI;
use std::path::Path;

/// The names that [`toy`] knows.
pub const TOYS: [&str; 4] = ["spiral", "moons", "8gaussians", "checkerboard"];

/// One point from a source of uniform and a source of normal draws.
type Draw = fn(&mut dyn FnMut() -> f64, &mut dyn FnMut() -> f64) -> [f64; 2];

/// `rows` points of a toy distribution.
///
/// # Errors
/// [`DataError::UnknownPoints`] for a name that is not in the table above.
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
        other => return Err(DataError::UnknownPoints(other.into())),
    };
    let mut points = Array2::zeros((rows, 2));
    for (i, mut point) in points.rows_mut().into_iter().enumerate() {
        let mut uniform = rng::stream(seed, 0, Stream::Data, i as u64);
        let mut normal = rng::stream(seed, 1, Stream::Data, i as u64);
        let [x, y] = draw(&mut || uniform.random(), &mut || normal.sample(StandardNormal));
        (point[0], point[1]) = (x as f32, y as f32);
    }
    Ok(points)
}

/// Reads a table of numbers separated by commas; a first line that holds no number is a header.
///
/// # Errors
/// A missing file, no rows, rows of different lengths, and anything that is not a finite number, with line and column.
pub fn csv(path: &Path) -> Result<Array2<f32>, DataError> {
    let text = std::fs::read_to_string(path).map_err(|source| DataError::Io { path: path.into(), source })?;
    let malformed = |problem: String| DataError::Malformed {
        path: path.into(),
        problem,
        remedy: "give rows of equal length with finite numbers separated by commas".into(),
    };
    let (mut values, mut width) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        if number == 0 && fields.iter().all(|f| f.parse::<f32>().is_err()) {
            continue;
        }
        let expected = *width.get_or_insert(fields.len());
        if fields.len() != expected {
            return Err(malformed(format!("line {} has {} columns, not {expected}", number + 1, fields.len())));
        }
        for (column, field) in fields.iter().enumerate() {
            let value: f32 = field.parse().unwrap_or(f32::NAN);
            if !value.is_finite() {
                return Err(malformed(format!(
                    "line {}, column {}: '{field}' is not a finite number",
                    number + 1,
                    column + 1
                )));
            }
            values.push(value);
        }
    }
    let width = width.ok_or_else(|| malformed("no rows of numbers".into()))?;
    Array2::from_shape_vec((values.len() / width, width), values).map_err(|e| malformed(e.to_string()))
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
    }

    #[test]
    fn csv_reads_numbers_and_names_the_place_of_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            csv(&path)
        };
        assert_eq!(read("a,b\n1,2\n3, 4.5\n").unwrap(), ndarray::array![[1.0, 2.0], [3.0, 4.5]]);
        for (text, place) in [
            ("1,2\n3\n", "line 2 has 1"),
            ("1,2\n3,x\n", "line 2, column 2"),
            ("a,b\n", "no rows"),
            ("1\nNaN\n", "line 2"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(place) && message.contains("t.csv"), "{message}");
        }
    }
}
