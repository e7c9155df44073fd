//! The named experiments: docs/experiments.md has their results.

use crate::config::Config;
use anyhow::bail;
use fm_app::couplings::CouplingKind;
use fm_app::models::TableModel;
use fm_app::objective_args::FlowConfig;
use fm_app::optimizer_args::LearningConfig;
use fm_app::preprocess::Preprocess;
use fm_core::objective::Objective;
use fm_core::prediction::Prediction;
use fm_core::time::Times;
use fm_core::weighting::Weighting;
use fm_train::optimizer::{DecayOn, OptimizerConfig};
use fm_train::schedule::Decay;

/// Their names.
const NAMES: [&str; 4] = ["gaussian4", "spiral", "transport", "genes"];

pub(crate) fn preset(name: &str) -> anyhow::Result<Config> {
    let base = Config::default();
    Ok(match name {
        // A normal distribution of four correlated columns, by a network of width 4, as diffrax's example of continuous normalising flows has it.
        "gaussian4" => Config {
            data: "gaussian4".into(),
            preprocess: Preprocess::None,
            model: TableModel::ConcatSquash,
            widths: vec![4; 3],
            steps: 7000,
            batch_size: 1000,
            log_every: 100,
            learning: LearningConfig {
                lr: 1e-3,
                warmup_steps: 0,
                decay: Decay::Constant,
                clip: f64::INFINITY,
                ema_decay: vec![0.99],
                optimizer: OptimizerConfig { weight_decay: 0.1, decay_on: DecayOn::All, ..OptimizerConfig::default() },
                ..base.learning
            },
            ..base
        },
        "spiral" => Config {
            data: "spiral".into(),
            preprocess: Preprocess::None,
            rows: 100_000,
            steps: 10_000,
            batch_size: 2048,
            learning: LearningConfig { lr: 8e-3, decay: Decay::Cosine, ..base.learning },
            ..base
        },
        // Data to data.
        "transport" => Config {
            data: "moons".into(),
            preprocess: Preprocess::None,
            batch_size: 512,
            flow: FlowConfig { source: "8gaussians".into(), coupling: CouplingKind::Exact, ..base.flow },
            ..base
        },
        "genes" => Config {
            data: "genes".into(),
            labels: "cell_type".into(),
            preprocess: Preprocess::Counts,
            widths: vec![512; 3],
            steps: 2500,
            batch_size: 256,
            // The mean of cells given a noisy one has few directions, and a network as narrow as this can say it; their velocity it cannot.
            flow: FlowConfig {
                objective: Objective {
                    prediction: Prediction::Data,
                    weighting: Weighting::MinSnr { gamma: 5.0 },
                    times: Times { clip: 0.01, ..Times::default() },
                    ..base.flow.objective
                },
                ..base.flow
            },
            learning: LearningConfig { lr: 1e-3, ..base.learning },
            ..base
        },
        other => {
            let nearest = fm_app::cli::nearest(other, NAMES).unwrap_or("spiral");
            bail!("no preset is called '{other}'; did you mean {nearest}? There are {}", NAMES.join(", "))
        }
    })
}
