//! The steps of a run without its files: prefetched batches, clipping, AdamW, EMA and metrics.

use crate::Failure;
use crate::networks::{dit, tiny, write_weights};
use crate::ranks::Timed;
use fm_core::FlowMatching;
use fm_core::data::{DataError, Dataset, Pick};
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::tape::Tape;
use fm_core::tensor::{VelocityModel, upload};
use fm_models::ModelConfig;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::mlp::MlpConfig;
use fm_models::unet::UNetConfig;
use fm_run::process_group::Group;
use fm_train::TrainError;
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::callbacks::Callback;
use fm_train::checkpoint::{self, DataMeta, RunInfo, Weights};
use fm_train::collective::{Collective, Shard};
use fm_train::device_dataset::DeviceDataset;
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision, Slot};
use fm_train::optimizer::{Optimizer, OptimizerConfig};
use fm_train::record::LogRecord;
use fm_train::schedule::{Decay, Schedule};
use fm_train::task::FlowTask;
use fm_train::train::{TrainOptions, TrainState, train};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tch::{Device, Tensor, nn};

/// The same network with the batch size and precision of a GPU.
const GPU_UNET: &str = "unet-35m-bf16";

/// Network and batch size by name.
fn case(name: &str) -> Result<(ModelConfig, usize), Failure> {
    let unet = UNetConfig { classes: 10, ..tiny() };
    Ok(match name {
        "mlp" => (ModelConfig::Mlp(MlpConfig { dim: 2, ..MlpConfig::default() }), 2048),
        "concat-squash" => {
            (ModelConfig::ConcatSquash(ConcatSquashConfig { dim: 4, ..ConcatSquashConfig::default() }), 1000)
        }
        "unet" => (ModelConfig::Unet(unet), 64),
        "unet-2m" => (ModelConfig::Unet(UNetConfig { channel_mult: vec![1., 2., 2., 2.], res_blocks: 2, ..unet }), 64),
        // The usual size for CIFAR-10, with a batch that a CPU can handle.
        "unet-35m" | GPU_UNET => (
            ModelConfig::Unet(UNetConfig {
                channels: 128,
                channel_mult: vec![1.0, 2.0, 2.0, 2.0],
                res_blocks: 2,
                attention_at: vec![2],
                head_channels: 64,
                ..unet
            }),
            if name == GPU_UNET { 128 } else { 8 },
        ),
        "dit" => (ModelConfig::Dit(dit()), 16),
        other => return Err(format!("unknown network {other}").into()),
    })
}

/// Writes the initial weights of image networks, for the peers.
///
/// # Errors
/// A folder that is not writable.
pub fn write_initial(dir: &Path) -> Result<(), Failure> {
    for name in ["unet-35m", "dit"] {
        let (config, _) = case(name)?;
        write_weights(&initial(&config)?, &config, &dir.join(format!("{name}.safetensors")))?;
    }
    Ok(())
}

/// The initial weights of a network.
fn initial(config: &ModelConfig) -> Result<nn::VarStore, Failure> {
    tch::manual_seed(0);
    let weights = nn::VarStore::new(Device::Cpu);
    let _model = config.build(&weights.root())?;
    Ok(weights)
}

/// Settings of a training.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The network.
    pub config: ModelConfig,
    /// Rows per batch.
    pub rows: usize,
    /// Precision of the network.
    pub precision: Precision,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// Gradient norm to clip at.
    pub clip: f64,
    /// Rows per pass through the network; 0 for the whole batch.
    pub micro_batch: usize,
    /// Whether activations are recomputed in the backward pass.
    pub checkpoint_activations: bool,
    /// Threads that make batches.
    pub workers: usize,
    /// Whether images are kept on the device, as `--data-on-device auto` does on a GPU.
    pub resident: bool,
}

impl Setup {
    /// The default settings of the programs.
    pub fn of(config: ModelConfig, rows: usize) -> Self {
        let (precision, optimizer) = (Precision::F32, OptimizerConfig::default());
        let (clip, micro_batch, workers) = (1.0, 0, 1);
        Self {
            config,
            rows,
            precision,
            optimizer,
            clip,
            micro_batch,
            checkpoint_activations: false,
            workers,
            resident: false,
        }
    }
}

/// Rows of a table, or random images of ten classes as bytes.
enum Rows {
    Table(Array2<f32>),
    Images { bytes: Vec<u8>, shape: Vec<usize> },
}

const IMAGES: usize = 2048;

