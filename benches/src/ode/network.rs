//! The trained network of the comparison, in single and in double precision.

use crate::problems::{NETWORK_ROWS, noise};
use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use fm_models::mlp::MlpConfig;
use fm_solvers::guidance::Unconditional;
use fm_train::checkpoint::{Weights, read_weights};
use std::error::Error;
use std::path::Path;
use tch::{Device, Kind, Tensor, nn, no_grad};

pub(crate) struct Network {
    single: Box<dyn VelocityModel>,
    double: Box<dyn VelocityModel>,
}

impl Network {
    /// The averaged weights of a `tabular-train` checkpoint with the default network size.
    pub(crate) fn load(checkpoint: &Path) -> Result<Self, Box<dyn Error>> {
        let weights = read_weights(checkpoint, Weights::Ema)?;
        let build = |kind: Kind| -> Result<_, Box<dyn Error>> {
            let mut store = nn::VarStore::new(Device::Cpu);
            let model = ModelConfig::Mlp(MlpConfig::default()).build(&store.root())?;
            for (name, mut value) in store.variables() {
                let saved = weights.get(&name).ok_or_else(|| format!("no weight {name}"))?;
                no_grad(|| value.copy_(saved));
            }
            store.set_kind(kind);
            Ok(model)
        };
        Ok(Self { single: build(Kind::Float)?, double: build(Kind::Double)? })
    }

    pub(crate) fn field(&self, kind: Kind) -> Unconditional<'_> {
        Unconditional(if kind == Kind::Double { self.double.as_ref() } else { self.single.as_ref() })
    }

    pub(crate) fn start(&self, kind: Kind) -> Tensor {
        let x: Vec<f64> = noise(NETWORK_ROWS).iter().copied().collect();
        Tensor::from_slice(&x).view([NETWORK_ROWS as i64, 2]).to_kind(kind)
    }
}

/// The values of a tensor.
pub(crate) fn flat(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.to_kind(Kind::Double).reshape([-1])).unwrap_or_default()
}
