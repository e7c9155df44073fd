//! Networks as the benches use them: weights that peers can read, a batch, and what is done with it.

use crate::Failure;
use fm_app::sampler::Sampler;
use fm_app::solvers::SolverName;
use fm_core::objective::Objective;
use fm_core::rng::{Stream, normal_rows};
use fm_core::tape::Tape;
use fm_core::tensor::{VelocityModel, upload};
use fm_models::ModelConfig;
use fm_models::dit::DitConfig;
use fm_models::embedding::TimeEmbedding;
use fm_models::interchange::{self, About};
use fm_models::unet::UNetConfig;
use fm_solvers::guidance::{Field, Guided, Unconditional};
use fm_train::flat::{FlatParams, Precision};
use std::path::Path;
use tch::{Device, Kind, Tensor, nn, no_grad};

/// The networks that are compared with peers.
pub const NAMES: [&str; 3] = ["tiny", "cifar10", "dit"];

/// A network and the rows of its batch.
fn case(name: &str) -> Result<(ModelConfig, i64), Failure> {
    Ok(match name {
        "tiny" => (ModelConfig::Unet(tiny()), 16),
        "cifar10" => (ModelConfig::Unet(UNetConfig { dropout: 0.0, ..UNetConfig::default() }), 8),
        "dit" => {
            let sizes =
                DitConfig { width: 384, depth: 6, heads: 6, classes: 10, null_class: true, ..DitConfig::default() };
            (ModelConfig::Dit(DitConfig { time: TimeEmbedding::default(), ..sizes }), 16)
        }
        other => return Err(format!("unknown network {other}; there is {}", NAMES.join(", ")).into()),
    })
}

/// The small U-Net of all benches.
pub(crate) fn tiny() -> UNetConfig {
    UNetConfig {
        channels: 32,
        channel_mult: vec![1, 2, 2],
        res_blocks: 1,
        attention_at: vec![4],
        head_channels: 32,
        dropout: 0.0,
        ..UNetConfig::default()
    }
}

/// Writes each network's weights, random, zero-initialised ones too.
///
/// # Errors
/// A folder that cannot be written.
pub fn make(dir: &Path) -> Result<(), Failure> {
    for name in NAMES {
        let (config, _) = case(name)?;
        tch::manual_seed(0);
        let store = nn::VarStore::new(Device::Cpu);
        let _model = config.build(&store.root())?;
        for mut p in store.trainable_variables() {
            let fan_in = p.size().iter().skip(1).product::<i64>().max(64) as f64;
            no_grad(|| p += p.randn_like() * (0.3 / fan_in.sqrt()));
        }
        let about = About { model: Some(config), ..About::default() };
        let bytes = interchange::safetensors(&interchange::named(&store), &about)?;
        std::fs::write(dir.join(format!("{name}.safetensors")), bytes)?;
    }
    Ok(())
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
    /// With the weights in a folder, where its batch is left for the peers.
    ///
    /// # Errors
    /// An unknown name, weights that do not read.
    pub fn load(dir: &Path, name: &str, device: Device) -> Result<Self, Failure> {
        let (config, rows) = case(name)?;
        let store = nn::VarStore::new(device);
        let model = config.build(&store.root())?;
        let weights = interchange::read(&dir.join(format!("{name}.safetensors")), None)?;
        interchange::load(&store, config.kind(), &weights.tensors)?;
        let inputs = inputs(&config, rows, device);
        for (key, tensor) in ["x", "weights"].iter().zip(&inputs) {
            tensor.to_device(Device::Cpu).write_npy(dir.join(format!("{name}-{key}.npy")))?;
        }
        Self::of(&config, store, model, inputs)
    }

    /// One of these as it is initialised.
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
    /// A size that it cannot have.
    pub fn unet(channels: i64, side: i64, rows: i64, device: Device) -> Result<Self, Failure> {
        Self::build(&ModelConfig::Unet(UNetConfig { channels, image_size: [side, side], ..tiny() }), rows, device)
    }

    fn build(config: &ModelConfig, rows: i64, device: Device) -> Result<Self, Failure> {
        let store = nn::VarStore::new(device);
        let model = config.build(&store.root())?;
        let inputs = inputs(config, rows, device);
        Self::of(config, store, model, inputs)
    }

    fn of(
        config: &ModelConfig,
        store: nn::VarStore,
        model: Box<dyn VelocityModel>,
        [x, weights]: [Tensor; 2],
    ) -> Result<Self, Failure> {
        let (rows, device) = (x.size()[0], x.device());
        let t = (Tensor::arange(rows, (Kind::Float, device)) + 0.5) / rows;
        let classes = (config.classes() > 0).then(|| Tensor::arange(rows, (Kind::Int64, device)).remainder(10));
        let params = FlatParams::new(&store, Precision::F32)?;
        Ok(Self { params, model, x, t, classes, weights, _store: store })
    }

    /// One pass forwards and back, as a training step does it; the loss.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn train(&mut self) -> Result<f64, Failure> {
        let v = self.model.forward_t(&self.x, &self.t, self.classes.as_ref(), true);
        let loss = (v * &self.weights).sum(Kind::Float);
        let _gradient = self.params.backward(&loss, Tape::off())?;
        Ok(loss.double_value(&[]))
    }

    /// One pass forwards, at a time that all samples share; the mean absolute output.
    pub fn infer(&self) -> f64 {
        let t = Tensor::from_slice(&[0.3f32]).to_device(self.x.device());
        let v = no_grad(|| self.model.forward_t(&self.x, &t, self.classes.as_ref(), false));
        v.abs().mean(Kind::Float).double_value(&[])
    }

    /// From the batch to samples by Euler steps, as `cifar-train sample` does it; their mean absolute value.
    ///
    /// # Errors
    /// What the sampler refuses.
    pub fn sample(&self, steps: usize) -> Result<f64, Failure> {
        let model = self.model.as_ref();
        let field = match &self.classes {
            None => Field::Unconditional(Unconditional(model)),
            Some(classes) => {
                let classes = classes.shallow_clone();
                Field::Conditional(Guided { model, classes, null_class: 0, scale: 1.0, interval: (0.0, 1.0) })
            }
        };
        let (sampler, no_noise) = (Sampler::fixed(SolverName::Euler, steps), |_| self.x.zeros_like());
        let drawn = sampler.run(&field, &Objective::default(), self.x.copy(), no_noise, false)?;
        Ok(drawn.x.abs().mean(Kind::Float).double_value(&[]))
    }
}

/// A batch, and the weights of a loss.
fn inputs(config: &ModelConfig, rows: i64, device: Device) -> [Tensor; 2] {
    let shape = [&[rows], config.data_shape().as_slice()].concat();
    let dim = config.data_shape().iter().product::<i64>() as usize;
    [0, 1].map(|step| upload(&normal_rows(3, step, Stream::Data, 0, rows as usize, dim), &shape, device))
}
