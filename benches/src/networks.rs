//! Networks for the benches: weights in a format that peers can read, a batch, and passes over it.

use crate::Failure;
use fm_core::objective::Objective;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::tape::Tape;
use fm_core::tensor::{VelocityModel, upload};
use fm_models::ModelConfig;
use fm_models::dit::DitConfig;
use fm_models::embedding::TimeEmbedding;
use fm_models::interchange::{self, About};
use fm_models::unet::UNetConfig;
use fm_solvers::guidance::{Field, Guided, Unconditional};
use fm_solvers::sampler::Sampler;
use fm_solvers::sampler::SolverName;
use fm_train::flat::{FlatParams, Precision};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor, nn, no_grad};

/// The networks that are compared with peers.
pub const NAMES: [&str; 3] = ["tiny", "cifar10", "dit"];

/// A network and its number of rows per batch.
fn case(name: &str) -> Result<(ModelConfig, i64), Failure> {
    Ok(match name {
        "tiny" => (ModelConfig::Unet(tiny()), 16),
        "cifar10" => (ModelConfig::Unet(UNetConfig { dropout: 0.0, ..UNetConfig::default() }), 8),
        "dit" => (ModelConfig::Dit(dit()), 16),
        other => return Err(format!("unknown network {other}; there is {}", NAMES.join(", ")).into()),
    })
}

/// The small U-Net of all benches.
pub(crate) fn tiny() -> UNetConfig {
    UNetConfig {
        channels: 32,
        channel_mult: vec![1.0, 2.0, 2.0],
        res_blocks: 1,
        attention_at: vec![4],
        head_channels: 32,
        dropout: 0.0,
        ..UNetConfig::default()
    }
}

/// The transformer of all benches.
pub(crate) fn dit() -> DitConfig {
    let sizes = DitConfig { width: 384, depth: 6, heads: 6, classes: 10, null_class: true, ..DitConfig::default() };
    DitConfig { time: TimeEmbedding::default(), ..sizes }
}

/// Writes random weights of each network, including those that are initialised to zero.
///
/// # Errors
/// A folder that is not writable.
pub fn make(dir: &Path) -> Result<(), Failure> {
    for name in NAMES {
        let (config, _) = case(name)?;
        write_weights(&random_weights(&config)?, &config, &dir.join(format!("{name}.safetensors")))?;
    }
    Ok(())
}

/// Random weights of a network in host memory, including those that are initialised to zero, so
/// that every gradient is non-zero.
///
/// # Errors
/// A configuration that cannot be built.
pub fn random_weights(config: &ModelConfig) -> Result<nn::VarStore, Failure> {
    tch::manual_seed(0);
    let store = nn::VarStore::new(Device::Cpu);
    let _model = config.build(&store.root())?;
    for mut p in store.trainable_variables() {
        let fan_in = p.size().iter().skip(1).product::<i64>().max(64) as f64;
        no_grad(|| p += p.randn_like() * (0.3 / fan_in.sqrt()));
    }
    Ok(store)
}

/// Writes weights as a safetensors file.
///
/// # Errors
/// A file that is not writable.
pub fn write_weights(store: &nn::VarStore, config: &ModelConfig, path: &Path) -> Result<(), Failure> {
    let about = About { model: Some(config.clone()), ..About::default() };
    Ok(std::fs::write(path, interchange::safetensors(&interchange::named(store), &about)?)?)
}

/// Results of a network for a fixed batch, in host memory and f64.
pub struct Computed {
    /// The output.
    pub output: Tensor,
    /// The gradient of sum(output * weights), by parameter name.
    pub gradient: BTreeMap<String, Tensor>,
}

