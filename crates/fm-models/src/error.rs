//! Why a network cannot be built.

/// A network that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the {model} cannot be built: {problem}; {remedy}")]
pub struct ModelError {
    /// Which network.
    pub model: &'static str,
    /// What does not fit.
    pub problem: String,
    /// What to change.
    pub remedy: &'static str,
}

/// Fails with a [`ModelError`] unless `good`.
pub(crate) fn require(
    good: bool,
    model: &'static str,
    problem: impl Into<String>,
    remedy: &'static str,
) -> Result<(), ModelError> {
    if good { Ok(()) } else { Err(ModelError { model, problem: problem.into(), remedy }) }
}
