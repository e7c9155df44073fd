//! Couplings: which source point is paired with which data point.
//!
//! A coupling takes a batch of source rows and a batch of target rows, drawn independently, and
//! returns a [`Pairing`]. Usually this is a permutation of the *source* rows, so that data and
//! labels keep their order. Optimal transport couplings (Tong et al., "Improving and generalizing
//! flow-based generative models with minibatch optimal transport", 2024) are in `fm-ot`.
//!
//! ```
//! use fm_core::coupling::Pairing;
//! let (sources, labels) = ([10, 20, 30], [7, 8, 9]);
//! let pairing = Pairing::Permutation(vec![2, 0, 1]);
//! assert_eq!(pairing.sources(&sources, 1), [30, 10, 20]);
//! assert_eq!(pairing.targets(&labels, 1), labels);
//! // Pairs drawn with replacement reorder both sides, and labels stay with their data.
//! let drawn = Pairing::Resampled { sources: vec![1, 1, 0], targets: vec![0, 2, 2] };
//! assert_eq!((drawn.sources(&sources, 1), drawn.targets(&labels, 1)), (vec![20, 20, 10], vec![7, 9, 9]));
//! ```

use ndarray::ArrayView2;
use rand::RngCore;

/// A batch whose source and target rows were drawn independently of each other.
#[derive(Debug, Clone, Copy)]
pub struct CouplingInput<'a> {
    /// Source rows, (rows, dimensions).
    pub x0: ArrayView2<'a, f32>,
    /// Target rows, of the same shape.
    pub x1: ArrayView2<'a, f32>,
    /// The condition of each target row.
    pub conditions: Conditions<'a>,
}

/// The conditions of a batch's rows, for a conditional model.
#[derive(Debug, Clone, Copy, Default)]
pub enum Conditions<'a> {
    /// No conditions.
    #[default]
    None,
    /// One class per row.
    Classes(&'a [i64]),
    /// One vector per row, (rows, dimensions).
    Values(ArrayView2<'a, f32>),
}

impl Conditions<'_> {
    /// The same conditions with a shorter lifetime.
    pub fn view(&self) -> Conditions<'_> {
        match self {
            Conditions::None => Conditions::None,
            Conditions::Classes(classes) => Conditions::Classes(classes),
            Conditions::Values(values) => Conditions::Values(values.view()),
        }
    }
}

/// Pairs the rows of a source batch with the rows of a target batch.
pub trait Coupling: Send + Sync {
    /// Pairs the rows of a batch.
    ///
    /// # Errors
    /// Rows that cannot be paired: different shapes, values that are not finite, or missing
    /// conditions that the coupling needs.
    fn couple(&self, batch: &CouplingInput<'_>, rng: &mut dyn RngCore) -> Result<Pairing, CouplingError>;
}

/// Chooses the data row of each source row from a whole data set, rather than from the rows of a
/// batch. The semidiscrete couplings of `fm-ot` implement it.
pub trait ChooseRows: Send + Sync {
    /// Rows of the data set.
    fn rows(&self) -> usize;

    /// Values per row.
    fn dim(&self) -> usize;

    /// Whether rows are chosen within the class of each source row.
    fn needs_classes(&self) -> bool {
        false
    }

    /// The row number of each source row's data row, below [`rows`](Self::rows).
    ///
    /// # Errors
    /// Source rows of another dimension, values that are not finite, and classes that are missing
    /// or that no data row has.
    fn choose(&self, x0: ArrayView2<'_, f32>, classes: Option<&[i64]>) -> Result<Vec<usize>, CouplingError>;

    /// The potentials by which it chooses, if it chooses by potentials and one of the costs of
    /// [`RowCost`]; a device that holds the data can then choose too.
    fn row_potentials(&self) -> Option<RowPotentials> {
        None
    }
}

/// A choice of data rows by potentials: x0 takes row argmin_j c(x0, y_j) - g_j, among the rows of
/// its class if rows have classes.
#[derive(Debug, Clone, PartialEq)]
pub struct RowPotentials {
    /// The cost c.
    pub cost: RowCost,
    /// g, one per row; rows of a mirrored data set twice, the mirrored ones last.
    pub values: Vec<f64>,
    /// The class of each row.
    pub classes: Option<Vec<i64>>,
}

/// A cost between a source row x and a data row y that a device computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowCost {
    /// |x - y|^2
    SquaredEuclidean,
    /// |x - y|
    Euclidean,
    /// 1 - x . y / (|x| |y|)
    Cosine,
}

/// The result of a coupling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pairing {
    /// Row i of the source is paired with row i of the target.
    Identity,
    /// Row `p[i]` of the source is paired with row i of the target.
    Permutation(Vec<usize>),
    /// Pairs drawn with replacement: row `sources[k]` of the source is paired with row `targets[k]`
    /// of the target.
    Resampled {
        /// Source rows.
        sources: Vec<usize>,
        /// Target rows.
        targets: Vec<usize>,
    },
}

impl Pairing {
    /// Checks that the pairing fits a batch of `rows` source and target rows.
    ///
    /// # Errors
    /// [`CouplingError::Pairing`] for a row number not below `rows`, for a permutation that does
    /// not contain every row exactly once, and for different numbers of sources and targets.
    pub fn check(&self, rows: usize) -> Result<(), CouplingError> {
        let refuse = |problem| Err(CouplingError::Pairing { problem, rows });
        match self {
            Pairing::Identity => Ok(()),
            Pairing::Permutation(sources) => {
                let mut seen = vec![false; sources.len()];
                let fresh = |i: &usize| seen.get_mut(*i).is_some_and(|seen| !std::mem::replace(seen, true));
                let once = sources.len() == rows && sources.iter().all(fresh);
                if once { Ok(()) } else { refuse("a permutation must have every row number once") }
            }
            Pairing::Resampled { sources, targets } if sources.len() != targets.len() => {
                refuse("drawn pairs need as many sources as targets")
            }
            Pairing::Resampled { sources, targets } => {
                let inside = sources.iter().chain(targets).all(|i| *i < rows);
                if inside { Ok(()) } else { refuse("every row number must be below the number of rows") }
            }
        }
    }

