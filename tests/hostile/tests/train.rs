//! Bad input to fm-train.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::data::Pick;
use fm_core::source::Source;
use fm_core::tensor::{ConditionKind, Role};
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_solvers::Sampler;
use fm_solvers::guidance::{Guidance, Guided};
use fm_train::batch::{Batch, BatchSource};
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::block::Packer;
use fm_train::callbacks::EarlyStopping;
use fm_train::checkpoint::{self, Weights};
use fm_train::collective::Shard;
use fm_train::device_dataset::DeviceDataset;
use fm_train::ema::{Ema, EmaConfig};
use fm_train::flat::{FlatParams, Precision};
use fm_train::loss_aware::LossAwareTimes;
use fm_train::optimizer::{Optimizer, OptimizerConfig, Rule, Scaling};
use fm_train::pairs::{PairSet, PairsAbout};
use fm_train::run_dir::{RunDir, latest_checkpoint};
use fm_train::schedule::{Decay, Schedule};
use fm_train::task::{FlowTask, FlowTraining, PackContext, Task};
use fm_train::tensorboard::EventWriter;
use fm_train::train::TrainOptions;
use fm_train::trainer::{Trainer, TrainerConfig};
use hostile::Calls;
use ndarray::Array2;
use std::collections::BTreeMap;
use std::fs;
use tch::{Device, Kind, Tensor, nn};

const NUMBERS: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1.0, f64::MAX, f64::MIN_POSITIVE];
const COUNTS: [usize; 4] = [0, 1, 3, usize::MAX];

fn network(store: &nn::VarStore) -> Box<dyn fm_core::tensor::VelocityModel> {
    let config = MlpConfig { dim: 2, widths: vec![4], ..MlpConfig::default() };
    ModelConfig::Mlp(config).build(&store.root()).unwrap()
}

#[test]
fn conditions() {
    let mut calls = Calls::new("fm-train, conditions");
    let flow = FlowMatching::default();
    let base = MlpConfig { dim: 2, widths: vec![4], ..MlpConfig::default() };
    for config in [
        base.clone(),
        MlpConfig { condition_dim: 3, ..base.clone() },
        MlpConfig { classes: 3, ..base.clone() },
        MlpConfig { classes: 3, null_class: true, ..base },
    ] {
        let store = nn::VarStore::new(Device::Cpu);
        let net = ModelConfig::Mlp(config.clone()).build(&store.root()).unwrap();
        let sampler = Sampler::euler(2);
        for scale in NUMBERS {
            let guidance = Guidance { scale, interval: (scale, 1.0) };
            for (rows, dim) in [(0, 0), (0, 3), (2, 0), (2, 2), (2, 3), (2, 4), (3, 1)] {
                let name = format!("sample_vectors of {rows} x {dim}, scale {scale}");
                let vectors = Array2::from_elem((rows, dim), 0.5);
                if dim as i64 != config.condition_dim {
                    calls.refuses(&name, || sampler.sample_vectors(&net, &flow, vectors.view(), guidance, 0));
                }
                calls.survives(&name, || sampler.sample_vectors(&net, &flow, vectors.view(), guidance, 0).is_ok());
                let bad = Array2::from_elem((rows.max(1), 3), f32::INFINITY);
                calls.refuses(&name, || sampler.sample_vectors(&net, &flow, bad.view(), guidance, 0));
            }
            for classes in [&[][..], &[0], &[2, 3], &[4], &[-1], &[i64::MAX, i64::MIN]] {
                let name = format!("sample_classes of {classes:?}, scale {scale}");
                calls.survives(&name, || sampler.sample_classes(&net, &flow, classes, guidance, 0).is_ok());
                let batch = Batch { shape: vec![2], x0: vec![0.0; 2 * classes.len()], ..Batch::default() };
                let batch = Batch { x1: batch.x0.clone(), classes: classes.to_vec(), ..batch };
                calls.survives("FlowMatching::loss", || flow.loss(&net, &batch).is_ok());
            }
        }
        for conditions in [Tensor::from(1i64), Tensor::zeros([2, 3, 1], (Kind::Float, Device::Cpu))] {
            let guided = Guided { model: &net, conditions, null_class: 0, scale: 2.0, interval: (0.0, 1.0) };
            calls.refuses("sample_guided", || sampler.sample_guided(&guided, &flow, 0));
        }
    }
    for count in [i64::MIN, -1, 0, 1, i64::MAX] {
        let kind = ConditionKind::Classes { count };
        calls.survives("check_classes", || kind.check_classes(&[i64::MIN, 0, i64::MAX]).map_err(|e| e.to_string()));
        calls.survives("check_vectors", || ConditionKind::Vectors { dim: count }.check_vectors(usize::MAX).is_ok());
    }
    calls.finish(600);
}

