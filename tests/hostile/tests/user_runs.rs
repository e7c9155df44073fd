//! Bad input to runs, held-out losses, epochs, callbacks and files of fm-train, and data sets of a
//! user that are wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::budget::limits;
use fm_core::data::{Augment, DataError, Dataset, Pick};
use fm_core::tensor::{BuildModel, VelocityModel};
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::batch::BatchSource;
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::block::Packer;
use fm_train::callbacks::{self, Callback, EarlyStopping, Progress};
use fm_train::checkpoint::Weights;
use fm_train::collective::Shard;
use fm_train::epoch::EpochLength;
use fm_train::flat::{FlatParams, Precision};
use fm_train::held_out::{HeldOut, HeldOutOptions};
use fm_train::loss_aware::LossAwareTimes;
use fm_train::record::LogRecord;
use fm_train::run_dir::{RunDir, holds_checkpoints, is_run};
use fm_train::trained_source::{SourceScale, TrainedSource};
use fm_train::{Run, RunOptions, TrainerConfig, files, fingerprint};
use hostile::Calls;
use ndarray::Array2;
use std::fs;
use std::io::Write;
use tch::{Device, Kind, Tensor, nn};

const COUNTS: [u64; 5] = [0, 1, 3, u64::MAX - 1, u64::MAX];
const NUMBERS: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1.0, f64::MAX, f64::MIN_POSITIVE];
const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// What is wrong with a data set.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Fails,
    Panics,
    NotFinite,
    NoColumns,
    Huge,
    HugeRows,
    LiesAboutClass,
    OtherShape,
}

impl Dataset for Wrong {
    fn len(&self) -> usize {
        if matches!(self, Self::Huge) { usize::MAX } else { 5 }
    }

    fn dim(&self) -> usize {
        match self {
            Self::NoColumns => 0,
            Self::HugeRows => usize::MAX,
            _ => 2,
        }
    }

    fn shape(&self) -> Vec<usize> {
        if matches!(self, Self::OtherShape) { vec![3, usize::MAX] } else { vec![self.dim()] }
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        match self {
            Self::Fails => return Err("a\nb".repeat(1000).into()),
            Self::Panics => out[pick.row + 1000] = 0.0,
            Self::NotFinite => out.fill(f32::NAN),
            _ => out.fill(1.0),
        }
        Ok(())
    }

    fn class(&self, _: usize) -> Option<i64> {
        matches!(self, Self::LiesAboutClass).then_some(i64::MIN)
    }
}

const WRONG: [Wrong; 8] = [
    Wrong::Fails,
    Wrong::Panics,
    Wrong::NotFinite,
    Wrong::NoColumns,
    Wrong::Huge,
    Wrong::HugeRows,
    Wrong::LiesAboutClass,
    Wrong::OtherShape,
];

fn config() -> MlpConfig {
    MlpConfig { widths: vec![4], classes: 3, null_class: true, ..MlpConfig::default() }
}

fn network() -> (nn::VarStore, Box<dyn VelocityModel>) {
    let store = nn::VarStore::new(Device::Cpu);
    let net = config().build(&store.root()).unwrap();
    (store, net)
}

