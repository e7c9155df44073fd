//! What every app lets users choose about the flow itself: objective, source and coupling, as flags and as configuration.

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

/// The part of a run's configuration that says what is learned, whatever the data and the network; apps flatten it into theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowConfig {
    /// A named source, or a data set; see [`crate::sources`].
    pub source: String,
    /// How source and data are paired.
    pub coupling: CouplingKind,
    /// What optimal transport minimises.
    #[serde(default)]
    pub cost: Metric,
    /// How pairs are taken from its plan.
    #[serde(default)]
    pub pairing: PairSampling,
    /// Steps whose rows are paired together.
    #[serde(default = "one")]
    pub ot_batch: usize,
    /// Log the loss less what no network can avoid.
    pub excess_loss: bool,
    /// Path, prediction, weighting, loss and times.
    #[serde(flatten)]
    pub objective: Objective,
}

fn one() -> usize {
    1
}

impl Default for FlowConfig {
    /// Rectified flow: noise to data along straight lines, paired as drawn.
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

/// The flags over it. A choice with parameters is written NAME:KEY=VALUE,...
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What is learned")]
pub struct FlowArgs {
    #[arg(long, value_name = "PATH", help = help::<PathKind>("Where x_t is between source and data"))]
    path: Option<PathKind>,
    #[arg(long, value_name = "WHAT", help = help::<Prediction>("What the network predicts"))]
    prediction: Option<Prediction>,
    #[arg(long, value_name = "W", help = help::<Weighting>("How much each time counts in the loss"))]
    weighting: Option<Weighting>,
    #[arg(long, value_name = "LOSS", help = help::<Loss>("The loss of a row"))]
    loss: Option<Loss>,
    #[arg(long, value_name = "HOW", help = help::<Reduction>("How the dimensions of a row add up"))]
    reduction: Option<Reduction>,
    #[arg(long, value_name = "TIME", help = help::<TimeKind>("Distribution of training times"))]
    time: Option<TimeKind>,
    #[arg(long, value_name = "HOW", help = help::<Draw>("How the rows of a batch share the times"))]
    time_draw: Option<Draw>,
    /// Keep times to [EPS, 1 - EPS], as singular paths and weightings need; sampling keeps off the same singular ends.
    #[arg(long, value_name = "EPS")]
    time_clip: Option<f64>,
    /// Weigh each row by 1 / p(t), so that the distribution of times changes the variance of the loss and not its expectation.
    #[arg(long, value_name = "BOOL")]
    importance: Option<bool>,
    /// Draw more of the times where the loss is large, in this many bins; 0 does not.
    #[arg(long, value_name = "BINS")]
    loss_aware: Option<usize>,
    #[arg(long, value_name = "HOW", help = help::<CouplingKind>("How noise and data are paired"))]
    coupling: Option<CouplingKind>,
    #[arg(long, value_name = "COST", help = help::<Metric>("What optimal transport minimises"))]
    cost: Option<Metric>,
    #[arg(long, value_name = "HOW", help = help::<PairSampling>("How pairs are taken from its plan"))]
    pairing: Option<PairSampling>,
    /// Steps whose rows are paired by one OT plan; larger plans are closer to the true coupling.
    #[arg(long, value_name = "STEPS")]
    ot_batch: Option<usize>,
    /// What flows to the data: gaussian, matched, sparse:rate=R, or a data set (whatever --data takes).
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Log the loss less the part that no network can avoid (independent coupling, gaussian source, mse, no classes).
    #[arg(long, value_name = "BOOL")]
    excess_loss: Option<bool>,
}

/// A help text that names every choice and its defaults.
pub fn help<C: Choice>(what: &str) -> String {
    let written = |e: &'static fm_core::choice::Entry| C::parse(e.name()).map_or(e.name().into(), |c| c.to_string());
    format!("{what}: {}", C::TABLE.iter().map(written).collect::<Vec<_>>().join(", "))
}

/// Puts a flag, where it was given, into its place.
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
    /// The configuration in a line.
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
