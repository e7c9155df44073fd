//! Configuration of a run: plain values with defaults, which are stored in the run directory.

use anyhow::ensure;
use fm_cli::every::Every;
use fm_cli::memory::ensure_fits;
use fm_core::choice::Choice;
use fm_core::source::SourceKind;
use fm_data::Columns;
use fm_data::Preprocess;
use fm_data::TableSource;
use fm_data::points::{self, Toy};
use fm_models::ModelConfig;
use fm_models::layers::Activation;
use fm_models::timed_layer::LayerKind;
use fm_ot::CouplingKind;
use fm_run::models::{TableModel, TableNetwork};
use fm_run::objective_args::{FlowArgs, FlowConfig};
use fm_run::optimizer_args::{LearningArgs, LearningConfig};
use fm_run::runtime::{RuntimeArgs, RuntimeConfig};
use fm_tables::data::{TableArgs, TableConfig, source_toy, toy_of};
use fm_train::flow_map::TaskKind;
use fm_train::trained_source::{SourceScale, TrainedSource};
use serde::{Deserialize, Serialize};
use tch::nn;

fm_cli::options! {
    /// All settings that affect the results of a run.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Config, flags ConfigArgs {
        "Data" {
            /// Training data: a toy distribution, an embedded table, or a file.
            data: String = "moons".into(), arg(help = format!(
                "Training data: {}, gaussian4, genes, ecg, or a table of numbers FILE.csv or FILE.npy", points::TOYS.join(", ")
            ));
            @choice("Transformation of the columns, inverted after sampling")
            preprocess: Preprocess = Preprocess::default(), arg(value_name = "HOW");
            /// Clip each column to its quantiles at this share and 1 - this share, before it is
            /// transformed.
            clip_outliers: f64 = 0.0, arg(value_name = "SHARE", hide = true);
            /// Samples are at least 0, for data that are never negative, such as logarithms of
            /// 1 + x.
            non_negative: bool = false, arg(value_name = "BOOL", hide = true);
            /// Share of rows held out from training, for `evaluate` and --validate-every; a
            /// negative share is 0.1 for files and genes, otherwise 0.
            hold_out: f64 = -1.0, arg(value_name = "SHARE");
            /// Train on this number of points of a toy distribution, drawn once; 0 draws new points
            /// at every step.
            rows: usize = 0, arg(value_name = "N");
        }
        "Network" {
            /// Start from the weights of a run, a checkpoint or a file, such as those of a flow for
            /// a flow map (default: random weights).
            init: String = String::new(), arg(value_name = "PATH", hide = true);
            @choice("Type of the network")
            model: TableModel = TableModel::default();
            /// Widths of the hidden layers.
            widths: Vec<i64> = vec![64; 3], arg(value_name = "WIDTH,...", value_delimiter = ',');
            /// Activation between the layers: gelu, selu, silu, tanh, relu, elu or softplus
            /// (default: gelu of mlp, selu of selu-mlp, tanh of concat-squash).
            activation: String = String::new(), arg(value_name = "NAME", hide = true);
            @choice("Layers of the concat-squash network")
            layer: LayerKind = LayerKind::default(), arg(value_name = "LAYER", hide = true);
            /// Degree of the polynomial features that the concat-squash network takes; 1 is the
            /// values themselves.
            degree: i64 = 1, arg(value_name = "N", hide = true);
            /// Attention heads of the transformer; its blocks are as many as --widths, which are
            /// equal.
            heads: i64 = 4, arg(value_name = "N", hide = true);
            /// Probability of replacing a label by the null label, for classifier-free guidance.
            label_drop: f64 = 0.0, arg(value_name = "SHARE");
            /// Train the mean and the variance of the source for each column, together with the
            /// network.
            trainable_source: bool = false, arg(value_name = "BOOL", hide = true);
        }
        "Optimization" {
            /// Total number of training steps.
            steps: u64 = 5000;
            /// Rows per step, over all processes.
            batch_size: usize = 256;
        }
        "Run" {
            /// Random seed.
            seed: u64 = 0;
        }
        "Hardware" {
            /// Device: auto, cpu, cuda or cuda:N. auto takes CUDA if it works and the network has a
            /// million parameters or more: a GPU does not speed up smaller ones.
            device: String = "auto".into();
        }
        "Output" {
            /// Steps between checkpoints, or epochs (10e); 0 saves only at the end.
            save_every: Every = Every::Steps(5000), arg(value_name = "STEPS");
            /// Steps between pictures of samples (tables of two columns) or reports of the errors
            /// of the samples' mean and covariance (other tables); 0 disables both.
            sample_every: Every = Every::Steps(1000), arg(value_name = "STEPS");
            /// Steps between lines of metrics.jsonl.
            log_every: Every = Every::Steps(50), arg(value_name = "STEPS", hide = true);
        }
        also {
            /// The run whose ODE makes the training pairs; empty to train on data.
            teacher: String = String::new();
            /// RK4 steps per teacher pair.
            teacher_steps: usize = 20;
            /// Whether the student starts from random weights.
            fresh: bool = false;
            /// The parameters of a trained source.
            #[serde(default = "SourceScale::of_older_runs")]
            source_scale: SourceScale = SourceScale::default();
        }
        flatten {
            /// How a table is read.
            table: TableConfig, TableArgs = TableConfig::default();
            runtime: RuntimeConfig, RuntimeArgs = RuntimeConfig::default();
            learning: LearningConfig, LearningArgs = LearningConfig { lr: 2e-3, ..LearningConfig::default() };
            flow: FlowConfig, FlowArgs = FlowConfig::default();
        }
    }
}

