//! What several processes must agree on, here as threads of one: a step that one of them cannot
//! use, and the state that rank 0 hands out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::data::DataError;
use fm_core::objective::Objective;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::tape::Tape;
use fm_core::tensor::Role;
use fm_dist::ProcessGroup;
use fm_dist::place::Rendezvous;
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_run::process_group::{GeneratedShard, Group, ReduceIn};
use fm_train::TrainError;
use fm_train::batch::{Batch, BatchSource};
use fm_train::block::Packer;
use fm_train::callbacks::Callback;
use fm_train::checkpoint::{DataMeta, RunInfo};
use fm_train::collective::{Collective, Shard, SingleProcess};
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::record::LogRecord;
use fm_train::task::{FlowTask, FlowTraining, HostInputs, Inputs, LossOutput, Pack, PackContext, Task};
use fm_train::train::{TrainOptions, TrainState, train};
use fm_train::{Run, RunOptions, TrainerConfig};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tch::{Device, Kind, Tensor, nn};

const RANKS: usize = 2;

fn open(rank: usize, world_size: usize, port: u16) -> Arc<Group> {
    let (local_rank, master) = (rank, "127.0.0.1".into());
    let place = Rendezvous { rank, world_size, local_rank, master, port, restarts: 0, served: false, interface: None };
    Arc::new(Group::of(ProcessGroup::open(&place, Duration::from_secs(60)).unwrap()))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs something as each rank, and returns what it gives, by rank.
fn as_ranks<T: Send + 'static>(run: fn(&Arc<Group>) -> T) -> Vec<T> {
    let port = free_port();
    let start = |rank: usize| thread::spawn(move || run(&open(rank, RANKS, port)));
    let threads: Vec<_> = (0..RANKS).map(start).collect();
    threads.into_iter().map(|t| t.join().unwrap()).collect()
}

/// |w - 1|^2, which one rank cannot compute at some steps.
struct Fragile {
    weights: Tensor,
    rank: usize,
}

impl Task for Fragile {
    fn packer(&self) -> Box<dyn Pack + '_> {
        Box::new(RowOf(self.rank))
    }

    fn loss<'a>(&'a self, inputs: &Inputs, _: Range<usize>, _: &mut Tape<'a>) -> Result<LossOutput, TrainError> {
        let loss = (&self.weights - 1.0).square().sum(Kind::Float) / RANKS as f64;
        let broken = match (self.rank, inputs.step) {
            // Not a number on rank 1; a gradient without end on rank 0, whose loss is finite.
            (1, 3) => loss * f64::NAN,
            (0, 5) => loss + (&self.weights * 0.0).sqrt().sum(Kind::Float),
            _ => loss,
        };
        Ok(LossOutput { loss: broken, rows: None })
    }
}

/// One row for each rank, without values.
struct RowOf(usize);

impl Pack for RowOf {
    fn pack(&self, batch: &Batch, context: &PackContext<'_>) -> Result<HostInputs, TrainError> {
        let block = Packer::default().finish(context.device)?;
        Ok(HostInputs { step: batch.step, rows: self.0..self.0 + 1, whole: RANKS, coupling_gain: None, block })
    }
}

struct Nothing;

impl BatchSource for Nothing {
    fn batch(&self, _: u64) -> Result<Batch, DataError> {
        Ok(Batch::default())
    }
}

#[derive(Default)]
struct Log(Vec<LogRecord>);

impl Callback for Log {
    fn after_step(&mut self, _: &mut TrainState, record: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        self.0.extend(record.cloned());
        Ok(ControlFlow::Continue(()))
    }
}

fn state(start: f64) -> (TrainState, Tensor) {
    let store = nn::VarStore::new(Device::Cpu);
    let weights = store.root().var("w", &[3], nn::Init::Const(start));
    let params = FlatParams::new(&store, Precision::F32).unwrap();
    let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
    (TrainState::new(params, optimizer, &EmaConfig::of(0.9), 0), weights)
}

