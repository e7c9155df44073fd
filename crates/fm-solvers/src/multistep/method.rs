//! The multistep methods.

/// A method that reuses values of earlier steps: one evaluation per step.
///
/// ```
/// use fm_solvers::multistep::MultistepMethod;
/// let methods = [MultistepMethod::AdamsBashforth2, MultistepMethod::Pec, MultistepMethod::UniPc3];
/// assert_eq!(methods.map(MultistepMethod::memory), [1, 1, 2]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultistepMethod {
    /// Adams-Bashforth with two velocities, started by an Euler step.
    AdamsBashforth2,
    /// Adams-Bashforth with three velocities; its first step is corrected by the trapezoidal rule.
    AdamsBashforth3,
    /// Adams-Bashforth with two velocities predicts, Adams-Moulton with three corrects, without a
    /// second evaluation.
    Pec,
    /// DPM-Solver++(2M), midpoint form.
    #[doc(alias = "DPMSolverMultistepScheduler")]
    DpmSolver2M,
    /// UniPC of order 2, form B2(h).
    #[doc(alias = "UniPCMultistepScheduler")]
    UniPc2,
    /// UniPC of order 3, form B2(h).
    UniPc3,
}

impl MultistepMethod {
    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::AdamsBashforth2 => "ab2",
            Self::AdamsBashforth3 => "ab3",
            Self::Pec => "pec",
            Self::DpmSolver2M => "dpmpp-2m",
            Self::UniPc2 | Self::UniPc3 => "unipc",
        }
    }

    /// The number of values of earlier steps that a step uses; a correction uses one more.
    pub fn memory(self) -> usize {
        match self {
            Self::AdamsBashforth2 | Self::Pec | Self::DpmSolver2M | Self::UniPc2 => 1,
            Self::AdamsBashforth3 | Self::UniPc3 => 2,
        }
    }

    /// Whether steps are exact for a constant data prediction rather than for a constant velocity.
    pub(super) fn exponential(self) -> bool {
        matches!(self, Self::DpmSolver2M | Self::UniPc2 | Self::UniPc3)
    }
}
