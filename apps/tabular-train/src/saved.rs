//! The metadata of this program's checkpoints.

use crate::config::Config;
use fm_data::Columns;
use fm_tables::loader::Trained;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The configuration of the run, and the statistics of its columns.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) run: Config,
    pub(crate) columns: Columns,
}

impl Saved {
    /// Reads what a run stored. What an older run stored keeps its meaning.
    ///
    /// # Errors
    /// Metadata of another program.
    pub(crate) fn read(stored: Value) -> serde_json::Result<Self> {
        let Saved { run, columns } = serde_json::from_value(stored)?;
        let older = run.is_of_older_run();
        Ok(Self { run: run.with_parameters(older), columns })
    }

    /// What the network was trained for.
    pub(crate) fn trained(&self) -> Trained<'_> {
        let Self { run, columns } = self;
        Trained { flow: &run.flow, trained_source: run.trainable_source, columns }
    }
}