impl Rows {
    fn images(shape: Vec<usize>) -> Self {
        let pixels = shape.iter().product();
        let noise = normal_rows(Key::new(0, 0, Stream::Data), IMAGES, pixels);
        Self::Images { bytes: noise.iter().map(|x| (127.5 + 60.0 * x) as u8).collect(), shape }
    }
}

impl Dataset for Rows {
    fn len(&self) -> usize {
        match self {
            Rows::Table(table) => table.nrows(),
            Rows::Images { .. } => IMAGES,
        }
    }

    fn dim(&self) -> usize {
        match self {
            Rows::Table(table) => table.ncols(),
            Rows::Images { shape, .. } => shape.iter().product(),
        }
    }

    fn shape(&self) -> Vec<usize> {
        match self {
            Rows::Table(table) => vec![table.ncols()],
            Rows::Images { shape, .. } => shape.clone(),
        }
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        match self {
            Rows::Table(table) => table.write(pick, out)?,
            Rows::Images { bytes, shape } => {
                let pixels = shape.iter().product::<usize>();
                let image = &bytes[pick.row * pixels..(pick.row + 1) * pixels];
                out.iter_mut().zip(image).for_each(|(to, from)| *to = f32::from(*from) * (2.0 / 255.0) - 1.0);
            }
        }
        Ok(())
    }

    fn class(&self, row: usize) -> Option<i64> {
        matches!(self, Rows::Images { .. }).then_some(row as i64 % 10)
    }
}

/// A network, its data, and its training state.
pub struct Steps {
    setup: Setup,
    rows: Rows,
    model: Box<dyn VelocityModel>,
    state: TrainState,
    peers: Arc<Timed>,
    device: Device,
    skipped: u64,
    _store: nn::VarStore,
}

/// The table of a network: a ring in the plane, or four correlated columns.
///
/// # Errors
/// No known errors.
pub fn tables() -> Result<[(&'static str, Array2<f32>); 2], Failure> {
    let z = |dim| Array2::from_shape_vec((10_000, dim), normal_rows(Key::new(0, 0, Stream::Data), 10_000, dim));
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

/// Stores the log.
#[derive(Default)]
struct Log(Vec<LogRecord>);

impl Callback for Log {
    fn after_step(&mut self, _: &mut TrainState, record: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        self.0.extend(record.cloned());
        Ok(ControlFlow::Continue(()))
    }
}

/// Shuffled batches, with classes if there are any.
fn batches<'a>(
    flow: &'a FlowMatching,
    data: &'a Rows,
    setup: &Setup,
    resident: bool,
    shard: Shard,
) -> Result<FlowBatches<'a>, Failure> {
    let options =
        BatchOptions { rows: setup.rows, conditional: setup.config.classes() > 0, resident, ..BatchOptions::default() };
    Ok(FlowBatches::new(flow, data, options)?.shared(shard))
}

impl Steps {
    /// A network by name, on a table of rows, or on random images for an image network.
    ///
    /// # Errors
    /// An unknown name.
    pub fn new(name: &str, table: Array2<f32>, group: &Arc<Group>, device: Device) -> Result<Self, Failure> {
        let (config, batch) = case(name)?;
        let weights = initial(&config)?;
        let setup = Setup::of(config, batch);
        let gpu = |setup| Setup { precision: Precision::Bf16, workers: 4, resident: true, ..setup };
        let setup = if name == GPU_UNET { gpu(setup) } else { setup };
        Self::on(setup, table, &weights, group, device)
    }

    /// Training of a copy of these weights.
    ///
    /// # Errors
    /// A configuration that cannot be built.
    pub fn on(
        setup: Setup,
        table: Array2<f32>,
        weights: &nn::VarStore,
        group: &Arc<Group>,
        device: Device,
    ) -> Result<Self, Failure> {
        let (config, optimizer) = (&setup.config, &setup.optimizer);
        let shape = config.data_shape();
        let is_table = shape.len() == 1;
        let rows =
            if is_table { Rows::Table(table) } else { Rows::images(shape.iter().map(|n| *n as usize).collect()) };
        let mut store = nn::VarStore::new(device);
        let model = config.build(&store.root())?;
        store.copy(weights)?;
        let key = |name: &str, shape: &[i64]| optimizer.key(name, config.role(name, shape));
        let params = FlatParams::sorted(&store, setup.precision, key)?;
        let role = |slot: &Slot| config.role(&slot.name, &slot.shape);
        let optimizer = Optimizer::new(&params.master, optimizer, &params.slots, role);
        let state = TrainState::new(params, optimizer, &EmaConfig::of(0.999), 0);
        let peers = Arc::new(Timed::new(group));
        Ok(Self { setup, rows, model, state, peers, device, skipped: 0, _store: store })
    }

