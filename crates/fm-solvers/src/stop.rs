//! Why a solve ended: it reached the end, a terminal event occurred, or it stopped early.

/// Why a solver stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
#[doc(alias = "RESULTS")]
pub enum StopReason {
    /// The end of the time span was reached.
    #[default]
    ReachedEnd,
    /// A terminal event occurred at this time.
    Event {
        /// The time reached.
        t: f64,
    },
    /// The maximum number of evaluations was reached at this time.
    MaxEvaluations {
        /// The time reached.
        t: f64,
    },
    /// The step became smaller than allowed, or too small relative to t or the span: the problem is
    /// stiff, or the tolerance exceeds the precision.
    StepUnderflow {
        /// The time reached.
        t: f64,
    },
    /// The velocity or the state was not finite.
    NonFinite {
        /// The last time at which the state was known to be finite.
        t: f64,
    },
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = |t: &f64| if t.abs() < 1e6 { format!("{t:.6}") } else { format!("{t:.6e}") };
        match self {
            StopReason::ReachedEnd => write!(f, "reached the end"),
            StopReason::Event { t } => write!(f, "met a terminal event at t = {}", time(t)),
            StopReason::MaxEvaluations { t } => {
                let t = time(t);
                write!(f, "used up the allowed evaluations at t = {t}; allow more, or loosen the tolerance")
            }
            StopReason::StepUnderflow { t } => {
                let t = time(t);
                write!(
                    f,
                    "needs a step too small for the precision or min_step at t = {t}; loosen the tolerance or lower min_step"
                )
            }
            StopReason::NonFinite { t } => {
                let t = time(t);
                write!(f, "met a state or velocity that is not finite after t = {t}; check the model and its input")
            }
        }
    }
}
