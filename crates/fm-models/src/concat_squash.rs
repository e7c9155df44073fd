//! The ConcatSquash network of continuous normalising flows, with configurable widths and optional
//! classes or condition vectors.
//!
//! Layer k maps h to lin1(h) sigmoid(lin2(c)) + lin3(c), with lin3 without bias. A tanh follows
//! each layer except the last. The context c is t, with a learned embedding of the class or a
//! condition vector if there is one.
//! Parameters: `layers.K.lin1`, `.lin2`, `.lin3`, and `label_emb.weight`. Source: Grathwohl et al.,
//! "FFJORD" (2019).
//!
//! ```
//! use fm_models::{ModelConfig, concat_squash::ConcatSquashConfig, parameter_count};
//! use tch::{Device, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! let config = ConcatSquashConfig { dim: 2, widths: vec![8], ..ConcatSquashConfig::default() };
//! ModelConfig::ConcatSquash(config).build(&store.root())?;
//! let layer = |fan_in: usize, out: usize| (fan_in * out + out) + (out + out) + out;
//! assert_eq!(parameter_count(&store), layer(2, 8) + layer(8, 2));
//! # Ok::<(), fm_models::ModelError>(())
//! ```

use crate::error::{ModelError, require};
use crate::fused::{self, gated::FusedConcatSquash};
use crate::layers::{class_table, linear, linear_without_bias, look_up};
use crate::mlp::check_widths;
use crate::network::{Activations, NetworkConfig, check_condition_dim, condition_kind, is_zero};
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use serde::{Deserialize, Serialize};
use tch::nn::{self, Module, Path};
use tch::{Device, Tensor};

/// Sizes of the ConcatSquash network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[doc(alias = "ConcatSquashLinear")]
pub struct ConcatSquashConfig {
    /// Dimensions of x.
    pub dim: i64,
    /// Width of each hidden layer; the output layer is added to them.
    pub widths: Vec<i64>,
    /// Number of classes; 0 is unconditional.
    pub classes: i64,
    /// Whether there is an additional null class.
    pub null_class: bool,
    /// Width of the class embedding.
    pub class_width: i64,
    /// Values of a condition vector; 0 for a network without. With classes it must be 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub condition_dim: i64,
}

impl Default for ConcatSquashConfig {
    fn default() -> Self {
        Self { dim: 2, widths: vec![64; 3], classes: 0, null_class: false, class_width: 16, condition_dim: 0 }
    }
}

impl ConcatSquashConfig {
    /// Widths from the input to the output.
    fn all_widths(&self) -> Vec<i64> {
        [&[self.dim], self.widths.as_slice(), &[self.dim]].concat()
    }

    /// Context values of a layer, besides its input: the time and the condition.
    fn context(&self) -> i64 {
        1 + if self.classes > 0 { self.class_width } else { self.condition_dim }
    }
}

impl NetworkConfig for ConcatSquashConfig {
    fn data_shape(&self) -> Vec<i64> {
        vec![self.dim]
    }

    fn classes(&self) -> i64 {
        self.classes
    }

    fn null_class(&self) -> bool {
        self.null_class
    }

    fn validate(&self) -> Result<(), ModelError> {
        check_widths("ConcatSquash network", self.dim, &self.widths)?;
        check_condition_dim("ConcatSquash network", self.condition_dim, self.classes)?;
        let bounded = (0..1 << 31).contains(&self.classes) && (1..=1 << 20).contains(&self.class_width);
        let problem = format!("classes {} and class_width {}", self.classes, self.class_width);
        require(bounded, "ConcatSquash network", problem, "give classes from 0 and a width above 0")
    }

    fn parameters(&self) -> i64 {
        let layer = |w: &[i64]| w[0] * w[1] + w[1] + 2 * self.context() * w[1] + w[1];
        let rows = if self.classes > 0 { self.classes + i64::from(self.null_class) } else { 0 };
        self.all_widths().windows(2).map(layer).sum::<i64>() + rows * self.class_width
    }

    fn activations(&self) -> Activations {
        Activations::whole(6 * self.widths.iter().sum::<i64>() + self.dim)
    }

    fn ends(&self) -> [String; 2] {
        ["layers.0.".into(), format!("layers.{}.", self.widths.len())]
    }

    fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError> {
        Ok(Box::new(concat_squash(path, self)?))
    }
}

#[derive(Debug)]
struct Layer {
    lin1: nn::Linear,
    lin2: nn::Linear,
    lin3: nn::Linear,
}

#[derive(Debug)]
struct ConcatSquash {
    layers: Vec<Layer>,
    label_emb: Option<nn::Embedding>,
    null_class: Option<i64>,
    conditions: ConditionKind,
}

fn concat_squash(p: &Path<'_>, c: &ConcatSquashConfig) -> Result<impl VelocityModel + use<>, ModelError> {
    c.validate()?;
    let (widths, context) = (c.all_widths(), c.context());
    let layer = |(i, w): (usize, &[i64])| {
        let p = p / "layers" / i;
        Layer {
            lin1: linear(&p / "lin1", w[0], w[1]),
            lin2: linear(&p / "lin2", context, w[1]),
            lin3: linear_without_bias(&p / "lin3", context, w[1]),
        }
    };
    let table = || class_table(p / "label_emb", c.classes, c.null_class, c.class_width, 1.0);
    Ok(ConcatSquash {
        layers: widths.windows(2).enumerate().map(layer).collect(),
        label_emb: (c.classes > 0).then(table),
        null_class: (c.classes > 0 && c.null_class).then_some(c.classes),
        conditions: condition_kind(c.classes, c.null_class, c.condition_dim),
    })
}

impl VelocityModel for ConcatSquash {
    fn device(&self) -> Device {
        self.layers[0].lin1.ws.device()
    }

    fn null_class(&self) -> Option<i64> {
        self.null_class
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        Some(self.conditions)
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        self.layers.last().map(|layer| layer.lin1.ws.size()[..1].to_vec())
    }

    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let kind = self.layers[0].lin1.ws.kind();
        let t = t.to_kind(kind);
        let embedded = match self.conditions {
            ConditionKind::Vectors { dim } => {
                let zeros = || Tensor::zeros([x.size()[0], dim], (kind, x.device()));
                Some(condition.map_or_else(zeros, |vectors| vectors.to_kind(kind)))
            }
            _ => self.label_emb.as_ref().and_then(|e| look_up(e, condition, self.null_class, &t)),
        };
        let context = match embedded {
            Some(rows) => Tensor::cat(&[t.unsqueeze(1).expand([rows.size()[0], 1], false), rows], 1),
            None => t.unsqueeze(1),
        };
        let mut h = x.to_kind(kind);
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                h = h.tanh();
            }
            h = layer.lin1.forward(&h) * layer.lin2.forward(&context).sigmoid() + layer.lin3.forward(&context);
        }
        h.to_kind(x.kind())
    }

    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let of_layer = |l: &'a Layer| {
            [Some(&l.lin1.ws), l.lin1.bs.as_ref(), Some(&l.lin2.ws), l.lin2.bs.as_ref(), Some(&l.lin3.ws)]
        };
        let parameters: Vec<&Tensor> = self.layers.iter().flat_map(of_layer).flatten().collect();
        if self.conditions == ConditionKind::None && fused::fits(&parameters, x, self.layers[0].lin1.ws.size()[1]) {
            return fused::run(tape, &parameters, FusedConcatSquash::of, x, t);
        }
        self.forward_t(x, t, condition, true)
    }
}
