//! Sources by name, and the smallest loss that a network can reach.

use crate::objective_args::FlowConfig;
use anyhow::{Context, bail, ensure};
use fm_core::choice::{Choice, Entry};
use fm_core::exact::{Estimate, Mixture, estimate};
use fm_core::source::{Source, SourceKind};
use fm_core::time::Draw;
use fm_ot::CouplingKind;
use fm_terminal::println;
use ndarray::Array2;

/// Opens the source that a configuration names: a distribution, or the rows of a data set that
/// `load` returns, for data rows of `dim` values. A source that depends on the standard deviation
/// of the data (`matched`) gets it from `deviation`, and `name` is updated to contain it.
///
/// # Errors
/// An unknown name, and a data set without rows or with another dimension than the data.
pub fn open(
    name: &mut String,
    dim: usize,
    deviation: impl FnOnce() -> f64,
    load: impl FnOnce(&str) -> anyhow::Result<Array2<f32>>,
) -> anyhow::Result<Source> {
    // A Gaussian of another scale is `matched` with that deviation.
    if let Some(scale) = name.strip_prefix("gaussian:scale=") {
        *name = format!("matched:deviation={scale}");
    }
    if is_distribution(name) {
        let kind = SourceKind::parse(name)?.measured(deviation);
        *name = kind.to_string();
        return Ok(kind.into());
    }
    let rows = load(name).with_context(|| {
        format!(
            "cannot open '{name}': it is neither a source (gaussian, matched, sparse:rate=R) nor a readable data set"
        )
    })?;
    ensure!(rows.nrows() > 0, "cannot use the source {name}: it has no rows; give at least one");
    ensure!(
        rows.ncols() == dim,
        "cannot use the source {name}: its rows have {} values, those of the data {dim}; choose another",
        rows.ncols()
    );
    Ok(Source::Rows(rows))
}

/// Whether a name is that of a [`SourceKind`], right or wrong parameters included. `gaussian` has
/// none, so `gaussian:dim=3,seed=7` is a data set.
fn is_distribution(name: &str) -> bool {
    let (head, parameters) = name.split_once(':').unwrap_or((name, ""));
    let named = |entry: &&Entry| entry.names.contains(&head.trim());
    let entry = SourceKind::TABLE.iter().find(named);
    entry.is_some_and(|entry| parameters.is_empty() || !entry.parameters.is_empty())
}

/// Whether this names a distribution rather than a data set of the machine.
///
/// # Errors
/// The name of a data set.
pub fn named(name: &str) -> anyhow::Result<()> {
    SourceKind::parse(name)
        .map(|_| ())
        .with_context(|| format!("the source {name} is a data set, which a file of weights may not open"))
}

/// The smallest loss that a network can reach on `data`, if `excess_loss` is set.
///
/// # Errors
/// A configuration without a closed form for this loss.
pub fn irreducible(
    config: &FlowConfig,
    source: &Source,
    data: impl FnOnce() -> Array2<f32>,
    conditional: bool,
    seed: u64,
) -> anyhow::Result<Option<Estimate>> {
    if !config.excess_loss {
        return Ok(None);
    }
    if config.coupling != CouplingKind::Independent || !source.is_standard_normal() || conditional {
        bail!(
            "cannot compute the excess loss: it needs independent coupling, the gaussian source and no classes; \
             drop --excess-loss"
        );
    }
    let data = data();
    // Each sample costs a pass over the data, so larger data sets get fewer samples.
    let samples = (1_000_000_000 / data.len().max(1)).clamp(64, 8192);
    let mixture = Mixture::empirical(data.mapv(f64::from).view())?;
    // Stratified times cost nothing and remove the error of the times.
    let mut objective = config.objective.clone();
    objective.times.draw = Draw::Stratified;
    Ok(Some(estimate(&mixture, &objective, samples, seed)?))
}

/// The value of [`irreducible`], which is also printed; `what` names a row of the data, in the
/// singular.
///
/// # Errors
/// Those of [`irreducible`].
pub fn least(
    config: &FlowConfig,
    source: &Source,
    data: impl FnOnce() -> Array2<f32>,
    conditional: bool,
    seed: u64,
    what: &str,
) -> anyhow::Result<Option<f64>> {
    let found = irreducible(config, source, data, conditional, seed)?;
    if let Some(Estimate { value, standard_error, .. }) = &found {
        println!("least     loss {value:.5} +- {standard_error:.5}: the smallest that these {what}s allow");
    }
    Ok(found.map(|least| least.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_gaussian_of_another_scale_is_a_matched_one() {
        let mut name = "gaussian:scale=2".to_owned();
        let source = open(&mut name, 2, || 0.0, |_| bail!("not a data set")).unwrap();
        assert_eq!(name, "matched:deviation=2");
        assert!(source == SourceKind::Matched { deviation: 2.0 }.into());
        let mut name = "gaussian:scale=-1".to_owned();
        assert!(open(&mut name, 2, || 0.0, |_| bail!("not a data set")).is_err());
    }

    #[test]
    fn names_are_measured_loaded_or_refused() {
        let data = array![[1.0f32, -1.0], [1.0, -1.0]];
        let none = |_: &str| bail!("not found");
        let mut name = "matched".to_owned();
        assert_eq!(open(&mut name, 2, || 1.0, none).unwrap(), SourceKind::Matched { deviation: 1.0 }.into());
        assert_eq!(name, "matched:deviation=1");
        let error = format!("{:#}", open(&mut "gausian".to_owned(), 2, || 1.0, none).unwrap_err());
        assert!(error.contains("neither a source") && error.contains("not found"), "{error}");
        assert!(open(&mut "sparse:rate=2".to_owned(), 2, || 1.0, none).unwrap_err().to_string().contains("rate"));
        assert!(open(&mut "x".to_owned(), 2, || 1.0, |_| Ok(Array2::zeros((3, 5)))).is_err());
        assert_eq!(open(&mut "x".to_owned(), 2, || 1.0, |_| Ok(data.clone())).unwrap(), Source::Rows(data.clone()));
    }
}
