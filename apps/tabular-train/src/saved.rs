//! The metadata of this program's checkpoints.

use crate::config::Config;
use fm_data::Columns;
use serde::{Deserialize, Serialize};

/// The configuration of the run, and the statistics of its columns.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) run: Config,
    pub(crate) columns: Columns,
}
