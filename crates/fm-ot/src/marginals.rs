//! How much mass each point has.
//!
//! ```
//! use fm_ot::marginals::Marginals;
//! assert_eq!(Marginals::uniform(2, 4).columns, [0.25; 4]);
//! // Masses are made to sum to 1.
//! assert_eq!(Marginals::new(&[3.0, 1.0], &[2.0])?.rows, [0.75, 0.25]);
//! assert!(Marginals::new(&[1.0, 0.0], &[1.0]).is_err());
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::OtError;

/// The masses of the points on both sides; each side sums to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Marginals {
    /// Masses of the rows, all above 0.
    pub rows: Vec<f64>,
    /// Masses of the columns, all above 0.
    pub columns: Vec<f64>,
}

impl Marginals {
    /// The same mass for every point of a side.
    pub fn uniform(rows: usize, columns: usize) -> Self {
        Self { rows: vec![1.0 / rows as f64; rows], columns: vec![1.0 / columns as f64; columns] }
    }

    /// These masses, each side divided by its sum.
    ///
    /// # Errors
    /// [`OtError::Marginal`] for a mass that is not a finite number above 0, and [`OtError::Empty`].
    pub fn new(rows: &[f64], columns: &[f64]) -> Result<Self, OtError> {
        Ok(Self { rows: normalised("row", rows)?, columns: normalised("column", columns)? })
    }

    /// Whether these are the marginals of a matrix of this shape.
    pub(crate) fn check(&self, (rows, columns): (usize, usize)) -> Result<(), OtError> {
        for (side, masses, points) in [("row", &self.rows, rows), ("column", &self.columns, columns)] {
            if masses.is_empty() || points == 0 {
                return Err(OtError::Empty);
            }
            if masses.len() != points {
                return Err(OtError::Masses { side, masses: masses.len(), points });
            }
            legal(side, masses)?;
        }
        Ok(())
    }
}

fn legal(side: &'static str, masses: &[f64]) -> Result<(), OtError> {
    let illegal = masses.iter().position(|m| !(*m > 0.0 && m.is_finite()));
    illegal.map_or(Ok(()), |index| Err(OtError::Marginal { side, index, mass: masses[index] }))
}

fn normalised(side: &'static str, masses: &[f64]) -> Result<Vec<f64>, OtError> {
    if masses.is_empty() {
        return Err(OtError::Empty);
    }
    legal(side, masses)?;
    // Dividing by the largest first keeps the sum finite.
    let largest = masses.iter().copied().fold(0.0, f64::max);
    let sum: f64 = masses.iter().map(|m| m / largest).sum();
    let shares: Vec<f64> = masses.iter().map(|m| m / largest / sum).collect();
    legal(side, &shares)?;
    Ok(shares)
}
