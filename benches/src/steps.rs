//! A run's steps without its files: batches from a worker thread, clipping, AdamW, the moving average, the log's sums.

use crate::Failure;
use crate::networks::tiny;
use crate::ranks::Timed;
use fm_app::group::Group;
use fm_core::data::{Dataset, Pick};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::rng::{Stream, normal_rows};
use fm_core::source::Source;
use fm_core::tape::Tape;
use fm_core::tensor::{VelocityModel, upload};
use fm_models::ModelConfig;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::mlp::MlpConfig;
use fm_models::unet::UNetConfig;
use fm_train::TrainError;
use fm_train::batch::BatchSource;
use fm_train::data::{BatchOptions, Batches};
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision};
use fm_train::observe::{Flow, Observer};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::pairing::Pairing;
use fm_train::peers::{Peers, Shard};
use fm_train::record::Record;
use fm_train::schedule::{Decay, Schedule};
use fm_train::task::FlowMatching;
use fm_train::train::{TrainOptions, TrainState, train};
use ndarray::Array2;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tch::{Device, Tensor, nn};

/// Network, batch, and the shape of a row by name.
fn case(name: &str) -> Result<(ModelConfig, usize, Vec<i64>), Failure> {
    let unet = UNetConfig { classes: 10, ..tiny() };
    Ok(match name {
        "mlp" => (ModelConfig::Mlp(MlpConfig { dim: 2, ..MlpConfig::default() }), 2048, vec![2]),
        "concat-squash" => {
            (ModelConfig::ConcatSquash(ConcatSquashConfig { dim: 4, ..ConcatSquashConfig::default() }), 1000, vec![4])
        }
        "unet" => (ModelConfig::Unet(unet), 64, vec![3, 32, 32]),
        "unet-2m" => (
            ModelConfig::Unet(UNetConfig { channel_mult: vec![1, 2, 2, 2], res_blocks: 2, ..unet }),
            64,
            vec![3, 32, 32],
        ),
        // The size that the field trains CIFAR-10 with, on a batch that a CPU can do.
        "unet-35m" => (
            ModelConfig::Unet(UNetConfig {
                channels: 128,
                channel_mult: vec![1, 2, 2, 2],
                res_blocks: 2,
                attention_at: vec![2],
                head_channels: 64,
                ..unet
            }),
            8,
            vec![3, 32, 32],
        ),
        other => return Err(format!("unknown network {other}").into()),
    })
}

/// Rows, or random images of ten classes as bytes.
enum Rows {
    Table(Array2<f32>),
    Images(Vec<u8>),
}

const IMAGES: usize = 2048;
const PIXELS: usize = 3072;

impl Dataset for Rows {
    fn len(&self) -> usize {
        match self {
            Rows::Table(table) => table.nrows(),
            Rows::Images(_) => IMAGES,
        }
    }

    fn dim(&self) -> usize {
        match self {
            Rows::Table(table) => table.ncols(),
            Rows::Images(_) => PIXELS,
        }
    }

    fn write(&self, pick: Pick, out: &mut [f32]) {
        match self {
            Rows::Table(table) => table.write(pick, out),
            Rows::Images(bytes) => {
                let image = &bytes[pick.row * PIXELS..(pick.row + 1) * PIXELS];
                out.iter_mut().zip(image).for_each(|(to, from)| *to = f32::from(*from) * (2.0 / 255.0) - 1.0);
            }
        }
    }

    fn class(&self, row: usize) -> Option<i64> {
        matches!(self, Rows::Images(_)).then_some(row as i64 % 10)
    }
}

/// A network, its data, and all that its training keeps.
pub struct Steps {
    rows: Rows,
    model: Box<dyn VelocityModel>,
    state: TrainState,
    batch: usize,
    shape: Vec<i64>,
    peers: Arc<Timed>,
    device: Device,
    _store: nn::VarStore,
}

