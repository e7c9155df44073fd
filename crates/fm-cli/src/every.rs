//! Intervals of a run: steps, or epochs written with an `e`.
//!
//! ```
//! use fm_cli::every::Every;
//! use fm_train::epoch::EpochLength;
//! let epoch = EpochLength::new(1000, 100); // 10 steps
//! let steps = |text: &str| text.parse::<Every>()?.steps(epoch);
//! assert_eq!((steps("25")?, steps("3e")?, steps("0.5e")?), (25, 30, 5));
//! assert!("3e".parse::<Every>()?.steps(None).is_err()); // data without epochs
//! assert!("e".parse::<Every>().is_err() && "-1e".parse::<Every>().is_err());
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::{Context, bail};
use fm_train::epoch::EpochLength;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Every {
    /// This number of steps; 0 for never.
    Steps(u64),
    /// This number of epochs, above 0.
    Epochs(f64),
}

impl Every {
    /// The interval in steps; epochs are rounded to whole steps, at least 1.
    ///
    /// # Errors
    /// Epochs of data that have none.
    pub fn steps(self, epoch: Option<EpochLength>) -> anyhow::Result<u64> {
        match self {
            Self::Steps(steps) => Ok(steps),
            Self::Epochs(epochs) => Ok(epoch.with_context(|| no_epochs(&self.to_string()))?.interval(epochs)),
        }
    }

    /// The interval with its unit.
    pub fn describe(self) -> String {
        match self {
            Self::Steps(steps) => format!("{steps} steps"),
            Self::Epochs(epochs) => format!("{epochs} epochs"),
        }
    }
}

/// The steps of this number of epochs.
///
/// # Errors
/// Data without epochs, and a number of steps that is too large.
pub fn total_steps(epochs: u64, epoch: Option<EpochLength>) -> anyhow::Result<u64> {
    let total = epoch.with_context(|| no_epochs(&epochs.to_string()))?.total(epochs).filter(|n| *n < 1 << 62);
    total.with_context(|| format!("--epochs is {epochs}: too many for a number of steps; give fewer"))
}

fn no_epochs(given: &str) -> String {
    format!("cannot count {given} epochs: these data have none; give a number of steps")
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => write!(f, "{steps}"),
            Self::Epochs(epochs) => write!(f, "{epochs}e"),
        }
    }
}

impl FromStr for Every {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let epochs = text.strip_suffix('e').and_then(|number| number.parse::<f64>().ok());
        match (text.parse::<u64>(), epochs) {
            (Ok(steps), _) if steps <= i64::MAX as u64 => Ok(Self::Steps(steps)),
            (_, Some(epochs)) if (1e-9..1e12).contains(&epochs) => Ok(Self::Epochs(epochs)),
            _ => bail!("'{text}' is not an interval; give a number of steps, or of epochs as in 10e"),
        }
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Steps(steps) => serializer.serialize_u64(*steps),
            Self::Epochs(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Steps(u64),
            Text(String),
        }
        let wrong = "expected a number of steps, or of epochs as in \"10e\"";
        match Given::deserialize(deserializer).map_err(|_| de::Error::custom(wrong))? {
            Given::Steps(steps) => Ok(Self::Steps(steps)),
            Given::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}
