//! What a checkpoint of this program remembers.

use crate::config::Config;
use crate::table::Columns;
use serde::{Deserialize, Serialize};

/// The configuration of the run, and how its columns were measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) run: Config,
    pub(crate) columns: Columns,
}
