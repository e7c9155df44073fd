//! A GELU MLP: input [x, t], equal hidden layers, linear output. For points and tables.
//!
//! Parameters: `net.0`, `net.2`, ... as a `torch.nn.Sequential` of linear layers and activations numbers them.
//!
//! ```
//! use fm_models::mlp::MlpConfig;
//! assert_eq!(MlpConfig::default(), MlpConfig { dim: 2, hidden: 64, layers: 3 });
//! ```

use crate::config::{ModelError, require};
use crate::layers::linear;
use fm_core::tensor::VelocityModel;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{self, Module, Path};

/// Sizes of the MLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Dimensions of x.
    pub dim: i64,
    /// Width of each hidden layer.
    pub hidden: i64,
    /// Number of hidden layers.
    pub layers: i64,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { dim: 2, hidden: 64, layers: 3 }
    }
}

impl MlpConfig {
    pub(crate) fn activations_per_sample(&self) -> i64 {
        2 * self.layers * self.hidden + self.dim + 1
    }
}

#[derive(Debug)]
struct Mlp(Vec<nn::Linear>);

pub(crate) fn mlp(p: &Path<'_>, c: &MlpConfig) -> Result<impl VelocityModel + use<>, ModelError> {
    let positive = c.dim > 0 && c.hidden > 0 && c.layers > 0;
    require(
        positive,
        "MLP",
        format!("dim {}, hidden {} and layers {}", c.dim, c.hidden, c.layers),
        "give sizes above 0",
    )?;
    let mut widths = vec![c.dim + 1];
    widths.resize(c.layers as usize + 1, c.hidden);
    widths.push(c.dim);
    let net = p / "net";
    Ok(Mlp(widths.windows(2).enumerate().map(|(i, w)| linear(&net / (2 * i), w[0], w[1])).collect()))
}

impl VelocityModel for Mlp {
    fn forward_t(&self, x: &Tensor, t: &Tensor, _condition: Option<&Tensor>, _train: bool) -> Tensor {
        let kind = self.0[0].ws.kind();
        let mut h = Tensor::cat(&[x.to_kind(kind), t.to_kind(kind).unsqueeze(1)], 1);
        for (i, layer) in self.0.iter().enumerate() {
            if i > 0 {
                h = h.gelu("none");
            }
            h = layer.forward(&h);
        }
        h.to_kind(x.kind())
    }
}
