//! What every app lets users choose about the flow itself: objective, source and coupling, as flags and as configuration.

use crate::couplings::CouplingKind;
use clap::Args;
use fm_core::choice::Choice;
use fm_core::coupling::Coupling;
use fm_core::loss::{Loss, Reduction};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::rng::{self, Stream};
use fm_core::source::Source;
use fm_core::time::{Draw, TimeLaw};
use fm_core::weighting::Weighting;
use fm_train::batch::Batch;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// The part of a run's configuration that says what is learned, whatever the data and the network; apps flatten it into theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowConfig {
    /// A named source, or a data set; see [`crate::sources`].
    pub source: String,
    /// How source and data are paired.
    pub coupling: CouplingKind,
    /// Log the loss less what no network can avoid.
    pub excess_loss: bool,
    /// Path, prediction, weighting, loss and times.
    #[serde(flatten)]
    pub objective: Objective,
}

impl Default for FlowConfig {
    /// Rectified flow: noise to data along straight lines, paired as drawn.
    fn default() -> Self {
        Self {
            source: "gaussian".into(),
            coupling: CouplingKind::Independent,
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
    #[arg(long, value_name = "LAW", help = help::<TimeLaw>("Which times to train on"))]
    time: Option<TimeLaw>,
    #[arg(long, value_name = "HOW", help = help::<Draw>("How the rows of a batch share the times"))]
    time_draw: Option<Draw>,
    /// Keep times to [EPS, 1 - EPS], as singular paths and weightings need; sampling keeps off the same singular ends.
    #[arg(long, value_name = "EPS")]
    time_clip: Option<f64>,
    /// Weigh each row by 1 / p(t), so that the law of times changes the variance of the loss and not its meaning.
    #[arg(long, value_name = "BOOL")]
    importance: Option<bool>,
    /// Draw more of the times where the loss is large, in this many bins; 0 does not.
    #[arg(long, value_name = "BINS")]
    loss_aware: Option<usize>,
    #[arg(long, value_name = "HOW", help = help::<CouplingKind>("How noise and data are paired within a batch"))]
    coupling: Option<CouplingKind>,
    /// What flows to the data: gaussian, matched, sparse:rate=R, or a data set (whatever --data takes).
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Log the loss less the part that no network can avoid (independent coupling, gaussian source, mse, no classes).
    #[arg(long, value_name = "BOOL")]
    excess_loss: Option<bool>,
}

/// A help text that names every choice and its defaults.
fn help<C: Choice>(what: &str) -> String {
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
        set(&mut objective.times.law, &self.time);
        set(&mut objective.times.draw, &self.time_draw);
        set(&mut objective.times.clip, &self.time_clip);
        set(&mut objective.times.importance, &self.importance);
        set(&mut objective.loss_aware_bins, &self.loss_aware);
        set(&mut config.coupling, &self.coupling);
        set(&mut config.source, &self.source);
        set(&mut config.excess_loss, &self.excess_loss);
    }
}

impl FlowConfig {
    /// The configuration in a line.
    pub fn describe(&self) -> String {
        let o = &self.objective;
        let clip = if o.times.clip > 0.0 { format!(" clipped by {}", o.times.clip) } else { String::new() };
        format!(
            "{} on the {} path, {} times{clip}, {} weights; {} coupling from {}",
            o.prediction, o.path, o.times.law, o.weighting, self.coupling, self.source
        )
    }
}

/// Makes whole batches of data rows: draws the source and the path's noise, and pairs.
pub struct Pairing {
    source: Source,
    coupling: Box<dyn Coupling>,
    objective: Objective,
    seed: u64,
}

impl std::fmt::Debug for Pairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pairing").field("objective", &self.objective).field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Pairing {
    /// The pairing of a run.
    pub fn new(config: &FlowConfig, source: Source, seed: u64) -> Self {
        Self { source, coupling: config.coupling.build(), objective: config.objective.clone(), seed }
    }

    /// The batch of one step around its data rows, `dim` values each.
    ///
    /// # Errors
    /// Rows that cannot be paired.
    pub fn batch(&self, step: u64, x1: Vec<f32>, classes: Vec<i64>, dim: usize) -> Result<Batch, String> {
        let n = x1.len() / dim.max(1);
        let x0 = self.source.sample(self.seed, step, Stream::Noise, 0, n, dim);
        let view = |x| ArrayView2::from_shape((n, dim), x).map_err(|e| e.to_string());
        let mut draws = rng::stream(self.seed, step, Stream::Coupling, 0);
        let pairing = self.coupling.couple(view(&x0)?, view(&x1)?, &mut draws).map_err(|e| e.to_string())?;
        let noise = self.objective.path_noise(self.seed, step, n, dim);
        Ok(Batch { x0: pairing.gather(&x0, dim), x1, classes, noise })
    }
}