/// The results in f64 on the CPU by plain autograd: a reference that shares no code with flat
/// parameters, fused networks or devices.
///
/// # Errors
/// A configuration that cannot be built.
pub fn reference(config: &ModelConfig, weights: &nn::VarStore, rows: i64) -> Result<Computed, Failure> {
    let mut store = nn::VarStore::new(Device::Cpu);
    let model = config.build(&store.root())?;
    store.copy(weights)?;
    store.double();
    let [x, loss_weights] = inputs(config, rows, Device::Cpu).map(|t| t.to_kind(Kind::Double));
    let (t, classes) = times_and_classes(config, &x);
    let output = model.forward_t(&x, &t, classes.as_ref(), true).to_kind(Kind::Double);
    let loss = (&output * loss_weights).sum(Kind::Double);
    let named: Vec<(String, Tensor)> = store.variables().into_iter().filter(|(_, v)| v.requires_grad()).collect();
    let leaves: Vec<&Tensor> = named.iter().map(|(_, v)| v).collect();
    let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
    let gradient = named.iter().map(|(name, _)| name.clone()).zip(gradients).collect();
    Ok(Computed { output: output.detach(), gradient })
}

/// A network with a batch.
pub struct Network {
    params: FlatParams,
    model: Box<dyn VelocityModel>,
    x: Tensor,
    t: Tensor,
    classes: Option<Tensor>,
    weights: Tensor,
    _store: nn::VarStore,
}

impl Network {
    /// A network with weights from a folder; its batch is written there for the peers. `size`
    /// replaces the default rows and precision.
    ///
    /// # Errors
    /// An unknown name, weights that cannot be read.
    pub fn load(dir: &Path, name: &str, device: Device, size: Option<(i64, Precision)>) -> Result<Self, Failure> {
        let (config, rows) = case(name)?;
        let (rows, precision) = size.unwrap_or((rows, Precision::F32));
        let store = nn::VarStore::new(device);
        let model = config.build(&store.root())?;
        let weights = interchange::read(&dir.join(format!("{name}.safetensors")), None)?;
        interchange::load(&store, config.kind(), &weights.tensors)?;
        let inputs = inputs(&config, rows, device);
        for (key, tensor) in ["x", "weights"].iter().zip(&inputs) {
            tensor.to_device(Device::Cpu).write_npy(dir.join(format!("{name}-{key}.npy")))?;
        }
        Self::of(&config, store, model, inputs, precision)
    }

    /// A network with a copy of these weights, and a batch of `rows` rows.
    ///
    /// # Errors
    /// A configuration that cannot be built.
    pub fn copy_of(
        config: &ModelConfig,
        weights: &nn::VarStore,
        rows: i64,
        device: Device,
        precision: Precision,
    ) -> Result<Self, Failure> {
        let mut store = nn::VarStore::new(device);
        let model = config.build(&store.root())?;
        store.copy(weights)?;
        let inputs = inputs(config, rows, device);
        Self::of(config, store, model, inputs, precision)
    }

    /// A named network with its initial weights.
    ///
    /// # Errors
    /// An unknown name.
    pub fn fresh(name: &str, device: Device) -> Result<Self, Failure> {
        let (config, rows) = case(name)?;
        Self::build(&config, rows, device)
    }

    /// The small U-Net in another size.
    ///
    /// # Errors
    /// An invalid size.
    pub fn unet(channels: i64, side: i64, rows: i64, device: Device) -> Result<Self, Failure> {
        Self::build(&ModelConfig::Unet(UNetConfig { channels, image_size: [side, side], ..tiny() }), rows, device)
    }

    fn build(config: &ModelConfig, rows: i64, device: Device) -> Result<Self, Failure> {
        let store = nn::VarStore::new(device);
        let model = config.build(&store.root())?;
        let inputs = inputs(config, rows, device);
        Self::of(config, store, model, inputs, Precision::F32)
    }

    fn of(
        config: &ModelConfig,
        store: nn::VarStore,
        model: Box<dyn VelocityModel>,
        [x, weights]: [Tensor; 2],
        precision: Precision,
    ) -> Result<Self, Failure> {
        let (t, classes) = times_and_classes(config, &x);
        let params = FlatParams::new(&store, precision)?;
        Ok(Self { params, model, x, t, classes, weights, _store: store })
    }

