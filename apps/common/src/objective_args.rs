//! Objective, source and coupling of a run, as flags and as configuration.

use crate::couplings::CouplingKind;
use clap::Args;
use fm_core::choice::Choice;
use fm_core::loss::{Loss, Reduction};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::time::{Draw, TimeKind};
use fm_core::weighting::Weighting;
use fm_ot::cost::Metric;
use fm_ot::pairs::PairSampling;
use serde::{Deserialize, Serialize};

/// Objective, source and coupling in a run's configuration; the programs flatten it into theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowConfig {
    /// A named source, or a data set; see [`crate::sources`].
    pub source: String,
    /// How source rows are paired with data rows.
    pub coupling: CouplingKind,
    /// The cost that optimal transport minimises.
    #[serde(default)]
    pub cost: Metric,
    /// How pairs are taken from the transport plan.
    #[serde(default)]
    pub pairing: PairSampling,
    /// Steps whose rows share one transport plan.
    #[serde(default = "one")]
    pub ot_batch: usize,
    /// Whether to log the excess loss: the loss minus the smallest loss that a network can reach.
    pub excess_loss: bool,
    /// Path, prediction, weighting, loss and times.
    #[serde(flatten)]
    pub objective: Objective,
}

fn one() -> usize {
    1
}

impl Default for FlowConfig {
    /// Rectified flow: straight paths from Gaussian noise to data, with independent coupling.
    fn default() -> Self {
        Self {
            source: "gaussian".into(),
            coupling: CouplingKind::Independent,
            cost: Metric::default(),
            pairing: PairSampling::default(),
            ot_batch: 1,
            excess_loss: false,
            objective: Objective::default(),
        }
    }
}

/// The flags over a [`FlowConfig`]. A choice with parameters is written `NAME:KEY=VALUE,...`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Objective")]
pub struct FlowArgs {
    #[arg(long, value_name = "PATH", help = help::<PathKind>("Path of x_t from source to data"))]
    path: Option<PathKind>,
    #[arg(long, value_name = "WHAT", help = help::<Prediction>("Quantity that the network predicts"))]
    prediction: Option<Prediction>,
    #[arg(long, value_name = "W", help = help::<Weighting>("Weight of each time in the loss"))]
    weighting: Option<Weighting>,
    #[arg(long, value_name = "LOSS", help = help::<Loss>("Loss of a row"))]
    loss: Option<Loss>,
    #[arg(long, value_name = "HOW", help = help::<Reduction>("Reduction of the loss over the dimensions of a row"))]
    reduction: Option<Reduction>,
    #[arg(long, value_name = "TIME", help = help::<TimeKind>("Distribution of training times"))]
    time: Option<TimeKind>,
    #[arg(long, value_name = "HOW", help = help::<Draw>("How the times of the rows of a batch are drawn"))]
    time_draw: Option<Draw>,
    /// Restrict training times to [EPS, 1 - EPS], for objectives that are singular at an end;
    /// sampling keeps the same distance from singular ends.
    #[arg(long, value_name = "EPS")]
    time_clip: Option<f64>,
    /// Weight each row by 1 / p(t), so that the time distribution changes the variance of the loss
    /// but not its mean.
    #[arg(long, value_name = "BOOL")]
    importance: Option<bool>,
    /// Draw times with a large loss more often, using this number of time bins; the mean loss is
    /// unchanged, and 0 disables this.
    #[arg(long, value_name = "BINS")]
    loss_aware: Option<usize>,
    #[arg(long, value_name = "HOW", help = help::<CouplingKind>("How source rows are paired with data rows"))]
    coupling: Option<CouplingKind>,
    #[arg(long, value_name = "COST", help = help::<Metric>("Cost that optimal transport minimises"))]
    cost: Option<Metric>,
    #[arg(long, value_name = "HOW", help = help::<PairSampling>("How pairs are taken from the transport plan"))]
    pairing: Option<PairSampling>,
    /// Steps whose rows share one transport plan; larger plans are closer to the true coupling.
    #[arg(long, value_name = "STEPS")]
    ot_batch: Option<usize>,
    /// Source distribution: gaussian, matched, sparse:rate=R, or a data set, named as for --data.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Also log the excess loss: the loss minus the smallest loss that a network can reach. Needs
    /// independent coupling, the gaussian source, the mse loss and no classes.
    #[arg(long, value_name = "BOOL")]
    excess_loss: Option<bool>,
}

/// A help text that lists all options of a choice with their default parameters.
pub fn help<C: Choice>(what: &str) -> String {
    let written = |e: &'static fm_core::choice::Entry| C::parse(e.name()).map_or(e.name().into(), |c| c.to_string());
    format!("{what}: {}", C::TABLE.iter().map(written).collect::<Vec<_>>().join(", "))
}

/// Overrides a setting if its flag is given.
pub fn set<T: Clone>(slot: &mut T, flag: &Option<T>) {
    if let Some(value) = flag {
        *slot = value.clone();
    }
}

impl FlowArgs {
    /// Lays the flags over a configuration.
    pub fn apply(&self, config: &mut FlowConfig) {
        let objective = &mut config.objective;
        set(&mut objective.path, &self.path);
        set(&mut objective.prediction, &self.prediction);
        set(&mut objective.weighting, &self.weighting);
        set(&mut objective.loss, &self.loss);
        set(&mut objective.reduction, &self.reduction);
        set(&mut objective.times.distribution, &self.time);
        set(&mut objective.times.draw, &self.time_draw);
        set(&mut objective.times.clip, &self.time_clip);
        set(&mut objective.times.importance, &self.importance);
        set(&mut objective.loss_aware_bins, &self.loss_aware);
        set(&mut config.coupling, &self.coupling);
        set(&mut config.cost, &self.cost);
        set(&mut config.pairing, &self.pairing);
        set(&mut config.ot_batch, &self.ot_batch);
        set(&mut config.source, &self.source);
        set(&mut config.excess_loss, &self.excess_loss);
    }
}

impl FlowConfig {
    /// The configuration in one line.
    pub fn describe(&self) -> String {
        let o = &self.objective;
        let clip = if o.times.clip > 0.0 { format!(" clipped by {}", o.times.clip) } else { String::new() };
        let together = if self.ot_batch > 1 { format!(" over {} batches", self.ot_batch) } else { String::new() };
        format!(
            "{} on the {} path, {} times{clip}, {} weights; {} coupling{together} from {}",
            o.prediction, o.path, o.times.distribution, o.weighting, self.coupling, self.source
        )
    }
}
