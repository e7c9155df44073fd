//! A run's configuration: a plain value with defaults, laid over by a file and by flags, and written into the run.

use crate::args::TrainArgs;
use anyhow::{Context, ensure};
use fm_app::flow::{FlowConfig, set};
use fm_app::learning::LearningConfig;
use fm_app::models::TableModel;
use fm_app::settings;
use fm_models::ModelConfig;
use fm_train::run_dir::latest_checkpoint;
use serde::{Deserialize, Serialize};

/// Everything that decides what a run computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) data: String,
    pub(crate) rows: usize,
    pub(crate) steps: u64,
    pub(crate) batch_size: usize,
    pub(crate) model: TableModel,
    pub(crate) widths: Vec<i64>,
    pub(crate) seed: u64,
    pub(crate) log_every: u64,
    #[serde(flatten)]
    pub(crate) flow: FlowConfig,
    #[serde(flatten)]
    pub(crate) learning: LearningConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "moons".into(),
            rows: 20_000,
            steps: 5000,
            batch_size: 256,
            model: TableModel::default(),
            widths: vec![64; 3],
            seed: 0,
            log_every: 50,
            flow: FlowConfig::default(),
            learning: LearningConfig { lr: 2e-3, ..LearningConfig::default() },
        }
    }
}

impl Config {
    /// Defaults, then file, then flags; on --resume the run's own configuration, with more steps if asked.
    pub(crate) fn resolve(args: &TrainArgs, resume: bool) -> anyhow::Result<Self> {
        if !resume {
            let file = args.config.as_deref().map(settings::read).transpose()?.unwrap_or_default();
            let mut config = settings::lay_over(&Self::default(), file)?;
            config.apply(args);
            return Ok(config);
        }
        let (path, meta, _) = latest_checkpoint(&args.out).context("there is nothing to resume")?;
        let saved: crate::train::Saved = serde_json::from_value(meta.config)
            .with_context(|| format!("{} was not written by tabular-train", path.display()))?;
        let mut config = saved.run.clone();
        config.apply(args);
        settings::check_resumed(&saved.run, &config, &["steps", "log_every"])?;
        Ok(config)
    }

    fn apply(&mut self, args: &TrainArgs) {
        set(&mut self.data, &args.data);
        set(&mut self.rows, &args.rows);
        set(&mut self.steps, &args.steps);
        set(&mut self.batch_size, &args.batch_size);
        args.learning.apply(&mut self.learning);
        set(&mut self.model, &args.model);
        set(&mut self.widths, &args.widths);
        set(&mut self.seed, &args.seed);
        set(&mut self.log_every, &args.log_every);
        args.flow.apply(&mut self.flow);
    }

    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.steps > 0, "steps is 0: give at least one (--steps)");
        ensure!(self.batch_size > 0, "batch_size is 0: give at least one row a step (--batch-size)");
        ensure!(self.rows > 0, "rows is 0: give at least one point (--rows)");
        ensure!(self.log_every > 0, "log_every is 0: give at least 1 (--log-every)");
        self.learning.validate()
    }

    pub(crate) fn model(&self, dim: usize) -> ModelConfig {
        self.model.config(dim, &self.widths)
    }
}
