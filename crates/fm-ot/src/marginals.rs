//! Marginals: the mass of each point.
//!
//! ```
//! use fm_ot::marginals::Marginals;
//! assert!(Marginals::uniform(2, 4).columns().eq([0.25; 4]));
//! // Masses are normalised to sum 1.
//! assert!(Marginals::new(&[3.0, 1.0], &[2.0])?.rows().eq([0.75, 0.25]));
//! assert!(Marginals::new(&[1.0, 0.0], &[1.0]).is_err());
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::{OtError, memory};

/// The masses of the points on both sides: all above 0, and each side sums to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Marginals {
    rows: Side,
    columns: Side,
}

#[derive(Debug, Clone)]
enum Side {
    /// This number of points with equal mass.
    Uniform(usize),
    Given(Vec<f64>),
}

impl Marginals {
    /// The same mass for every point of a side. A side without points does not match any cost
    /// matrix.
    #[doc(alias = "unif")]
    pub fn uniform(rows: usize, columns: usize) -> Self {
        Self { rows: Side::Uniform(rows), columns: Side::Uniform(columns) }
    }

    /// The given masses, each side divided by its sum.
    ///
    /// # Errors
    /// [`OtError::Marginal`] for a mass that is not a finite number above 0, or that underflows to
    /// 0 when divided by the sum; [`OtError::Empty`].
    pub fn new(rows: &[f64], columns: &[f64]) -> Result<Self, OtError> {
        Ok(Self { rows: normalised("row", rows)?, columns: normalised("column", columns)? })
    }

    /// The masses of the rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = f64> + Clone + '_ {
        self.rows.masses()
    }

    /// The masses of the columns.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = f64> + Clone + '_ {
        self.columns.masses()
    }

    /// The masses of the rows and columns, checked against a cost matrix of this shape, which must
    /// fit into memory.
    pub(crate) fn of(&self, shape: (usize, usize)) -> Result<(Vec<f64>, Vec<f64>), OtError> {
        for (side, masses, points) in [("row", &self.rows, shape.0), ("column", &self.columns, shape.1)] {
            if masses.len() == 0 || points == 0 {
                return Err(OtError::Empty);
            }
            if masses.len() != points {
                return Err(OtError::Masses { side, masses: masses.len(), points });
            }
        }
        memory::check(shape, 3)?;
        Ok((self.rows().collect(), self.columns().collect()))
    }
}

impl Side {
    fn len(&self) -> usize {
        match self {
            Side::Uniform(points) => *points,
            Side::Given(masses) => masses.len(),
        }
    }

    fn masses(&self) -> impl ExactSizeIterator<Item = f64> + Clone + '_ {
        (0..self.len()).map(move |i| match self {
            Side::Uniform(points) => 1.0 / *points as f64,
            Side::Given(masses) => masses[i],
        })
    }
}

impl PartialEq for Side {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Side::Uniform(points), Side::Uniform(others)) => points == others,
            _ => self.len() == other.len() && self.masses().eq(other.masses()),
        }
    }
}

fn normalised(side: &'static str, masses: &[f64]) -> Result<Side, OtError> {
    if masses.is_empty() {
        return Err(OtError::Empty);
    }
    let illegal = |index: usize| OtError::Marginal { side, index, mass: masses[index] };
    if let Some(index) = masses.iter().position(|m| !(*m > 0.0 && m.is_finite())) {
        return Err(illegal(index));
    }
    // Dividing by the largest first keeps the sum finite.
    let largest = masses.iter().copied().fold(0.0, f64::max);
    let sum: f64 = masses.iter().map(|m| m / largest).sum();
    let shares: Vec<f64> = masses.iter().map(|m| m / largest / sum).collect();
    match shares.iter().position(|share| *share == 0.0) {
        Some(index) => Err(illegal(index)),
        None => Ok(Side::Given(shares)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_that_exists_is_legal() {
        for masses in [&[][..], &[0.0], &[1.0, -1.0], &[f64::NAN], &[1.0, f64::INFINITY], &[1e300, 1e-300]] {
            assert!(Marginals::new(masses, &[1.0]).is_err() && Marginals::new(&[1.0], masses).is_err(), "{masses:?}");
        }
        let huge = Marginals::new(&[1e300, 3e300], &[f64::MAX; 5]).unwrap();
        assert!(huge.rows().eq([0.25, 0.75]) && huge.columns().all(|m| (m - 0.2).abs() < 1e-15));
        assert_eq!(Marginals::new(&[2.0; 4], &[1.0]).unwrap(), Marginals::uniform(4, 1));
        // No memory is allocated until there is a cost matrix of that shape.
        assert_eq!(Marginals::uniform(usize::MAX, 1).rows().len(), usize::MAX);
        assert_eq!(Marginals::uniform(usize::MAX, 1).of((2, 1)).unwrap_err().to_string().find("cannot use"), Some(0));
    }
}
