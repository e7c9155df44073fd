//! The two ends of the time interval.

/// One end of the time interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// t = 0.
    Source,
    /// t = 1.
    Data,
}

impl End {
    /// The end's time, 0 or 1.
    pub fn time(self) -> f64 {
        match self {
            End::Source => 0.0,
            End::Data => 1.0,
        }
    }

    /// The end at time `t`, or `None` for a time that is neither 0 nor 1.
    pub fn of(t: f64) -> Option<Self> {
        [End::Source, End::Data].into_iter().find(|end| end.time() == t)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Source => write!(f, "the source end (t = 0)"),
            End::Data => write!(f, "the data end (t = 1)"),
        }
    }
}
