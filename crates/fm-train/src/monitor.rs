//! A value of the log that decides when a run stops and which checkpoints are kept.
//!
//! It is written `NAME` if lower values are better, and `NAME:max` if higher ones are.
//!
//! ```
//! use fm_train::monitor::Monitor;
//! use fm_train::record::LogRecord;
//! let line: LogRecord = serde_json::from_str(r#"{"step":1,"loss":2,"grad_norm":3,"lr":0.1}"#).unwrap();
//! let score = |text: &str| Ok::<_, fm_train::TrainError>(text.parse::<Monitor>()?.score(&line));
//! assert_eq!(score("loss")?, Some(2.0));
//! assert_eq!(score("grad_norm:max")?, Some(-3.0));
//! assert_eq!(score("val_loss")?, None); // not in this line
//! assert!(score("los").is_err() && score("loss:most").is_err());
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use crate::record::LogRecord;
use std::fmt;
use std::str::FromStr;

/// A monitored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Monitor {
    name: &'static str,
    max: bool,
}

impl Monitor {
    /// The value's name in the log.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The value of a line, negated if higher values are better; `None` if the line has no finite
    /// one.
    pub fn score(&self, record: &LogRecord) -> Option<f64> {
        let value = record.value(self.name).filter(|value| value.is_finite())?;
        Some(if self.max { -value } else { value })
    }
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.max { ":max" } else { "" })
    }
}

impl FromStr for Monitor {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Self, TrainError> {
        let (name, direction) = text.split_once(':').unwrap_or((text, "min"));
        let known = LogRecord::NAMES.into_iter().find(|known| *known == name);
        match (known, direction) {
            (Some(name), "min" | "max") => Ok(Self { name, max: direction == "max" }),
            (Some(name), other) => Err(TrainError::setting(
                "direction of the monitored value",
                format!("{other:?}"),
                format!("give {name} if lower is better, or {name}:max"),
            )),
            (None, _) => Err(TrainError::setting(
                "monitored value",
                format!("{name:?}"),
                format!("choose one of {}", LogRecord::NAMES.join(", ")),
            )),
        }
    }
}