#[test]
fn settings() {
    let mut calls = Calls::new("fm-train, settings");
    for x in NUMBERS {
        let schedule = Schedule { lr: x, warmup_steps: 2, decay: Decay::Cosine };
        calls.survives("Schedule::validate", || schedule.validate());
        for step in [0, 1, u64::MAX] {
            calls.survives("Schedule::at", || schedule.at(step, 0));
        }
        let ema = EmaConfig { decays: vec![x], warmup: true, sigma_rel: vec![x] };
        calls.survives("EmaConfig::validate", || ema.validate());
        let weights = Tensor::from_slice(&[1f32]);
        calls.survives("Ema::update", || Ema::new(&weights, &ema).update(&weights));
        let options = TrainOptions { clip: x, ..TrainOptions::default() };
        calls.survives("TrainOptions::validate", || options.validate());
        calls.survives("EarlyStopping::new", || EarlyStopping::new("loss", 1, x).is_ok());
        let config = OptimizerConfig { weight_decay: x, ..OptimizerConfig::default() };
        calls.survives("OptimizerConfig::validate", || config.validate());
        let store = nn::VarStore::new(Device::Cpu);
        let _net = network(&store);
        for config in [
            TrainerConfig { lr: x, ..TrainerConfig::default() },
            TrainerConfig { ema_decay: Some(x), ..TrainerConfig::default() },
            TrainerConfig { max_grad_norm: Some(x), ..TrainerConfig::default() },
        ] {
            calls.survives("Trainer::new", || Trainer::new(&store, &config).is_ok());
        }
    }
    for name in ["", "los", "LOSS", "loss "] {
        calls.refuses("EarlyStopping::new", || EarlyStopping::new(name, 1, 0.0));
    }
    calls.refuses("EarlyStopping::new", || EarlyStopping::new("loss", 0, 0.0));
    for text in ["", "adamw:beta1=2", "muon:iterations=0", "muon:iterations=1e99", "sgd"] {
        calls.refuses("Rule", || text.parse::<Rule>());
    }
    calls.finish(105);
}