#[test]
fn a_step_that_one_rank_cannot_use_is_skipped_by_all() {
    let found = as_ranks(|group| {
        let (mut state, weights) = state(0.25);
        let task = Fragile { weights, rank: group.shard().rank };
        let options = TrainOptions {
            steps: 8,
            log_every: 1,
            workers: 0,
            collective: group.peers(ReduceIn::F32),
            ..TrainOptions::default()
        };
        let mut log = Log::default();
        train(&task, &Nothing, &mut state, &options, &mut log).unwrap();
        (Vec::<f32>::try_from(&state.params.master).unwrap(), log.0)
    });
    assert_eq!(found[0].0, found[1].0);
    for (_, records) in &found {
        let skipped: Vec<u64> = records.iter().map(|r| r.skipped).collect();
        assert_eq!(skipped, [0, 0, 0, 1, 1, 2, 2, 2]);
        // Both ranks' shares: 3 (1 - w)^2 at first.
        assert!((records[0].loss - 3.0 * 0.75f64.powi(2)).abs() < 1e-6, "{}", records[0].loss);
    }
    assert!(found[0].0[0] > 0.25);
}

#[test]
fn everyone_goes_on_from_the_state_of_rank_0_and_hears_what_it_has_made() {
    let found = as_ranks(|group| {
        let rank = group.shard().rank;
        let (mut state, _) = state(rank as f64);
        (state.step, state.ema.updates) = (7 + rank as u64, 5 + rank as u64);
        state.optimizer.mean.narrow(0, 0, 3).copy_(&(Tensor::from_slice(&[1.0f32, 2.0, 3.0]) * (1.0 + rank as f64)));
        let info = RunInfo {
            program: String::new(),
            path: String::new(),
            prediction: String::new(),
            data: DataMeta::default(),
            model: serde_json::Value::Null,
            log: String::new(),
            flow: None,
            config: serde_json::Value::Null,
        };
        group.share(&mut state, &info).unwrap();
        let told: (f64, Option<String>) = group.agree(|| Ok((f64::INFINITY, Some(format!("of rank {rank}"))))).unwrap();
        let made = GeneratedShard { values: vec![rank as f32; rank + 1], about: [rank as f64, 0.5] };
        let made = group.gather(made, 2).unwrap();
        let first = |flat: &Tensor| Vec::<f32>::try_from(flat.narrow(0, 0, 3)).unwrap();
        let (weights, mean) = (first(&state.params.master), first(&state.optimizer.mean));
        (state.step, state.ema.updates, weights, mean, told, made)
    });
    for (step, updates, weights, mean, told, made) in found {
        assert_eq!((step, updates, weights, mean), (7, 5, vec![0.0; 3], vec![1.0, 2.0, 3.0]));
        assert_eq!(told, (f64::INFINITY, Some("of rank 0".into())));
        let of = |rank: usize| GeneratedShard { values: vec![rank as f32; rank + 1], about: [rank as f64, 0.5] };
        assert_eq!(made, [of(0), of(1)]);
    }
}