#[test]
fn data_sets_of_a_user() {
    let mut calls = Calls::new("data sets of a user");
    let flow = FlowMatching::default();
    for data in WRONG {
        let name = format!("{data:?}");
        for conditional in [false, true] {
            let (store, net) = network();
            let batches = BatchOptions { rows: 4, conditional, ..BatchOptions::default() };
            calls.survives(&name, || {
                FlowBatches::new(&flow, &data, batches.clone()).map(|mut b| b.next().is_some_and(|b| b.is_ok())).is_ok()
            });
            let options = HeldOutOptions { conditional, least: 8, ..HeldOutOptions::default() };
            calls.survives(&name, || {
                HeldOut::new(&flow, &data, &options).map(|h| h.loss(net.as_ref(), None).is_ok()).is_ok()
            });
            for workers in [0, 2] {
                let directory = tempfile::tempdir().unwrap();
                let options =
                    RunOptions { steps: 3, log_every: 1, batches: batches.clone(), workers, ..RunOptions::default() };
                let run = Run::open(directory.path(), &config()).unwrap().options(options);
                let train = || run.train(&flow, net.as_ref(), &store, &data, &mut ()).map(|t| t.skipped());
                match data {
                    Wrong::Fails | Wrong::Panics | Wrong::NoColumns | Wrong::HugeRows | Wrong::OtherShape => {
                        calls.refuses(&name, train);
                    }
                    _ => drop(calls.survives(&name, || train().map_err(|e| e.to_string()))),
                }
            }
        }
        calls.survives(&name, || fingerprint::fingerprint(&data).map_err(|e| e.to_string()));
    }
    calls.finish(60);
}

struct Ruins;

impl Augment for Ruins {
    fn apply(&self, row: &mut [f32], _: &mut dyn rand::RngCore) {
        row.fill(f32::NAN);
    }
}