    /// The weights, in host memory.
    pub fn weights(&self) -> BTreeMap<String, Tensor> {
        self.state.params.split(&self.state.params.master).into_iter().collect()
    }

    /// The moving average of the weights, in host memory.
    pub fn average(&self) -> BTreeMap<String, Tensor> {
        self.state.params.split(self.state.ema.weights()).into_iter().collect()
    }

    /// Number of skipped steps in the last call of [`train`](Self::train).
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Makes all following batches of a table NaN.
    pub fn poison(&mut self) {
        if let Rows::Table(table) = &mut self.rows {
            table.fill(f32::NAN);
        }
    }

    /// Writes a checkpoint below a directory and reads its weights back, in host memory.
    ///
    /// # Errors
    /// Errors of file operations.
    pub fn saved(&self, directory: &Path) -> Result<BTreeMap<String, Tensor>, Failure> {
        let info = RunInfo {
            program: "gpu-check".into(),
            path: "linear".into(),
            prediction: "velocity".into(),
            data: DataMeta::default(),
            model: serde_json::Value::Null,
            log: String::new(),
            flow: None,
            config: serde_json::Value::Null,
        };
        Ok(checkpoint::read_weights(&checkpoint::save(directory, &self.state, &info)?, Weights::Raw)?)
    }

    /// The time of some work and the part of it spent in sums over ranks, per step.
    ///
    /// # Errors
    /// The errors of the work.
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

    /// Makes this number of steps of a run, with one line in the log; returns the mean loss.
    ///
    /// # Errors
    /// The errors of training.
    pub fn train(&mut self, steps: u64) -> Result<f64, Failure> {
        let total = self.state.step + steps;
        let schedule = Schedule { lr: 1e-3, warmup_steps: 0, decay: Decay::Constant };
        let options = TrainOptions {
            steps: total,
            log_every: u64::MAX,
            schedule,
            collective: self.peers.clone(),
            clip: self.setup.clip,
            micro_batch: self.setup.micro_batch,
            checkpoint_activations: self.setup.checkpoint_activations,
            workers: self.setup.workers,
            ..TrainOptions::default()
        };
        let mut log = Log::default();
        let shape = self.setup.config.data_shape();
        let resident = match &self.rows {
            Rows::Images { bytes, .. } if self.setup.resident => {
                let sizes: Vec<usize> = shape.iter().map(|n| *n as usize).collect();
                let sizes = <[usize; 3]>::try_from(sizes).map_err(|_| "images have three dimensions")?;
                Some(DeviceDataset::new(bytes, sizes, 255, self.device)?)
            }
            _ => None,
        };
        let flow = FlowMatching::default();
        let batches = batches(&flow, &self.rows, &self.setup, resident.is_some(), self.peers.shard())?;
        let task = FlowTask { resident, ..FlowTask::new(self.model.as_ref(), &flow) };
        train(&task, &batches, &mut self.state, &options, &mut log)?;
        self.skipped = log.0.last().map_or(0, |record| record.skipped);
        Ok(log.0.last().map_or(f64::NAN, |record| record.loss))
    }

    /// Passes one batch repeatedly through the network and its loss, forwards and backwards,
    /// without anything else.
    ///
    /// # Errors
    /// The errors of making the batch.
    pub fn bare(&mut self, steps: u64) -> Result<f64, Failure> {
        let (rows, shape) = (self.setup.rows, self.setup.config.data_shape());
        let flow = FlowMatching::default();
        let mut all = batches(&flow, &self.rows, &self.setup, false, Shard::default())?;
        let batch = all.next().ok_or("there are batches without end")??;
        let x1 = upload(&batch.x1, &[&[rows as i64], shape.as_slice()].concat(), self.device);
        let t = upload(&vec![0.5; rows], &[rows as i64], self.device);
        let classes = (!batch.classes.is_empty()).then(|| Tensor::from_slice(&batch.classes).to_device(self.device));
        let mut last = Tensor::from(f64::NAN);
        for _ in 0..steps {
            let v = self.model.forward_t(&x1, &t, classes.as_ref(), true);
            let loss = (v - &x1).square().mean(tch::Kind::Float);
            let _gradient = self.state.params.backward(&loss, Tape::off())?;
            last = loss.detach();
        }
        Ok(last.double_value(&[]))
    }
}
