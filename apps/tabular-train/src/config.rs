//! Configuration of a run: plain values with defaults, which are stored in the run directory.

use anyhow::ensure;
use fm_app::models::TableModel;
use fm_app::objective_args::FlowConfig;
use fm_app::optimizer_args::LearningConfig;
use fm_app::preprocess::Preprocess;
use fm_app::runtime::RuntimeConfig;
use fm_core::source::SourceKind;
use fm_data::points;
use fm_models::ModelConfig;
use serde::{Deserialize, Serialize};

/// All settings that affect the results of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub(crate) data: String,
    /// The column with the classes for a conditional network; empty for none.
    pub(crate) labels: String,
    /// Columns to ignore.
    pub(crate) ignore: Vec<String>,
    pub(crate) preprocess: Preprocess,
    /// Fraction of a file's rows to hold out; a negative value selects the default.
    pub(crate) hold_out: f64,
    pub(crate) rows: usize,
    pub(crate) steps: u64,
    pub(crate) batch_size: usize,
    pub(crate) model: TableModel,
    pub(crate) widths: Vec<i64>,
    pub(crate) label_drop: f64,
    /// Whether the source has a standard deviation per column that is learned with the network.
    pub(crate) trainable_source: bool,
    /// The run whose ODE makes the training pairs; empty to train on data.
    pub(crate) teacher: String,
    /// RK4 steps per teacher pair.
    pub(crate) teacher_steps: usize,
    /// Whether the student starts from random weights.
    pub(crate) fresh: bool,
    pub(crate) seed: u64,
    pub(crate) log_every: u64,
    #[serde(flatten)]
    pub(crate) runtime: RuntimeConfig,
    #[serde(flatten)]
    pub(crate) flow: FlowConfig,
    #[serde(flatten)]
    pub(crate) learning: LearningConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "moons".into(),
            labels: String::new(),
            ignore: Vec::new(),
            preprocess: Preprocess::default(),
            hold_out: -1.0,
            rows: 20_000,
            steps: 5000,
            batch_size: 256,
            model: TableModel::default(),
            widths: vec![64; 3],
            label_drop: 0.0,
            trainable_source: false,
            teacher: String::new(),
            teacher_steps: 20,
            fresh: false,
            seed: 0,
            log_every: 50,
            runtime: RuntimeConfig::default(),
            flow: FlowConfig::default(),
            learning: LearningConfig { lr: 2e-3, ..LearningConfig::default() },
        }
    }
}

impl Config {
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.steps > 0, "steps is 0: give at least one (--steps)");
        ensure!(self.batch_size > 0, "batch_size is 0: give at least one row a step (--batch-size)");
        ensure!(self.rows > 0, "rows is 0: give at least one point (--rows)");
        ensure!(self.log_every > 0, "log_every is 0: give at least 1 (--log-every)");
        ensure!(self.hold_out < 1.0, "hold_out is {}: choose a share below 1 (--hold-out)", self.hold_out);
        ensure!((0.0..=1.0).contains(&self.label_drop), "label_drop is {}: choose a share in [0, 1]", self.label_drop);
        ensure!(
            self.label_drop == 0.0 || !self.labels.is_empty(),
            "label_drop drops labels, and there are none; give --labels"
        );
        if self.trainable_source {
            let gaussian = SourceKind::Gaussian.to_string();
            ensure!(self.flow.source == gaussian, "trainable_source scales the {gaussian} source; drop --source");
            let independent = self.flow.coupling == fm_app::couplings::CouplingKind::Independent;
            ensure!(
                independent,
                "rows of a source that is trained cannot be paired before it is known; drop --coupling"
            );
            ensure!(!self.flow.excess_loss, "the least loss is known for a fixed source; drop --excess-loss");
        }
        self.learning.validate()
    }

    /// The fraction of held-out rows: by default a tenth of a file's rows.
    pub(crate) fn held_out(&self) -> f64 {
        let drawn = points::TOYS.contains(&self.data.as_str()) || self.data == "gaussian4";
        if self.hold_out >= 0.0 {
            self.hold_out
        } else if drawn {
            0.0
        } else {
            0.1
        }
    }

    /// The network for a table with `dim` columns and `classes` classes.
    pub(crate) fn model(&self, dim: usize, classes: usize) -> ModelConfig {
        self.model.config(dim, &self.widths, classes, self.label_drop > 0.0)
    }
}
