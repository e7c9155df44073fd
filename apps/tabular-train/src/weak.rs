//! The weaker model of `--guide-with`.

use crate::args::{DrawArgs, ModelFileArgs};
use crate::model::{Loaded, load};
use fm_run::guidance::{Traits, Weak, ensure_alike, ensure_same, weak_path};
use fm_run::weights::{FileArgs, WhichWeights, is_weights};
use std::rc::Rc;

/// The model to guide samples away from, if one is given.
///
/// # Errors
/// A model that does not exist, or that was trained for other columns, another prediction or
/// another path.
pub(crate) fn open_weak(main: &Loaded, args: &DrawArgs) -> anyhow::Result<Option<Rc<Weak>>> {
    let Some(given) = &args.guidance.guide_with else { return Ok(None) };
    let path = weak_path(given, &main.path)?;
    // The flags of a model apply to the other one where they can.
    let file = if is_weights(&path)? {
        ModelFileArgs { which: WhichWeights::default(), ..args.file.clone() }
    } else {
        ModelFileArgs { file: FileArgs::default(), source: None, ..args.file.clone() }
    };
    let weak = load(&path, &file, &args.device)?;
    ensure_alike(&path, &traits(main), &traits(&weak))?;
    let conditional = !weak.columns.classes.is_empty();
    if conditional {
        ensure_same(&path, "number of classes", &main.columns.classes.len(), &weak.columns.classes.len())?;
    }
    let name = format!("{} of {}", weak.weights, weak.path.display());
    Ok(Some(Rc::new(Weak { model: weak.model, conditional, name, key: None })))
}

/// What two models need in common.
fn traits(loaded: &Loaded) -> Traits {
    let (objective, columns) = (&loaded.config.flow.objective, &loaded.columns);
    let four = |values: &[f64]| values.iter().take(4).map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(",");
    [
        ("number of columns", columns.dim().to_string()),
        ("prediction", objective.prediction.to_string()),
        ("path", objective.path.to_string()),
        ("mean of the first columns", four(&columns.mean)),
        ("deviation of the first columns", four(&columns.deviation)),
    ]
}
