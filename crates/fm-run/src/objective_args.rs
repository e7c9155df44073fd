//! Objective, source and coupling of a run, as configuration and as flags. A choice with parameters
//! is written `NAME:KEY=VALUE,...`.

use anyhow::ensure;
use fm_core::loss::{Loss, Reduction};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::time::{Draw, TimeKind};
use fm_core::weighting::Weighting;
use fm_ot::CouplingKind;
use fm_ot::cost::Metric;
use fm_ot::pairs::PairSampling;
use fm_train::flow_map::TaskKind;
use serde::{Deserialize, Serialize};

fm_cli::options! {
    /// Objective, source and coupling: by default rectified flow, straight paths from Gaussian
    /// noise to data with independent coupling.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct FlowConfig, flags FlowArgs {
        "Objective" {
            /// Learn a flow, or a flow map: split, shortcut, meanflow, imf or lsd.
            task: TaskKind = TaskKind::default(), arg(value_name = "TASK");
            @choice("How source rows are paired with data rows")
            coupling: CouplingKind = CouplingKind::Independent, arg(value_name = "HOW");
            @choice("Cost that optimal transport minimises")
            cost: Metric = Metric::default(), arg(value_name = "COST", hide = true);
            @choice("How pairs are taken from the transport plan")
            pairing: PairSampling = PairSampling::default(), arg(value_name = "HOW", hide = true);
            /// Steps whose rows share one transport plan; larger plans are closer to the true
            /// coupling.
            ot_batch: usize = 1, arg(value_name = "STEPS", hide = true);
            /// Source distribution: gaussian, matched, sparse:rate=R, or a data set, named as for
            /// --data.
            source: String = "gaussian".into(), arg(value_name = "SOURCE", hide = true);
            /// Also log the excess loss: the loss minus the smallest loss that a network can reach.
            /// Needs independent coupling, the gaussian source, the mse loss and no classes.
            excess_loss: bool = false, arg(value_name = "BOOL", hide = true);
        }
        flatten {
            /// Path, prediction, weighting, loss and times.
            objective: Objective, ObjectiveArgs = Objective::default();
        }
    }
}

fm_cli::options! {
    pub flags ObjectiveArgs of Objective {
        "Objective" {
            @choice("Path of x_t from source to data")
            path: PathKind, arg(value_name = "PATH");
            @choice("Network output")
            prediction: Prediction, arg(value_name = "WHAT");
            @choice("Weight of each time in the loss")
            weighting: Weighting, arg(value_name = "W");
            @choice("Loss of a row")
            loss: Loss, arg(value_name = "LOSS", hide = true);
            @choice("Reduction of the loss over the dimensions of a row")
            reduction: Reduction, arg(value_name = "HOW", hide = true);
            @choice("Distribution of training times")
            time: TimeKind, arg(value_name = "TIME");
            @choice("How the times of the rows of a batch are drawn")
            time_draw: Draw, arg(value_name = "HOW", hide = true);
            /// Restrict training times to [EPS, 1 - EPS], for objectives that are singular at an
            /// end; sampling keeps the same distance from singular ends.
            time_clip: f64, arg(value_name = "EPS", hide = true);
            /// Weight each row by 1 / p(t), so that the time distribution changes the variance of
            /// the loss but not its mean.
            importance: bool, arg(value_name = "BOOL", hide = true);
            /// Draw times with a large loss more often, using this number of time bins; the mean
            /// loss is unchanged, and 0 disables this.
            loss_aware: usize, arg(value_name = "BINS", hide = true);
        }
    }
}

impl FlowConfig {
    /// Fails if the task guides its target away from the prediction without a class, and none is
    /// trained.
    ///
    /// # Errors
    /// A guided task of a model whose labels are not dropped.
    pub fn ensure_guidable(&self, labels_dropped: bool) -> anyhow::Result<()> {
        ensure!(
            labels_dropped || !self.task.is_guided(),
            "the task guides its target by the model without a class, and no labels are dropped; give --label-drop 0.1 to a \
             class-conditional model, or omega=1,kappa=0"
        );
        Ok(())
    }

    /// The configuration in one line.
    pub fn describe(&self) -> String {
        let o = &self.objective;
        let clip = if o.times.clip > 0.0 { format!(" clipped by {}", o.times.clip) } else { String::new() };
        let task = if self.task == TaskKind::Flow { String::new() } else { format!("{}: ", self.task) };
        let of_batches = self.ot_batch > 1 && self.coupling.semidiscrete().is_none();
        let together = if of_batches { format!(" over {} batches", self.ot_batch) } else { String::new() };
        format!(
            "{task}{} on the {} path, {} times{clip}, {} weights; {} coupling{together} from {}",
            o.prediction, o.path, o.times.distribution, o.weighting, self.coupling, self.source
        )
    }
}