    /// The network.
    pub fn model(&self) -> &dyn VelocityModel {
        self.model.as_ref()
    }

    /// The output for the batch, and the gradient of [`train`](Self::train)'s loss.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn computed(&mut self) -> Result<Computed, Failure> {
        let double = |t: &Tensor| t.detach().to_device(Device::Cpu).to_kind(Kind::Double);
        let v = self.model.forward_t(&self.x, &self.t, self.classes.as_ref(), true);
        let output = double(&v);
        let loss = (v * &self.weights).sum(Kind::Float);
        let flat = self.params.backward(&loss, Tape::off())?;
        let gradient = self.params.split(&flat).into_iter().map(|(name, g)| (name, double(&g))).collect();
        Ok(Computed { output, gradient })
    }

    /// One forward and backward pass, as in a training step; returns the loss.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn train(&mut self) -> Result<f64, Failure> {
        self.trains(1)
    }

    /// Several such passes, with one read from the device at the end.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn trains(&mut self, passes: usize) -> Result<f64, Failure> {
        let mut last = Tensor::from(f64::NAN);
        for _ in 0..passes {
            let v = self.model.forward_t(&self.x, &self.t, self.classes.as_ref(), true);
            let loss = (v * &self.weights).sum(Kind::Float);
            let _gradient = self.params.backward(&loss, Tape::off())?;
            last = loss.detach();
        }
        Ok(last.double_value(&[]))
    }

    /// One forward pass, at a time that all samples share; returns the mean absolute output.
    pub fn infer(&self) -> f64 {
        self.infers(1)
    }

    /// Several such passes, with one read from the device at the end.
    pub fn infers(&self, passes: usize) -> f64 {
        let t = Tensor::from_slice(&[0.3f32]).to_device(self.x.device());
        let mut last = Tensor::from(f64::NAN);
        for _ in 0..passes {
            last = no_grad(|| self.model.forward_t(&self.x, &t, self.classes.as_ref(), false));
        }
        last.abs().mean(Kind::Float).double_value(&[])
    }

    /// Integrates the batch to samples with Euler steps, like `cifar-train sample`; returns their
    /// mean absolute value.
    ///
    /// # Errors
    /// An error of the sampler.
    pub fn sample(&self, steps: usize) -> Result<f64, Failure> {
        let model = self.model.as_ref();
        let field = match &self.classes {
            None => Field::Unconditional(Unconditional(model)),
            Some(classes) => {
                let conditions = classes.shallow_clone();
                Field::Conditional(Guided { model, conditions, null_class: 0, scale: 1.0, interval: (0.0, 1.0) })
            }
        };
        let (sampler, no_noise) = (Sampler::fixed(SolverName::Euler, steps), |_| self.x.zeros_like());
        let drawn = sampler.run(&field, &Objective::default(), self.x.copy(), no_noise, false)?;
        Ok(drawn.x.abs().mean(Kind::Float).double_value(&[]))
    }
}

/// Times spread over [0, 1], and a class for each row if the network has classes.
fn times_and_classes(config: &ModelConfig, x: &Tensor) -> (Tensor, Option<Tensor>) {
    let (rows, device) = (x.size()[0], x.device());
    let t = (Tensor::arange(rows, (Kind::Float, device)) + 0.5) / rows;
    let classes = (config.classes() > 0).then(|| Tensor::arange(rows, (Kind::Int64, device)).remainder(10));
    (t, classes)
}

/// A batch, and the weights of a loss.
pub fn inputs(config: &ModelConfig, rows: i64, device: Device) -> [Tensor; 2] {
    let shape = [&[rows], config.data_shape().as_slice()].concat();
    let dim = config.data_shape().iter().product::<i64>() as usize;
    [0, 1].map(|step| upload(&normal_rows(Key::new(3, step, Stream::Data), rows as usize, dim), &shape, device))
}
