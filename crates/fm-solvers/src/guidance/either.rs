//! A field that is guided or not.

use super::network::{Guided, Unconditional};
use fm_core::Error;
use fm_core::field::RowField;
use tch::Tensor;

/// A network as a field, with guidance if the rows have conditions.
#[derive(Debug)]
pub enum Field<'m> {
    /// For rows with classes or condition vectors.
    Conditional(Guided<'m>),
    /// For rows without conditions.
    Unconditional(Unconditional<'m>),
}

impl RowField<Tensor> for Field<'_> {
    fn velocities(&self, x: &Tensor, t: &[f64], rows: &[usize]) -> Tensor {
        match self {
            Field::Conditional(field) => field.velocities(x, t, rows),
            Field::Unconditional(field) => field.velocities(x, t, rows),
        }
    }

    fn check(&self, x: &Tensor) -> Result<(), Error> {
        match self {
            Field::Conditional(field) => field.check(x),
            Field::Unconditional(field) => field.check(x),
        }
    }

    fn segment(&self, t: f64) -> usize {
        match self {
            Field::Conditional(field) => field.segment(t),
            Field::Unconditional(field) => RowField::<Tensor>::segment(field, t),
        }
    }

    fn is_flow_map(&self) -> bool {
        match self {
            Field::Conditional(field) => field.is_flow_map(),
            Field::Unconditional(field) => RowField::<Tensor>::is_flow_map(field),
        }
    }

    fn mean_velocities(&self, x: &Tensor, t: &[f64], h: &[f64], rows: &[usize]) -> Option<Tensor> {
        match self {
            Field::Conditional(field) => field.mean_velocities(x, t, h, rows),
            Field::Unconditional(field) => field.mean_velocities(x, t, h, rows),
        }
    }

    fn has_score(&self) -> bool {
        match self {
            Field::Conditional(field) => field.has_score(),
            Field::Unconditional(field) => RowField::<Tensor>::has_score(field),
        }
    }

    fn velocities_and_scores(&self, x: &Tensor, t: &[f64], rows: &[usize]) -> Option<[Tensor; 2]> {
        match self {
            Field::Conditional(field) => field.velocities_and_scores(x, t, rows),
            Field::Unconditional(field) => field.velocities_and_scores(x, t, rows),
        }
    }
}
