//! `tabular-train train`.

use crate::args::{Config, TrainArgs};
use crate::sample::{draw, pairs};
use crate::table::{Columns, TableBatches, open};
use anyhow::Context;
use fm_app::job::Job;
use fm_app::pictures::scatter;
use fm_app::sampler::{Sampler, SolverName};
use fm_app::watch::Cadence;
use fm_core::path::{Linear, ProbPath};
use fm_core::rng::{Stream, torch_seed};
use fm_models::ModelConfig;
use fm_train::adamw::AdamWConfig;
use fm_train::checkpoint::{DataMeta, RunInfo};
use fm_train::flat::{FlatParams, Precision};
use fm_train::run_dir::latest_checkpoint;
use fm_train::schedule::{Decay, Schedule};
use fm_train::train::{TrainOptions, TrainState};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use tch::nn;

/// What a checkpoint of this app remembers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) run: Config,
    pub(crate) columns: Columns,
}

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let config = configure(args)?;
    config.validate()?;
    let device = fm_app::device::select(&args.device)?;
    let (table, columns) = open(&config)?;
    let dim = table.ncols();
    tch::manual_seed(torch_seed(config.seed, 0, Stream::Init));
    let store = nn::VarStore::new(device);
    let network = ModelConfig::Mlp(config.model(dim));
    let model = network.build(&store.root())?;
    println!("data      {}: {} rows of {dim} columns, standardised", config.data, table.nrows());
    println!("model     MLP, {} parameters, on {device:?}", fm_models::parameter_count(&store));
    println!(
        "training  {} steps of {} rows, {:?} coupling, into {}",
        config.steps,
        config.batch_size,
        config.coupling,
        args.out.display()
    );

    let state = TrainState::new(FlatParams::new(&store, Precision::F32), AdamWConfig::default(), 0.999);
    let saved = Saved { run: config.clone(), columns: columns.clone() };
    let job = Job {
        out: args.out.clone(),
        resume: args.resume,
        config_toml: toml::to_string(&saved).context("cannot write the configuration as TOML")?,
        info: RunInfo {
            program: format!("tabular-train {}", env!("CARGO_PKG_VERSION")),
            path: Linear.name().into(),
            data: DataMeta {
                shape: vec![dim as i64],
                normalisation: "(x - mean) / deviation, column by column".into(),
                ..DataMeta::default()
            },
            model: serde_json::to_value(&network)?,
            config: serde_json::to_value(&saved)?,
        },
        options: TrainOptions {
            shape: vec![dim as i64],
            steps: config.steps,
            workers: 1,
            log_every: 50,
            clip: 1.0,
            schedule: Schedule { lr: config.lr, warmup_steps: 100, decay: Decay::Cosine, total_steps: config.steps },
            seed: config.seed,
        },
        cadence: Cadence {
            save_every: args.save_every,
            keep: 3,
            sample_every: if dim == 2 { args.sample_every } else { 0 },
        },
        batch_size: config.batch_size,
    };
    let shown = pairs(table.as_slice().unwrap_or_default());
    let source = TableBatches::new(table, &columns, &config);
    let picture = Box::new(|state: &mut TrainState| {
        let sampler = Sampler::fixed(SolverName::Euler, 50);
        state.params.bind(Some(&state.ema.weights));
        let drawn = draw(model.as_ref(), device, &sampler, (2000, dim), config.seed, &columns);
        state.params.bind(None);
        let path = args.out.join("samples").join(format!("step-{}.png", state.step));
        let sets = [("data", shown[..shown.len().min(2000)].to_vec()), ("samples", pairs(&drawn?.0))];
        scatter(&path, &format!("{} after {} steps", config.data, state.step), &sets)
    });
    job.run(model.as_ref(), &source, state, picture)
}

/// The flags, or on --resume the configuration of the run; the number of steps may be given anew.
fn configure(args: &TrainArgs) -> anyhow::Result<Config> {
    let base = if args.resume {
        let (path, meta, _) = latest_checkpoint(&args.out).context("there is nothing to resume")?;
        let saved: Saved = serde_json::from_value(meta.config)
            .with_context(|| format!("{} was not written by tabular-train", path.display()))?;
        saved.run
    } else {
        args.config.clone()
    };
    Ok(Config { steps: args.steps.unwrap_or(base.steps), ..base })
}
