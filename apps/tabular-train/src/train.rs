//! `tabular-train train`.

use crate::args::TrainArgs;
use crate::config::Config;
use crate::sample::{Drawer, pairs};
use crate::table::{Columns, open_source, read};
use anyhow::Context;
use fm_app::group::Group;
use fm_app::job::Job;
use fm_app::pictures::scatter;
use fm_app::sampler::Sampler;
use fm_app::solvers::SolverName;
use fm_app::sources::irreducible;
use fm_app::watch::Cadence;
use fm_core::rng::{Stream, torch_seed};
use fm_core::source::deviation;
use fm_train::checkpoint::{DataMeta, RunInfo};
use fm_train::data::{BatchOptions, Batches};
use fm_train::flat::Precision;
use fm_train::run_dir::latest_checkpoint;
use fm_train::task::FlowMatching;
use fm_train::train::{TrainOptions, TrainState};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use std::rc::Rc;
use tch::nn;

/// What a checkpoint of this app remembers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) run: Config,
    pub(crate) columns: Columns,
}

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    Group::run(&args.group, |group| {
        // A program that was started anew goes on with what it has left behind.
        let resume = args.resume || group.restarted() && latest_checkpoint(&args.out).is_ok();
        let (config, resume) = group.agree(|| Ok((Config::resolve(args, resume)?, resume)))?;
        train(group, config, resume, args)
    })
}

fn train(group: &Rc<Group>, mut config: Config, resume: bool, args: &TrainArgs) -> anyhow::Result<ExitCode> {
    config.validate()?;
    let device = fm_app::device::select(&args.device)?;
    group.use_device(device)?;
    let table = read(&config.data, config.rows, config.seed)?;
    let (dim, columns) = (table.ncols(), Columns::of(&table));
    let mut standardised = table.clone();
    columns.standardise(&mut standardised);
    let source = open_source(&mut config, &columns, || deviation(standardised.iter().map(|x| f64::from(*x))))?;
    let objective = config.flow.objective.clone();
    objective.validate(&source)?;
    // Better now than after the training.
    objective.span().context("a network trained so could not be sampled")?;
    let pairing = config.flow.pairing(source.clone(), config.seed, false)?.shared(group.shard());
    let how = BatchOptions { seed: config.seed, rows: config.batch_size, ..BatchOptions::default() };
    let batches = Batches::new(&standardised, pairing, how);
    tch::manual_seed(torch_seed(config.seed, 0, Stream::Init));
    let store = nn::VarStore::new(device);
    let network = config.model(dim);
    let model = network.build(&store.root())?;
    let processes = group.describe(config.batch_size)?;
    if group.is_first() {
        println!("data      {}: {} rows of {dim} columns, standardised", config.data, table.nrows());
        println!("model     {}, {} parameters, on {device:?}", config.model, fm_models::parameter_count(&store));
        println!("learning  {}", config.flow.describe());
        println!("training  {} steps of {} rows, into {}", config.steps, config.batch_size, args.out.display());
        processes.iter().for_each(|line| println!("{line}"));
    }
    let least = group.agree(|| {
        let least = irreducible(&config.flow, &source, || standardised.clone(), false, config.seed)?;
        if let Some(least) = &least {
            println!(
                "least     loss {:.5} +- {:.5}: what the field that knows every row would have",
                least.value, least.standard_error
            );
        }
        Ok(least.map(|least| least.value))
    })?;

    let bins = objective.loss_aware_bins;
    let state = config.learning.state(&store, &network, Precision::F32, bins);
    let saved = Saved { run: config.clone(), columns: columns.clone() };
    let job = Job {
        out: args.out.clone(),
        resume,
        config_toml: toml::to_string(&config).context("cannot write the configuration as TOML")?,
        info: RunInfo {
            program: format!("tabular-train {}", env!("CARGO_PKG_VERSION")),
            path: objective.path.to_string(),
            prediction: objective.prediction.to_string(),
            data: DataMeta {
                shape: vec![dim as i64],
                normalisation: "(x - mean) / deviation, column by column".into(),
                ..DataMeta::default()
            },
            model: serde_json::to_value(&network)?,
            config: serde_json::to_value(&saved)?,
        },
        files: Vec::new(),
        options: TrainOptions {
            steps: config.steps,
            workers: 1,
            log_every: config.log_every,
            clip: config.learning.clip,
            schedule: config.learning.schedule(config.steps),
            seed: config.seed,
            micro_batch: config.learning.micro_batch_size,
            patience: config.learning.non_finite_patience,
            checkpoint_activations: false,
            irreducible: least,
            peers: group.peers(config.learning.reduce_in),
            ..TrainOptions::default()
        },
        cadence: Cadence {
            save_every: args.save_every,
            keep: 3,
            sample_every: if dim == 2 { args.sample_every } else { 0 },
        },
        batch_size: config.batch_size,
        learning: config.learning.clone(),
    };
    let shown = pairs(table.as_slice().unwrap_or_default());
    let drawer = Drawer { model: model.as_ref(), device, objective: &objective, source: &source, columns: &columns };
    let picture = Box::new(|state: &mut TrainState| {
        let sampler = Sampler::fixed(SolverName::Euler, 50);
        state.params.bind(Some(state.ema.weights()));
        let drawn = drawer.draw(&sampler, 2000, config.seed);
        state.params.bind(None);
        let path = args.out.join("samples").join(format!("step-{}.png", state.step));
        let sets = [("data", shown[..shown.len().min(2000)].to_vec()), ("samples", pairs(&drawn?.values))];
        scatter(&path, &format!("{} after {} steps", config.data, state.step), &sets)
    });
    let task = FlowMatching::new(model.as_ref(), objective.clone(), vec![dim as i64]);
    job.run(group, &task, &batches, state, picture)
}