impl Config {
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.steps > 0, "steps is 0; give at least one (--steps)");
        ensure!(self.batch_size > 0, "batch_size is 0; give at least one row per step (--batch-size)");
        let dim = self.toy().map_or(2, Toy::dim);
        // The table, its rows to train on, and both in the units of the network.
        ensure_fits("the points", &[self.rows, dim], 5 * size_of::<f64>(), "--rows")?;
        ensure!(
            self.rows > 0 || self.toy().is_none() || !self.flow.excess_loss,
            "the least loss is known for a fixed set of points; give --rows, or drop --excess-loss"
        );
        ensure!(self.log_every != Every::Steps(0), "log_every is 0; give at least 1 (--log-every)");
        ensure!(
            self.hold_out.is_finite() && self.hold_out < 1.0,
            "hold_out is {}; choose a share below 1 (--hold-out)",
            self.hold_out
        );
        ensure!(
            (0.0..0.5).contains(&self.clip_outliers),
            "clip_outliers is {}; choose a share from 0 to below 0.5 (--clip-outliers)",
            self.clip_outliers
        );
        ensure!(
            (0.0..=1.0).contains(&self.label_drop),
            "label_drop is {}; choose a share in [0, 1] (--label-drop)",
            self.label_drop
        );
        ensure!(
            self.label_drop == 0.0 || !self.table.labels.is_empty(),
            "label_drop drops labels, and there are none; give --labels"
        );
        self.flow.ensure_guidable(self.label_drop > 0.0)?;
        ensure!(
            self.table.window == 0 || self.table.stride > 0,
            "stride is 0; give at least one row between windows (--stride)"
        );
        let network = self.network()?;
        ensure!(
            network.model == TableModel::ConcatSquash || (network.layer == LayerKind::default() && network.degree == 1),
            "{} has no layers of a kind or polynomial features; choose --model concat-squash, or drop --layer and --degree",
            network.model
        );
        if self.trainable_source {
            let gaussian = SourceKind::Gaussian.to_string();
            ensure!(
                self.flow.source == gaussian,
                "trainable_source moves and scales the {gaussian} source; drop --source"
            );
            let independent = self.flow.coupling == CouplingKind::Independent;
            ensure!(
                independent,
                "rows of a source that is trained cannot be paired before it is known; drop --coupling"
            );
            ensure!(!self.flow.excess_loss, "the least loss is known for a fixed source; drop --excess-loss");
        }
        ensure!(
            self.teacher.is_empty() || self.init.is_empty(),
            "a student starts from the weights of its teacher; drop --init"
        );
        ensure!(
            self.teacher.is_empty() || self.learning.validate_every == Every::Steps(0),
            "validate_every is {}: held-out rows are not the pairs of a teacher; drop --validate-every",
            self.learning.validate_every
        );
        let coupled = self.teacher.is_empty() && self.flow.coupling != CouplingKind::Independent;
        self.learning.validate(self.flow.excess_loss, coupled)
    }

    /// The fraction of held-out rows: by default a tenth of a file's rows.
    pub(crate) fn held_out(&self) -> f64 {
        let drawn = self.toy().is_some() || self.data == "gaussian4";
        if self.hold_out >= 0.0 {
            self.hold_out
        } else if drawn {
            0.0
        } else {
            0.1
        }
    }

    /// The toy distribution of the data.
    pub(crate) fn toy(&self) -> Option<Toy> {
        toy_of(&self.data)
    }

    /// The toy distribution of the source, unless it is one of the [kinds](SourceKind).
    pub(crate) fn source_toy(&self) -> Option<Toy> {
        source_toy(&self.flow.source)
    }

    /// Writes the names of toy distributions with their parameters. Every run stores them so; a
    /// name without is of an older run (`older`), or of a user.
    pub(crate) fn with_parameters(mut self, older: bool) -> Self {
        let full = |toy: Option<Toy>, name: &str| {
            let toy = if older && toy.is_some() { Toy::of_older_runs(name) } else { toy };
            toy.map_or_else(|| name.to_owned(), |toy| toy.to_string())
        };
        self.data = full(self.toy(), &self.data);
        self.flow.source = full(self.source_toy(), &self.flow.source);
        self
    }

    /// Whether an older run wrote this: its names of toy distributions have no parameters.
    pub(crate) fn is_of_older_run(&self) -> bool {
        let older =
            |toy: Option<Toy>, name: &str| toy.is_some_and(|toy| !toy.parameters().is_empty()) && !name.contains(':');
        older(self.toy(), &self.data) || older(self.source_toy(), &self.flow.source)
    }

    /// The same files by absolute paths, so that the run can be used from any directory.
    pub(crate) fn with_absolute_paths(mut self) -> Self {
        for name in [&mut self.data, &mut self.flow.source] {
            if let Ok(TableSource::Csv(_) | TableSource::Npy(_)) = name.parse()
                && let Some(path) = std::path::absolute(&*name).ok().and_then(|path| path.to_str().map(str::to_owned))
            {
                *name = path;
            }
        }
        self
    }

    /// The network for the columns and classes of a table.
    pub(crate) fn model(&self, columns: &Columns) -> anyhow::Result<ModelConfig> {
        let series = columns.series.map(|s| [s.length as i64, s.channels as i64]);
        let network = self.network()?.config(columns.dim(), series, columns.classes.len(), self.label_drop > 0.0)?;
        let scored = self.flow.objective.prediction.score_weight().is_some();
        Ok(network.with_intervals(self.flow.task != TaskKind::Flow).with_score(scored)?)
    }

    /// # Errors
    /// An unknown activation.
    fn network(&self) -> anyhow::Result<TableNetwork> {
        let activation = (!self.activation.is_empty()).then(|| Activation::parse(&self.activation)).transpose()?;
        let (model, widths, layer, degree) = (self.model, self.widths.clone(), self.layer, self.degree);
        Ok(TableNetwork { model, widths, activation, layer, degree, heads: self.heads })
    }

    /// The trained source of a run, with its parameters in `store`: a student keeps that of its
    /// teacher, others train theirs.
    pub(crate) fn trained_source(&self, store: &nn::VarStore, dim: usize) -> Option<TrainedSource> {
        let trained = self.teacher.is_empty();
        self.trainable_source.then(|| TrainedSource::new(&store.root(), dim, self.source_scale, trained))
    }
}