#[test]
fn runs() {
    let mut calls = Calls::new("runs");
    let (flow, data) = (FlowMatching::default(), Array2::<f32>::ones((5, 2)));
    for (k, options) in [
        RunOptions { steps: 0, ..RunOptions::default() },
        RunOptions { steps: 2, log_every: 0, ..RunOptions::default() },
        RunOptions { steps: 2, save_every: u64::MAX, keep: usize::MAX, ..RunOptions::default() },
        RunOptions { steps: 2, workers: usize::MAX, ..RunOptions::default() },
        RunOptions { steps: 2, batches: BatchOptions { rows: 0, ..BatchOptions::default() }, ..RunOptions::default() },
        RunOptions {
            steps: 2,
            batches: BatchOptions { rows: usize::MAX, ..BatchOptions::default() },
            ..RunOptions::default()
        },
        RunOptions {
            steps: 2,
            batches: BatchOptions { rows: 4, dropped: Some((i64::MIN, f64::NAN)), ..BatchOptions::default() },
            ..RunOptions::default()
        },
        RunOptions {
            steps: 2,
            trainer: TrainerConfig { lr: f64::NAN, ..TrainerConfig::default() },
            ..RunOptions::default()
        },
        RunOptions {
            steps: 2,
            trainer: TrainerConfig { warmup_steps: u64::MAX, ema_decay: None, ..TrainerConfig::default() },
            ..RunOptions::default()
        },
    ]
    .into_iter()
    .enumerate()
    {
        let (directory, (store, net)) = (tempfile::tempdir().unwrap(), network());
        let run = Run::open(directory.path(), &config()).unwrap().options(options);
        calls.refuses(&format!("Run::load {k}"), || run.load());
        let name = format!("Run::train {k}");
        calls.survives(&name, || {
            run.train(&flow, net.as_ref(), &store, &data, &mut ()).map(|t| t.skipped()).map_err(|e| e.to_string())
        });
        calls.survives("Run::load", || run.load().is_ok());
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (store, net) = network();
    for (rank, count) in [(1, 0), (0, 0), (5, 2), (usize::MAX, usize::MAX)] {
        let shard = Shard { rank, count };
        calls.survives("Run::open_shard", || {
            let run = Run::open_shard(at("shared"), &1, shard)?;
            run.train(&flow, net.as_ref(), &store, &data, &mut ()).map(|t| t.skipped())
        });
        calls.survives("Shard::is_whole", || shard.is_whole());
        let of_shard = || {
            FlowBatches::new(&flow, &data, BatchOptions { rows: 4, ..BatchOptions::default() }).unwrap().shared(shard)
        };
        calls.survives("FlowBatches::shared", || of_shard().batch(u64::MAX).is_ok());
    }
    // A configuration without JSON, and one that builds no network.
    calls.refuses("Run::open", || Run::open(at("nan"), &std::collections::BTreeMap::from([((1, 2), 3)])));
    calls.refuses("Run::model", || Run::model::<ModelConfig>(at("missing")));
    calls.refuses("Run::load_weights", || Run::load_weights(at("missing"), &store, Weights::EmaOf(f64::NAN)));
    calls.refuses("Run::config", || Run::config::<MlpConfig>(at("missing")));
    let batches = FlowBatches::new(&flow, &data, BatchOptions { rows: 4, ..BatchOptions::default() }).unwrap();
    calls.survives("augmented", || batches.augmented(&Ruins).unwrap().batch(0).is_ok());
    // Held-out losses.
    for rows in [0, 1, usize::MAX] {
        for least in [0, 1, 1 << 20, usize::MAX] {
            let options = HeldOutOptions { rows, least, conditional: false };
            let name = format!("HeldOut of {rows} rows, at least {least}");
            if least > 1 << 30 {
                calls.refuses(&name, || HeldOut::new(&flow, &data, &options));
            } else {
                calls.survives(&name, || HeldOut::new(&flow, &Array2::zeros((3, 0)), &options).is_ok());
            }
        }
    }
    let held_out = HeldOut::new(&flow, &data, &HeldOutOptions { least: 5, ..HeldOutOptions::default() }).unwrap();
    let other = MlpConfig { dim: 3, ..config() }.build(&nn::VarStore::new(Device::Cpu).root()).unwrap();
    calls.refuses("HeldOut::loss", || held_out.loss(other.as_ref(), None));
    let trained = |dim| {
        let store = nn::VarStore::new(Device::Cpu);
        TrainedSource::new(&store.root(), dim, SourceScale::of_older_runs(), true)
    };
    for dim in [0, 1, 3] {
        calls.refuses(&format!("trained source of {dim}"), || held_out.loss(net.as_ref(), Some(&trained(dim))));
    }
    calls.panics("TrainedSource::new", "", || trained(usize::MAX));
    calls.finish(50);
}

#[test]
fn sources_weights_and_blocks() {
    let mut calls = Calls::new("sources, weights and blocks");
    let store = nn::VarStore::new(Device::Cpu);
    let source = TrainedSource::new(&store.root(), 2, SourceScale::SoftplusVariance, false);
    let (other, _) = network();
    let mut params = FlatParams::sorted(&other, Precision::F32, |name, _| name.len()).unwrap();
    let (before, long) = (params.master.copy(), params.master.numel() as i64);
    for shape in [vec![], vec![0], vec![2], vec![3, 1], vec![3, 3], vec![1, 2, 2], vec![long + 1]] {
        let x = Tensor::ones(&shape, FLOAT);
        calls.panics(&format!("transform of {shape:?}"), "2 values per row", || source.transform(&x));
        calls.panics(&format!("log_density of {shape:?}"), "2 values per row", || source.log_density(&x));
        calls.panics(&format!("set_master {shape:?}"), "values", || params.set_master(&x));
        calls.panics(&format!("bind {shape:?}"), "values", || params.bind(Some(&x)));
        let mut times = LossAwareTimes::new(4, Device::Cpu);
        calls.panics(&format!("LossAwareTimes::add {shape:?}"), "", || times.see(&x, &Tensor::ones([5], FLOAT)));
    }
    calls.survives("rows", || source.transform(&Tensor::ones([0, 2], FLOAT)).size());
    assert!(params.master.equal(&before));
    params.bind(None);
    calls.survives("FlatParams", || (params.device(), params.refresh()));
    for (values, shape) in [(0, vec![1]), (3, vec![2]), (3, vec![-3]), (3, vec![i64::MAX, 2]), (1, vec![0])] {
        calls.refuses("Packer", || {
            let mut packer = Packer::default();
            packer.push_bools("x", &vec![true; values], &shape);
            packer.finish(Device::Cpu)
        });
    }
    let mut packer = Packer::default();
    packer.push_bools("x", &[true, false], &[2]);
    let block = packer.finish(Device::Cpu).unwrap().upload(Device::Cpu);
    calls.survives("Block::get", || (block.get("y").is_none(), block.get("x").map(|x| x.size())));
    calls.finish(40);
}

/// A stream that cannot be written.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn epochs_callbacks_and_files() {
    let mut calls = Calls::new("epochs, callbacks and files");
    for rows in COUNTS {
        for batch in COUNTS {
            let Some(epoch) = EpochLength::new(rows, batch) else { continue };
            for step in COUNTS {
                calls.survives("EpochLength", || (epoch.passes(step), epoch.ends_with(step), epoch.total(step)));
            }
            for epochs in NUMBERS {
                calls.survives("EpochLength::interval", || epoch.interval(epochs));
            }
        }
        for every in COUNTS {
            calls.survives("is_due", || callbacks::is_due(rows, every, u64::MAX));
        }
    }
    let line =
        |loss: f64| LogRecord { loss, ..serde_json::from_str(r#"{"step":1,"loss":0,"grad_norm":1,"lr":1}"#).unwrap() };
    for loss in NUMBERS {
        let mut stop = EarlyStopping::new("loss", u64::MAX, f64::MAX).unwrap();
        calls.survives("EarlyStopping", || [(); 3].map(|()| stop.is_over(&line(loss))));
        calls.survives("Progress", || Progress::to(Closed).write(&line(loss)));
        let mut progress = Progress::to(Vec::new());
        calls.survives("replay", || callbacks::replay(&[line(loss), line(0.0)], u64::MAX, &mut progress));
        let mut none: Vec<Box<dyn Callback>> = vec![];
        calls.survives("replay", || callbacks::replay(&[], 0, &mut none));
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), "x").unwrap();
    fs::create_dir(at("folder")).unwrap();
    let long = "x".repeat(300);
    for name in ["file/inner", "missing/inner", long.as_str(), "a\0b"] {
        calls.refuses("files::write", || files::write(&at(name), b"x"));
        calls.refuses("files::write_plain", || files::write_plain(&at(name), b"x"));
        calls.refuses("files::publish", || files::publish(&at(name), |path| files::write_plain(path, b"x")));
        calls.refuses("files::sync", || files::sync(&at(name)));
        calls.refuses("files::read_plain", || files::read_plain(&at(name), &limits::WEIGHTS));
        calls.survives("is_run", || (is_run(&at(name)), holds_checkpoints(&at(name))));
        calls.survives("RunDir::refuse_foreign", || RunDir::refuse_foreign(&at(name)).map_err(|e| e.to_string()));
        calls.survives("RunDir::refuse_used", || RunDir::refuse_used(&at(name)).map_err(|e| e.to_string()));
        let run = RunDir::of_group(&at(name));
        calls.survives("RunDir::begin", || run.begin().map_err(|e| e.to_string()));
        calls.refuses("RunDir::append", || run.append("log", &1));
        calls.survives("RunDir::sync", || run.sync(&["log", ""]).map_err(|e| e.to_string()));
        calls.survives("RunDir::digest", || run.digest("log").map_err(|e| e.to_string()));
        calls.survives("RunDir::rewind_as", || {
            run.rewind_as::<LogRecord>("log", 0).map(|(lines, _)| lines.len()).map_err(|e| e.to_string())
        });
        calls.survives("RunDir::retain", || run.retain(0).map_err(|e| e.to_string()).map(|kept| kept.len()));
    }
    calls.refuses("files::write_plain", || files::write_plain(&at("file"), b"x"));
    calls.refuses("files::read_plain", || files::read_plain(&at("folder"), &limits::LOG));
    calls.refuses("files::read_known", || files::read_known(&at("file"), 0));
    calls.refuses("files::open_plain", || files::open_plain(&at("folder"), fs::OpenOptions::new().read(true)));
    calls.refuses("files::publish", || files::publish(&directory.path().join("folder/.."), |_| Ok(())));
    calls.finish(250);
}