    /// Reorders rows that belong to the sources, `dim` values each, into the order of the pairs.
    ///
    /// # Panics
    /// When a row number of the pairing is not below `rows.len() / dim`; call
    /// [`check`](Self::check) first to avoid this.
    pub fn sources<T: Copy>(&self, rows: &[T], dim: usize) -> Vec<T> {
        match self {
            Pairing::Identity => rows.to_vec(),
            Pairing::Permutation(sources) | Pairing::Resampled { sources, .. } => gather(rows, dim, sources),
        }
    }

    /// Reorders rows that belong to the targets (data, labels), `dim` values each, into the order
    /// of the pairs.
    ///
    /// # Panics
    /// As [`sources`](Self::sources).
    pub fn targets<T: Copy>(&self, rows: &[T], dim: usize) -> Vec<T> {
        match self {
            Pairing::Identity | Pairing::Permutation(_) => rows.to_vec(),
            Pairing::Resampled { targets, .. } => gather(rows, dim, targets),
        }
    }
}

fn gather<T: Copy>(rows: &[T], dim: usize, order: &[usize]) -> Vec<T> {
    if dim == 0 {
        return Vec::new();
    }
    let count = rows.len() / dim;
    let row = |&i: &usize| {
        assert!(i < count, "row {i} of a pairing is not below the {count} rows");
        &rows[i * dim..(i + 1) * dim]
    };
    order.iter().flat_map(row).copied().collect()
}

/// A batch that cannot be paired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CouplingError {
    /// Row counts or dimensions differ.
    #[error("source batch is {x0:?} and target batch {x1:?}; a coupling needs equal rows and dimensions")]
    Shape {
        /// Rows and dimensions of the source.
        x0: (usize, usize),
        /// Rows and dimensions of the target.
        x1: (usize, usize),
    },
    /// The number of conditions differs from the number of rows.
    #[error("the batch has {rows} rows and {conditions} conditions; give one each")]
    Conditions {
        /// Rows of the batch.
        rows: usize,
        /// Conditions given.
        conditions: usize,
    },
    /// The pairing does not fit its batch.
    #[error("cannot use the pairing of a batch of {rows} rows: {problem}; correct the coupling")]
    Pairing {
        /// What is wrong.
        problem: &'static str,
        /// Rows of the batch.
        rows: usize,
    },
    /// The coupling needs conditions and the model has none.
    #[error(
        "this coupling weighs the conditions of the rows and there are none; give labels, or choose another coupling"
    )]
    Unconditional,
    /// An error of the coupling itself.
    #[error("{0}")]
    Unsolved(String),
}

impl CouplingInput<'_> {
    /// Checks that sources, targets and conditions match.
    ///
    /// # Errors
    /// [`CouplingError::Shape`] and [`CouplingError::Conditions`] when they do not.
    pub fn check(&self) -> Result<(), CouplingError> {
        if self.x0.dim() != self.x1.dim() {
            return Err(CouplingError::Shape { x0: self.x0.dim(), x1: self.x1.dim() });
        }
        let rows = self.x1.nrows();
        let conditions = match self.conditions {
            Conditions::None => rows,
            Conditions::Classes(classes) => classes.len(),
            Conditions::Values(values) => values.nrows(),
        };
        if conditions == rows { Ok(()) } else { Err(CouplingError::Conditions { rows, conditions }) }
    }
}

/// The independent coupling: rows keep the order in which they were drawn.
#[derive(Debug, Clone, Copy, Default)]
pub struct Independent;

impl Coupling for Independent {
    fn couple(&self, batch: &CouplingInput<'_>, _rng: &mut dyn RngCore) -> Result<Pairing, CouplingError> {
        batch.check()?;
        Ok(Pairing::Identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairings_that_do_not_fit_their_batch_are_errors() {
        let drawn = |sources: &[usize], targets: &[usize]| Pairing::Resampled {
            sources: sources.into(),
            targets: targets.into(),
        };
        for good in [Pairing::Identity, Pairing::Permutation(vec![2, 0, 1]), drawn(&[1, 1], &[0, 2]), drawn(&[], &[])] {
            assert_eq!(good.check(3), Ok(()), "{good:?}");
        }
        for bad in [
            Pairing::Permutation(vec![0, 1]),
            Pairing::Permutation(vec![0, 1, 3]),
            Pairing::Permutation(vec![0, 1, 1]),
            Pairing::Permutation(vec![0, 1, 2, 3]),
            drawn(&[0], &[0, 1]),
            drawn(&[3], &[0]),
            drawn(&[0], &[usize::MAX]),
        ] {
            assert!(matches!(bad.check(3), Err(CouplingError::Pairing { rows: 3, .. })), "{bad:?}");
        }
    }

    #[test]
    #[should_panic(expected = "row 3 of a pairing is not below the 3 rows")]
    fn a_row_that_is_not_there_is_named() {
        let _ = Pairing::Permutation(vec![0, 3]).sources(&[1.0; 6], 2);
    }
}