/// On a GPU, where there is one and this was built with the feature `nccl`, the sums of the group
/// go through NCCL.
#[test]
fn a_group_of_one_trains_to_the_bits_of_the_plain_run() {
    let device = fm_run::device::select("auto").unwrap();
    let weights = |peers: Arc<dyn Collective>| {
        let store = nn::VarStore::new(device);
        let model = ModelConfig::Mlp(MlpConfig::default()).build(&store.root()).unwrap();
        for (at, (_, mut weight)) in BTreeMap::from_iter(store.variables()).into_iter().enumerate() {
            let drawn = normal_rows(Key::new(0, at as u64, Stream::Init), 1, weight.numel());
            tch::no_grad(|| weight.copy_(&(Tensor::from_slice(&drawn).reshape(weight.size()) * 0.1)));
        }
        let params = FlatParams::new(&store, Precision::F32).unwrap();
        let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |_| Role::Hidden);
        let mut state = TrainState::new(params, optimizer, &EmaConfig::of(0.9), 4);
        let table = Array2::from_shape_vec((100, 2), normal_rows(Key::new(0, 0, Stream::Data), 100, 2)).unwrap();
        let flow = FlowMatching::from(Objective { loss_aware_bins: 4, ..Objective::default() });
        let batches = flow.batches(&table, 32).unwrap();
        let options =
            TrainOptions { steps: 60, log_every: 20, micro_batch: 20, collective: peers, ..TrainOptions::default() };
        let mut log = Log::default();
        train(&FlowTask::new(model.as_ref(), &flow), &batches, &mut state, &options, &mut log).unwrap();
        (Vec::<f32>::try_from(state.params.master.to_device(Device::Cpu)).unwrap(), log.0)
    };
    let group = open(0, 1, free_port());
    group.use_device(device).unwrap();
    let through = group.peers(ReduceIn::F32);
    assert!(through.shard().is_whole() && !through.is_alone());
    let (plain, group) = (weights(Arc::new(SingleProcess)), weights(through));
    assert_eq!(plain, group);
}

/// A run of two processes in one directory: rank 0 writes, both end at the weights of the run of
/// one process, and a second call goes on.
#[test]
fn ranks_share_a_runs_directory() {
    let weights = |directory: &std::path::Path, steps: u64, collective: Arc<dyn Collective>| {
        let table = Array2::from_shape_vec((64, 2), normal_rows(Key::new(0, 0, Stream::Data), 64, 2)).unwrap();
        let store = nn::VarStore::new(Device::Cpu);
        let model = ModelConfig::Mlp(MlpConfig::default()).build(&store.root()).unwrap();
        for (at, (_, mut weight)) in BTreeMap::from_iter(store.variables()).into_iter().enumerate() {
            let drawn = normal_rows(Key::new(0, at as u64, Stream::Init), 1, weight.numel());
            tch::no_grad(|| weight.copy_(&(Tensor::from_slice(&drawn).reshape(weight.size()) * 0.1)));
        }
        let run = Run::open_shard(directory, &"moons", collective.shard()).unwrap();
        let trainer = TrainerConfig { collective, ..TrainerConfig::default() };
        let options = RunOptions { trainer, steps, log_every: 5, save_every: 10, ..RunOptions::default() };
        let run = run.options(options);
        let mut trainer = run.train(&FlowMatching::default(), model.as_ref(), &store, &table, &mut ()).unwrap();
        Vec::<f32>::try_from(&trainer.state_mut().params.master).unwrap()
    };
    let directory = tempfile::tempdir().unwrap();
    let alone = weights(&directory.path().join("alone"), 20, Arc::new(SingleProcess));
    let shared = directory.path().join("shared");
    for steps in [10, 20] {
        let port = free_port();
        let start = |rank: usize| {
            let shared = shared.clone();
            thread::spawn(move || weights(&shared, steps, open(rank, RANKS, port).peers(ReduceIn::F32)))
        };
        let threads: Vec<_> = (0..RANKS).map(start).collect();
        let found: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(found[0], found[1]);
        if steps == 20 {
            let far = alone.iter().zip(&found[0]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 1e-5, "{far}");
        }
    }
    let log = std::fs::read_to_string(shared.join("metrics.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 4, "{log}");
    let other = Run::open_shard(&shared, &"moons", Shard { rank: 1, count: 2 }).unwrap();
    let (store, table) = (nn::VarStore::new(Device::Cpu), Array2::<f32>::zeros((4, 2)));
    let model = ModelConfig::Mlp(MlpConfig::default()).build(&store.root()).unwrap();
    let error = other.train(&FlowMatching::default(), model.as_ref(), &store, &table, &mut ());
    let error = error.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("opened by process 1 of 2 and is trained by 0 of 1"), "{error}");
}