/// Two sets of rows to train on, by the name of their network: a ring in the plane, and four correlated columns.
///
/// # Errors
/// None that is known of.
pub fn tables() -> Result<[(&'static str, Array2<f32>); 2], Failure> {
    let z = |dim| Array2::from_shape_vec((10_000, dim), normal_rows(0, 0, Stream::Data, 0, 10_000, dim));
    let mut ring = z(2)?;
    for mut row in ring.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    let mut mixed = z(4)?;
    for mut row in mixed.rows_mut() {
        for k in 1..4 {
            row[k] = 0.6 * row[k] + 0.8 * row[k - 1];
        }
    }
    Ok([("mlp", ring), ("concat-squash", mixed)])
}

/// Keeps the log.
#[derive(Default)]
struct Log(Vec<Record>);

impl Observer for Log {
    fn after_step(&mut self, _: &mut TrainState, record: Option<&Record>) -> Result<Flow, TrainError> {
        self.0.extend(record.cloned());
        Ok(Flow::Continue)
    }
}

/// Shuffled batches of so many rows, with their classes where there are any.
fn batches(data: &Rows, rows: usize, shard: Shard) -> Batches<'_> {
    let pairing = Pairing::new(Source::default(), None, 0, 1).shared(shard);
    let conditional = data.class(0).is_some();
    Batches::new(data, pairing, BatchOptions { rows, conditional, ..BatchOptions::default() })
}

impl Steps {
    /// A network by name, on a table of rows, or on random images where it takes images.
    ///
    /// # Errors
    /// An unknown name.
    pub fn new(name: &str, table: Array2<f32>, group: &Arc<Group>, device: Device) -> Result<Self, Failure> {
        let (config, batch, shape) = case(name)?;
        let rows = if name.starts_with("unet") {
            let noise = normal_rows(0, 0, Stream::Data, 0, IMAGES, PIXELS);
            Rows::Images(noise.iter().map(|x| (127.5 + 60.0 * x) as u8).collect())
        } else {
            Rows::Table(table)
        };
        tch::manual_seed(0);
        let store = nn::VarStore::new(device);
        let model = config.build(&store.root())?;
        let params = FlatParams::new(&store, Precision::F32)?;
        let optimizer = Optimizer::new(&params.master, &OptimizerConfig::default(), &params.slots, |slot| {
            config.role(&slot.name, &slot.shape)
        });
        let state = TrainState::new(params, optimizer, &EmaConfig::of(0.999), 0);
        let peers = Arc::new(Timed::new(group));
        Ok(Self { rows, model, state, batch, shape, peers, device, _store: store })
    }

    /// The time of some work, with the part of it spent in adding up, a step.
    ///
    /// # Errors
    /// Those of the work.
    pub fn timed(
        &mut self,
        steps: u64,
        work: impl FnOnce(&mut Self, u64) -> Result<f64, Failure>,
    ) -> Result<String, Failure> {
        let started = Instant::now();
        self.spent();
        let value = work(self, steps)?;
        let [seconds, exchange] = [started.elapsed(), self.spent()].map(|d| d.as_secs_f64() / steps as f64);
        Ok(format!(r#"{{"seconds": {seconds:e}, "exchange": {exchange:e}, "value": {value:e}}}"#))
    }

    fn spent(&self) -> Duration {
        std::mem::take(&mut *self.peers.spent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// So many steps of a run, logged once; the mean loss.
    ///
    /// # Errors
    /// Those of training.
    pub fn train(&mut self, steps: u64) -> Result<f64, Failure> {
        let total = self.state.step + steps;
        let schedule = Schedule { lr: 1e-3, warmup_steps: 0, decay: Decay::Constant, total_steps: total };
        let options = TrainOptions {
            steps: total,
            log_every: u64::MAX,
            schedule,
            peers: self.peers.clone(),
            ..TrainOptions::default()
        };
        let mut log = Log::default();
        let batches = batches(&self.rows, self.batch, self.peers.shard());
        let task = FlowMatching::new(self.model.as_ref(), Objective::on(PathKind::Linear), self.shape.clone());
        train(&task, &batches, &mut self.state, &options, &mut log)?;
        Ok(log.0.last().map_or(f64::NAN, |record| record.loss))
    }

    /// One batch, again and again: the network and its loss, forwards and back, and nothing else.
    ///
    /// # Errors
    /// Those of making the batch.
    pub fn bare(&mut self, steps: u64) -> Result<f64, Failure> {
        let batch = batches(&self.rows, self.batch, Shard::default()).batch(0)?;
        let x1 = upload(&batch.x1, &[&[self.batch as i64], self.shape.as_slice()].concat(), self.device);
        let t = upload(&vec![0.5; self.batch], &[self.batch as i64], self.device);
        let classes = (!batch.classes.is_empty()).then(|| Tensor::from_slice(&batch.classes).to_device(self.device));
        let mut value = 0.0;
        for _ in 0..steps {
            let v = self.model.forward_t(&x1, &t, classes.as_ref(), true);
            let loss = (v - &x1).square().mean(tch::Kind::Float);
            let _gradient = self.state.params.backward(&loss, Tape::off())?;
            value = loss.double_value(&[]);
        }
        Ok(value)
    }
}
