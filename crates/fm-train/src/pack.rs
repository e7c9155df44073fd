//! Checking and packing conditions.

use crate::TrainError;
use crate::batch::Batch;
use crate::block::Packer;
use fm_core::tensor::ConditionKind;

/// Adds the classes or the condition vectors of a batch of `rows` rows, if it has any.
pub(crate) fn pack_conditions(
    packer: &mut Packer,
    batch: &Batch,
    rows: usize,
    taken: Option<ConditionKind>,
) -> Result<(), TrainError> {
    let Batch { step, classes, conditions, .. } = batch;
    if !classes.is_empty() && !conditions.is_empty() {
        let problem = "it has classes and condition vectors; give one of them".into();
        return Err(TrainError::Batch { step: *step, problem });
    }
    if !classes.is_empty() {
        check("class", classes.len(), rows, *step)?;
        taken.map_or(Ok(()), |kind| kind.check_classes(classes))?;
        packer.push("condition", classes, &[rows as i64]);
    }
    if !conditions.is_empty() {
        let dim = conditions.len() / rows.max(1);
        check("condition", conditions.len(), rows * dim.max(1), *step)?;
        taken.map_or(Ok(()), |kind| kind.check_vectors(dim))?;
        packer.push("condition", conditions, &[rows as i64, dim as i64]);
    }
    Ok(())
}

/// Fails unless rows have the expected number of values.
pub(crate) fn check(what: &str, got: usize, expected: usize, step: u64) -> Result<(), TrainError> {
    if got == expected {
        return Ok(());
    }
    let problem = format!("its {what} rows have {got} values instead of {expected}; check the shape of a row");
    Err(TrainError::Batch { step, problem })
}
