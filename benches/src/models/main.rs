//! `models-worker`: our side of the comparison of networks. Reads one request a line on standard input and answers with one line of JSON.
//!
//! `make DIR` writes each network's weights, random, zero-initialised ones too; `load DIR NAME` reads one; `train` does one forward and
//! backward pass on its batch, as a training step does it; `infer` one forward pass at a time that all samples share; `sample STEPS` carries the batch to
//! samples by as many Euler steps. All answer {"seconds", "value"}, the value being the loss, or the mean absolute output, that the peers must find too.

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
use std::error::Error;
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind, Tensor, nn, no_grad};

const NAMES: [&str; 3] = ["tiny", "cifar10", "dit"];

/// Network and batch by name.
fn case(name: &str) -> Result<(ModelConfig, i64), Box<dyn Error>> {
    let cifar10 = UNetConfig { dropout: 0.0, ..UNetConfig::default() };
    Ok(match name {
        "tiny" => (
            ModelConfig::Unet(UNetConfig {
                channels: 32,
                channel_mult: vec![1, 2, 2],
                res_blocks: 1,
                attention_at: vec![4],
                head_channels: 32,
                ..cifar10
            }),
            16,
        ),
        "cifar10" => (ModelConfig::Unet(cifar10), 8),
        "dit" => {
            let sizes =
                DitConfig { width: 384, depth: 6, heads: 6, classes: 10, null_class: true, ..DitConfig::default() };
            (ModelConfig::Dit(DitConfig { time: TimeEmbedding::default(), ..sizes }), 16)
        }
        other => return Err(format!("unknown network {other}").into()),
    })
}

struct Loaded {
    params: FlatParams,
    model: Box<dyn VelocityModel>,
    x: Tensor,
    t: Tensor,
    classes: Option<Tensor>,
    weights: Tensor,
    _store: nn::VarStore,
}

fn main() -> Result<(), Box<dyn Error>> {
    // As the programs do.
    fm_app::memory::keep_freed();
    let threads = std::env::var("OMP_NUM_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    tch::set_num_threads(threads);
    let mut loaded: Option<Loaded> = None;
    fm_benches::serve(|words| {
        Ok(match (words, &mut loaded) {
            (["make", dir], _) => {
                NAMES.iter().try_for_each(|name| make(Path::new(dir), name))?;
                "{}".into()
            }
            (["load", dir, name], slot) => {
                *slot = Some(load(Path::new(dir), name)?);
                "{}".into()
            }
            (["train"], Some(loaded)) => timed(|| loaded.train()),
            (["infer"], Some(loaded)) => timed(|| loaded.infer()),
            (["sample", steps], Some(loaded)) => {
                let (steps, mut failure) = (steps.parse()?, None);
                let answer = timed(|| {
                    loaded.sample(steps).unwrap_or_else(|e| {
                        failure = Some(e);
                        f64::NAN
                    })
                });
                failure.map_or(Ok(answer), Err)?
            }
            (other, _) => return Err(format!("unknown request {other:?}, or nothing is loaded").into()),
        })
    })
}

fn timed(work: impl FnOnce() -> f64) -> String {
    let started = Instant::now();
    let value = work();
    format!(r#"{{"seconds": {:e}, "value": {value:e}}}"#, started.elapsed().as_secs_f64())
}

fn make(dir: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let (config, _) = case(name)?;
    tch::manual_seed(0);
    let store = nn::VarStore::new(Device::Cpu);
    let _model = config.build(&store.root())?;
    for mut p in store.trainable_variables() {
        let fan_in = p.size().iter().skip(1).product::<i64>().max(64) as f64;
        no_grad(|| p += p.randn_like() * (0.3 / fan_in.sqrt()));
    }
    let about = About { model: Some(config), ..About::default() };
    std::fs::write(
        dir.join(format!("{name}.safetensors")),
        interchange::safetensors(&interchange::named(&store), &about)?,
    )?;
    Ok(())
}

fn load(dir: &Path, name: &str) -> Result<Loaded, Box<dyn Error>> {
    let (config, rows) = case(name)?;
    let store = nn::VarStore::new(Device::Cpu);
    let model = config.build(&store.root())?;
    let weights = interchange::read(&dir.join(format!("{name}.safetensors")), None)?;
    interchange::load(&store, config.kind(), &weights.tensors)?;
    let shape = [&[rows], config.data_shape().as_slice()].concat();
    let dim = config.data_shape().iter().product::<i64>() as usize;
    let normal = |step| upload(&normal_rows(3, step, Stream::Data, 0, rows as usize, dim), &shape, Device::Cpu);
    let inputs = [("x", normal(0)), ("weights", normal(1))];
    for (key, tensor) in &inputs {
        tensor.write_npy(dir.join(format!("{name}-{key}.npy")))?;
    }
    let [(_, x), (_, weights)] = inputs;
    let t = (Tensor::arange(rows, (Kind::Float, Device::Cpu)) + 0.5) / rows;
    let classes = (config.classes() > 0).then(|| Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(10));
    let params = FlatParams::new(&store, Precision::F32);
    Ok(Loaded { params, model, x, t, classes, weights, _store: store })
}

impl Loaded {
    fn train(&mut self) -> f64 {
        let v = self.model.forward_t(&self.x, &self.t, self.classes.as_ref(), true);
        let loss = (v * &self.weights).sum(Kind::Float);
        let _gradient = self.params.backward(&loss, Tape::off());
        loss.double_value(&[])
    }

    /// As `cifar-train sample` does it.
    fn sample(&self, steps: usize) -> anyhow::Result<f64> {
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

    fn infer(&self) -> f64 {
        let v = no_grad(|| self.model.forward_t(&self.x, &Tensor::from_slice(&[0.3f32]), self.classes.as_ref(), false));
        v.abs().mean(Kind::Float).double_value(&[])
    }
}
