//! The semidiscrete choice of data rows on the device that holds the data.
//!
//! Noise row x0 takes data row argmin_j c(x0, y_j) - g_j, among the rows of its class. The costs
//! are computed from matrix products in f32, in blocks of data rows, and nothing is copied to the
//! host. Choices on the host, in f64, are the same except where two data rows are equally good up
//! to rounding.
//!
//! ```
//! use fm_core::coupling::{RowCost, RowPotentials};
//! use fm_train::device_dataset::DeviceDataset;
//! use tch::{Device, Tensor};
//! // Pixels -1 and 1, and the potential of the second row attracts more noise.
//! let images = DeviceDataset::new(&[0, 255], [1, 1, 1], 255, Device::Cpu)?;
//! let values = vec![0.0, 1.0];
//! let images = images.choosing(&RowPotentials { cost: RowCost::SquaredEuclidean, values, classes: None })?;
//! let x0 = Tensor::from_slice(&[-0.5f32, -0.2, 0.3]).view([3, 1, 1, 1]);
//! let (rows, _) = images.choose(&x0, None).unwrap();
//! assert_eq!(Vec::<i64>::try_from(rows).unwrap(), [0, 1, 1]);
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use fm_core::coupling::{RowCost, RowPotentials};
use std::collections::BTreeSet;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Values per block of data rows: 128 MiB.
const BLOCK: i64 = 1 << 25;

/// What a choice needs besides the rows.
#[derive(Debug)]
pub(crate) struct Choice {
    cost: RowCost,
    /// g_j, (rows), f32.
    potentials: Tensor,
    /// The class of each row, (rows), int64.
    classes: Option<Tensor>,
    /// The classes of source rows that have data rows: those of the data, or 0 without classes.
    known: BTreeSet<i64>,
}

impl Choice {
    /// The choice among `rows` rows, or as many and their mirror images.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for another number of potentials or classes.
    pub(crate) fn new(of: &RowPotentials, rows: usize, device: Device) -> Result<Self, TrainError> {
        let given = of.values.len();
        if given != rows && given != 2 * rows {
            let remedy = format!("give one for each of the {rows} rows, or for each row and each mirrored row");
            return Err(TrainError::setting("number of potentials", given, remedy));
        }
        if let Some(classes) = of.classes.as_ref().filter(|classes| classes.len() != given) {
            return Err(TrainError::setting("number of classes", classes.len(), "give one for each potential"));
        }
        let known =
            of.classes.as_ref().map_or_else(|| BTreeSet::from([0]), |classes| classes.iter().copied().collect());
        let classes = of.classes.as_ref().map(|classes| Tensor::from_slice(classes).to_device(device));
        let mut choice = Self { cost: of.cost, potentials: Tensor::new(), classes, known };
        choice.set(&of.values, device);
        Ok(choice)
    }

    /// Replaces the potentials.
    pub(crate) fn set(&mut self, potentials: &[f64], device: Device) {
        self.potentials = Tensor::from_slice(potentials).to_kind(Kind::Float).to_device(device);
    }

    /// The number of rows, mirrored ones included.
    pub(crate) fn len(&self) -> i64 {
        self.potentials.size()[0]
    }

    /// The classes of source rows that have data rows.
    pub(crate) fn known(&self) -> &BTreeSet<i64> {
        &self.known
    }

    /// Whether rows are chosen within classes.
    pub(crate) fn needs_classes(&self) -> bool {
        self.classes.is_some()
    }

    /// The row of each of `x` (B, d), int64; `rows` returns a block of the data as (rows, d).
    pub(crate) fn choose(&self, x: &Tensor, classes: Option<&Tensor>, rows: impl Fn(Range<i64>) -> Tensor) -> Tensor {
        let (dim, own) = (x.size()[1].max(1), self.classes.as_ref().zip(classes));
        let x = match self.cost {
            RowCost::Cosine => normalised(x),
            _ => x.shallow_clone(),
        };
        let mut best: Option<(Tensor, Tensor)> = None;
        let each = (BLOCK / dim).max(1);
        for first in (0..self.len()).step_by(each as usize) {
            let range = first..self.len().min(first + each);
            let part = |of: &Tensor| of.narrow(0, range.start, range.end - range.start);
            let mut scores = self.scores(&x, &rows(range.clone()), &part(&self.potentials));
            if let Some((of_rows, wanted)) = &own {
                scores = scores.masked_fill(&part(of_rows).ne_tensor(&wanted.view([-1, 1])), f64::NEG_INFINITY);
            }
            let (score, row) = scores.max_dim(1, false);
            let row = row + first;
            best = Some(match best {
                None => (score, row),
                Some((before, old)) => (score.maximum(&before), row.where_self(&score.gt_tensor(&before), &old)),
            });
        }
        best.map_or_else(|| Tensor::zeros([x.size()[0]], (Kind::Int64, x.device())), |(_, row)| row)
    }

    /// Scores (B, rows) that are largest where c(x, y) - g is least.
    fn scores(&self, x: &Tensor, y: &Tensor, potentials: &Tensor) -> Tensor {
        let squares = |of: &Tensor| of.square().sum_dim_intlist(1, false, Kind::Float);
        match self.cost {
            RowCost::SquaredEuclidean => ((potentials - squares(y)) * 0.5).addmm(x, &y.tr()),
            RowCost::Euclidean => {
                let squared = squares(y).addmm(x, &(y.tr() * -2.0)) + squares(x).view([-1, 1]);
                potentials - squared.clamp_min(0.0).sqrt()
            }
            RowCost::Cosine => potentials.addmm(x, &normalised(y).tr()),
        }
    }
}

/// Rows of length 1; rows of zeros stay.
fn normalised(rows: &Tensor) -> Tensor {
    let lengths = rows.square().sum_dim_intlist(1, true, Kind::Float).sqrt();
    rows / lengths.clamp_min(f64::from(f32::MIN_POSITIVE))
}