#[test]
fn batches() {
    let mut calls = Calls::new("fm-train, batches");
    for rows in COUNTS {
        for rank in COUNTS {
            for count in COUNTS {
                calls.survives("Shard::rows", || Shard { rank, count }.rows(rows));
            }
        }
    }
    let batch = Batch { x0: vec![0.0; 4], x1: vec![0.0; 4], classes: vec![1, 2], ..Batch::default() };
    for shape in [vec![], vec![0], vec![-1], vec![2], vec![i64::MAX], vec![i64::MAX, i64::MAX]] {
        calls.survives("Batch::rows", || Batch { shape: shape.clone(), ..batch.clone() }.rows());
        calls.survives("Batch::span", || Batch { first: usize::MAX, shape: shape.clone(), ..batch.clone() }.span());
    }
    for (start, end) in [(0, 0), (1, 0), (0, 5), (usize::MAX, usize::MAX), (0, usize::MAX)] {
        for whole in COUNTS {
            calls.survives("Batch::part", || batch.part(start..end, whole));
        }
    }
    let store = nn::VarStore::new(Device::Cpu);
    let net = network(&store);
    let (flow, context) = (FlowMatching::default(), PackContext::on(Device::Cpu));
    let task = FlowTask::new(net.as_ref(), &flow);
    let good = Batch { shape: vec![2], x0: vec![0.0; 4], x1: vec![0.0; 4], ..Batch::default() };
    for shape in [vec![], vec![0], vec![-1], vec![3], vec![i64::MAX], vec![2, i64::MAX]] {
        let batch = Batch { shape, ..good.clone() };
        calls.survives("FlowTask::pack", || task.packer().pack(&batch, &context).is_ok());
        calls.survives("FlowTask::batch_loss", || task.batch_loss(&batch).is_ok());
    }
    for bad in [
        Batch { x0: vec![0.0; 3], ..good.clone() },
        Batch { x1: vec![0.0; 3], ..good.clone() },
        Batch { classes: vec![0], ..good.clone() },
        Batch { conditions: vec![0.0; 3], ..good.clone() },
        Batch { classes: vec![0; 2], conditions: vec![0.0; 2], ..good.clone() },
        Batch { device_rows: vec![Pick { row: 0, mirrored: false }; 2], ..good.clone() },
        Batch { device_rows: vec![Pick { row: usize::MAX, mirrored: true }; 2], ..good.clone() },
    ] {
        calls.refuses("FlowTask::pack", || task.packer().pack(&bad, &context));
    }
    for (rows, cols) in [(0, 2), (3, 0), (3, 2), (1, 1)] {
        let table = Array2::<f32>::zeros((rows, cols));
        for batch_rows in [0, 1, 7] {
            for source in [Source::default(), Source::Rows(Array2::zeros((0, 0))), Source::Rows(Array2::zeros((2, 5)))]
            {
                let options = BatchOptions { rows: batch_rows, conditional: true, ..BatchOptions::default() };
                let flow = FlowMatching::default().source(source);
                calls.survives("FlowBatches::new", || FlowBatches::new(&flow, &table, options).is_ok());
            }
        }
    }
    let table = Array2::<f32>::zeros((6, 2));
    for steps in COUNTS {
        let flow = FlowMatching::default().coupled_steps(steps);
        calls.survives("coupled steps", || flow.batches(&table, 2).is_ok());
    }
    for step in [0, 1, u64::MAX - 5, u64::MAX] {
        let flow = FlowMatching::default().coupled_steps(2);
        calls.survives("FlowBatches::batch", || flow.batches(&table, 2).unwrap().batch(step).is_ok());
    }
    for (values, shape) in [(0, vec![1]), (3, vec![2]), (3, vec![-3]), (3, vec![i64::MAX, 2]), (1, vec![0])] {
        calls.refuses("Packer", || {
            let mut packer = Packer::default();
            packer.push("x", &vec![0f32; values], &shape);
            packer.finish(Device::Cpu)
        });
    }
    for (bytes, shape, levels) in
        [(3, [1, 1, 2], 255), (2, [0, 1, 2], 255), (2, [1, 1, 2], 0), (2, [usize::MAX, 2, 2], 255)]
    {
        calls.refuses("DeviceDataset::new", || DeviceDataset::new(&vec![0; bytes], shape, levels, Device::Cpu));
    }
    calls.finish(160);
}

