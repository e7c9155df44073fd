//! Errors of building a network.

use fm_core::message::brief;

/// A network that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the {model} cannot be built: {problem}; {remedy}")]
pub struct ModelError {
    /// The network.
    pub model: &'static str,
    /// The invalid setting.
    pub problem: String,
    /// The remedy.
    pub remedy: &'static str,
}

/// The longest description of a setting, in characters.
const LONGEST: usize = 160;

/// Fails with a [`ModelError`] unless `good`.
pub(crate) fn require(
    good: bool,
    model: &'static str,
    problem: impl Into<String>,
    remedy: &'static str,
) -> Result<(), ModelError> {
    // A list in a configuration has any length.
    if good { Ok(()) } else { Err(ModelError { model, problem: brief(&problem.into(), LONGEST), remedy }) }
}