#[test]
fn weights_and_updates() {
    let mut calls = Calls::new("fm-train, weights");
    let store = nn::VarStore::new(Device::Cpu);
    let _net = network(&store);
    let mut params = FlatParams::new(&store, Precision::F32).unwrap();
    let named: BTreeMap<String, Tensor> = params.split(&params.master).into_iter().collect();
    let copy = || named.iter().map(|(k, v)| (k.clone(), v.shallow_clone())).collect::<BTreeMap<_, _>>();
    for name in named.keys() {
        for shape in [vec![], vec![0], vec![1], vec![3, 3]] {
            let mut changed = copy();
            changed.insert(name.clone(), Tensor::zeros(&shape, (Kind::Float, Device::Cpu)));
            calls.refuses("FlatParams::join", || params.join(changed));
        }
    }
    calls.refuses("FlatParams::adopt", || params.adopt(BTreeMap::new()));
    for loss in [Tensor::from(1.0), Tensor::zeros([0], (Kind::Float, Device::Cpu))] {
        calls.refuses("FlatParams::backward", || params.backward(&loss, fm_core::tape::Tape::off()));
    }
    let empty = nn::VarStore::new(Device::Cpu);
    calls.survives("FlatParams::new", || FlatParams::new(&empty, Precision::Bf16).is_ok());
    for shape in [vec![], vec![1], vec![0], vec![2, 3], vec![2, 0]] {
        let store = nn::VarStore::new(Device::Cpu);
        let w = store.root().var("w", &shape, nn::Init::Const(1.0));
        for text in ["adamw", "adam", "muon"] {
            let optimizer = OptimizerConfig { rule: text.parse().unwrap(), ..OptimizerConfig::default() };
            let config = TrainerConfig { optimizer, ..TrainerConfig::default() };
            calls.survives(&format!("Trainer::step of {shape:?} by {text}"), || {
                let trainer = Trainer::with_roles(&store, &config, |_, _| Role::Hidden);
                trainer.and_then(|mut t| t.step(&w.sum(Kind::Float)))
            });
        }
    }
    let p = Tensor::from_slice(&[1f32, 2.0]);
    for gradient in [Tensor::from_slice(&[1f32]), Tensor::from(1.0), Tensor::zeros([0], (Kind::Float, Device::Cpu))] {
        let mut adam = Optimizer::of_one(&p, &OptimizerConfig::default());
        calls.refuses("Optimizer::step", || adam.step(&mut p.copy(), &gradient, 0.1, &Scaling::none(Device::Cpu)));
    }
    for bins in [0, 1, 1000] {
        let mut times = LossAwareTimes::new(bins, Device::Cpu);
        calls.survives("LossAwareTimes::adopt", || times.adopt());
        calls.refuses("LossAwareTimes::restore", || times.restore(&LossAwareTimes::new(3, Device::Cpu).save()));
    }
    calls.finish(35);
}

#[test]
fn files() {
    let mut calls = Calls::new("fm-train, files");
    let dir = tempfile::tempdir().unwrap();
    let texts = [
        "",
        "{",
        "{}",
        "null",
        "[]",
        "{\n}",
        "{\"format\": 6}",
        "{\n  \"sha256\": \"00\",\n  \"format\": 6\n}",
        "\0\0",
    ];
    for (k, text) in texts.into_iter().enumerate() {
        let checkpoint = dir.path().join(format!("run-{k}/checkpoints/step-1"));
        fs::create_dir_all(&checkpoint).unwrap();
        fs::write(checkpoint.join("meta.json"), text).unwrap();
        calls.refuses("read_meta", || checkpoint::read_meta(&checkpoint));
        calls.refuses("verify", || checkpoint::verify(&checkpoint));
        for which in [Weights::Ema, Weights::Raw, Weights::EmaOf(f64::NAN)] {
            calls.refuses("read_weights", || checkpoint::read_weights(&checkpoint, which));
        }
        calls.refuses("latest_checkpoint", || latest_checkpoint(&dir.path().join(format!("run-{k}"))));
        let pairs = dir.path().join(format!("pairs-{k}"));
        fs::create_dir_all(&pairs).unwrap();
        fs::write(pairs.join("pairs.json"), text).unwrap();
        calls.refuses("PairSet::open", || PairSet::open(&pairs));
        calls.refuses("PairsAbout::read", || PairsAbout::read(&pairs));
    }
    let missing = dir.path().join("missing");
    calls.refuses("PairSet::open", || PairSet::open(&missing));
    calls.refuses("latest_checkpoint", || latest_checkpoint(&missing));
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    calls.refuses("RunDir::open", || RunDir::open(&file));
    calls.refuses("EventWriter::create", || EventWriter::create(&file, f64::NAN, 0));
    for step in [0, i64::MAX as u64, u64::MAX] {
        for time in NUMBERS {
            calls.survives("EventWriter", || {
                let mut writer = EventWriter::create(&dir.path().join("events"), time, step).unwrap();
                writer.scalars(time, step, &[("", f64::NAN)])
            });
        }
    }
    let run = RunDir::open(&dir.path().join("run")).unwrap();
    fs::write(run.join("metrics.jsonl"), "{\"step\": -1}\nnot json\n{\"step\": 1e99}\n").unwrap();
    for step in [0, u64::MAX] {
        calls.survives("RunDir::rewind", || run.rewind("metrics.jsonl", step));
    }
    calls.survives("RunDir::prune", || run.prune(usize::MAX));
    calls.finish(100);
}
