//! A fully connected network for points and tables: input [x, t], [x, t, one-hot class] or [x, t,
//! condition vector], hidden layers, linear output.
//!
//! Parameters: `net.0`, `net.2`, ..., numbered like a `torch.nn.Sequential` of linear layers and
//! activations. With SELU and three hidden layers of 64, this is torchcfm's two-dimensional
//! network. The default is GELU.
//!
//! ```
//! use fm_core::tensor::VelocityModel;
//! use fm_models::{ModelConfig, layers::Activation, mlp::MlpConfig, parameter_count};
//! use tch::{Device, Tensor, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! let config = MlpConfig { dim: 1, widths: vec![2], activation: Activation::Selu, ..MlpConfig::default() };
//! let model = ModelConfig::Mlp(config).build(&store.root())?;
//! assert_eq!(parameter_count(&store), (2 * 2 + 2) + (2 + 1));
//! let weights = store.variables();
//! let set = |name: &str, to: &[f32]| tch::no_grad(|| weights[name].shallow_clone().view(-1).copy_(&Tensor::from_slice(to)));
//! set("net.0.weight", &[1.0, 0.0, 0.0, -1.0]); // h = (x, -t)
//! set("net.0.bias", &[0.0, 0.0]);
//! set("net.2.weight", &[1.0, 1.0]);
//! set("net.2.bias", &[0.5]);
//! let v = model.forward_t(&Tensor::from_slice2(&[[2f32]]), &Tensor::from_slice(&[0.5f32]), None, false).double_value(&[0, 0]);
//! let (scale, alpha) = (1.0507009873554805, 1.6732632423543772);
//! assert!((v - (scale * 2.0 + scale * alpha * ((-0.5f64).exp() - 1.0) + 0.5)).abs() < 1e-6);
//! # Ok::<(), fm_models::ModelError>(())
//! ```

use crate::error::{ModelError, require};
use crate::fused::{self, plain};
use crate::interval::IntervalColumn;
use crate::layers::{Activation, linear};
use crate::network::{
    Activations, NetworkConfig, check_condition_dim, check_score, condition_kind, is_off, is_zero, velocity_of,
    with_score,
};
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use serde::{Deserialize, Serialize};
use tch::nn::{self, Module, Path};
use tch::{Device, Tensor};

/// Sizes of the MLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Dimensions of x.
    pub dim: i64,
    /// Width of each hidden layer; none for a linear network.
    pub widths: Vec<i64>,
    /// Activation after each layer except the last.
    pub activation: Activation,
    /// Number of classes; 0 for an unconditional network.
    pub classes: i64,
    /// Whether there is an additional null class.
    pub null_class: bool,
    /// Values of a condition vector; 0 for a network without. With classes it must be 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub condition_dim: i64,
    /// Whether the network takes an interval ([`interval`](crate::interval)).
    #[serde(skip_serializing_if = "is_off")]
    pub interval: bool,
    /// Whether the second half of the output is the scaled score ([`bridge`](fm_core::bridge)).
    #[serde(skip_serializing_if = "is_off")]
    pub score: bool,
}

impl Default for MlpConfig {
    fn default() -> Self {
        let (activation, widths) = (Activation::Gelu, vec![64; 3]);
        let (interval, score) = (false, false);
        Self { dim: 2, widths, activation, classes: 0, null_class: false, condition_dim: 0, interval, score }
    }
}

impl MlpConfig {
    /// The conditions of the network: classes, or vectors.
    fn conditions(&self) -> ConditionKind {
        condition_kind(self.classes, self.null_class, self.condition_dim)
    }

    /// Input values that encode the condition.
    fn condition_width(&self) -> i64 {
        match self.conditions() {
            ConditionKind::None => 0,
            ConditionKind::Classes { count: width } | ConditionKind::Vectors { dim: width } => width,
        }
    }

    /// Widths from the input, including the time, to the output.
    pub(crate) fn all_widths(&self) -> Vec<i64> {
        let output = if self.score { 2 * self.dim } else { self.dim };
        [&[self.dim + 1 + self.condition_width()], self.widths.as_slice(), &[output]].concat()
    }
}

impl NetworkConfig for MlpConfig {
    fn data_shape(&self) -> Vec<i64> {
        vec![self.dim]
    }

    fn classes(&self) -> i64 {
        self.classes
    }

    fn null_class(&self) -> bool {
        self.null_class
    }

    fn interval(&self) -> bool {
        self.interval
    }

    fn set_interval(&mut self, interval: bool) {
        self.interval = interval;
    }

    fn score(&self) -> bool {
        self.score
    }

    fn set_score(&mut self, score: bool) -> bool {
        self.score = score;
        true
    }

    fn validate(&self) -> Result<(), ModelError> {
        let problem = format!("it has {} classes", self.classes);
        require((0..1 << 20).contains(&self.classes), "MLP", problem, "give 0 to 2^20")?;
        check_condition_dim("MLP", self.condition_dim, self.classes)?;
        check_score("MLP", self.score, self.interval)?;
        check_widths("MLP", self.dim, &self.widths)
    }

    fn parameters(&self) -> i64 {
        let widths = self.all_widths();
        let interval = if self.interval { widths[1] } else { 0 };
        widths.windows(2).map(|w| w[0] * w[1] + w[1]).sum::<i64>() + interval
    }

    fn activations(&self) -> Activations {
        Activations::whole(2 * self.widths.iter().sum::<i64>() + self.dim + 1)
    }

    fn ends(&self) -> [String; 2] {
        ["net.0.".into(), format!("net.{}.", 2 * self.widths.len())]
    }

    fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError> {
        Ok(Box::new(mlp(path, self)?))
    }
}

/// Checks the sizes of a fully connected network.
pub(crate) fn check_widths(model: &'static str, dim: i64, widths: &[i64]) -> Result<(), ModelError> {
    let good = |n: &i64| (1..=1 << 20).contains(n);
    let problem = format!("dim {dim} and widths {widths:?}");
    let layers = widths.len() <= 1024;
    require(good(&dim) && layers && widths.iter().all(good), model, problem, "give up to 1024 sizes from 1 to 2^20")
}

#[derive(Debug)]
struct Mlp {
    layers: Vec<nn::Linear>,
    activation: Activation,
    conditions: ConditionKind,
    null_class: bool,
    interval: Option<IntervalColumn>,
    score: bool,
}

fn mlp(p: &Path<'_>, c: &MlpConfig) -> Result<impl VelocityModel + use<>, ModelError> {
    c.validate()?;
    let widths = c.all_widths();
    let net = p / "net";
    let layers = widths.windows(2).enumerate().map(|(i, w)| linear(&net / (2 * i), w[0], w[1])).collect();
    let interval = c.interval.then(|| IntervalColumn::new(p / "interval", widths[1]));
    let (activation, conditions, null_class, score) = (c.activation, c.conditions(), c.null_class, c.score);
    Ok(Mlp { layers, activation, conditions, null_class, interval, score })
}

impl Mlp {
    /// All outputs; a taped pass is the fused one where possible.
    fn output<'a>(
        &'a self,
        tape: Option<&mut Tape<'a>>,
        x: &Tensor,
        t: &Tensor,
        condition: Option<&Tensor>,
        _train: bool,
    ) -> Tensor {
        let Some(tape) = tape else { return self.run(x, t, None, condition) };
        let parameters: Vec<&Tensor> =
            self.layers.iter().flat_map(|l| [Some(&l.ws), l.bs.as_ref()]).flatten().collect();
        match plain::activation(self.activation) {
            Some(activation)
                if self.conditions == ConditionKind::None
                    && fused::fits(&parameters, x, self.layers[0].ws.size()[1] - 1) =>
            {
                fused::run(tape, &parameters, |values| plain::FusedMlp::of(values, activation), x, t)
            }
            _ => self.run(x, t, None, condition),
        }
    }

    /// The outputs over an interval h; without one, over none.
    fn run(&self, x: &Tensor, t: &Tensor, h: Option<&Tensor>, condition: Option<&Tensor>) -> Tensor {
        let kind = self.layers[0].ws.kind();
        let mut state = Tensor::cat(&self.inputs(x, &t.to_kind(kind), condition), 1);
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                state = self.activation.forward(&state);
            }
            state = layer.forward(&state);
            if let (0, Some(column), Some(h)) = (i, &self.interval, h) {
                state = &state + column.forward(h);
            }
        }
        state.to_kind(x.kind())
    }

    /// x, t and the condition, in the kind of the network.
    fn inputs(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Vec<Tensor> {
        let (kind, rows) = (t.kind(), x.size()[0]);
        let mut inputs = vec![x.to_kind(kind), t.unsqueeze(1).expand([rows, 1], false)];
        let zeros = |width| Tensor::zeros([rows, width], (kind, x.device()));
        match self.conditions {
            ConditionKind::None => {}
            ConditionKind::Vectors { dim } => {
                inputs.push(condition.map_or_else(|| zeros(dim), |vectors| vectors.to_kind(kind)));
            }
            ConditionKind::Classes { count } => {
                // Without a condition, every row has the null class, or none if there is no null
                // class.
                let none = || {
                    let rows = zeros(count);
                    let _ = rows.narrow(1, count - 1, 1).fill_(f64::from(u8::from(self.null_class)));
                    rows
                };
                inputs.push(condition.map_or_else(none, |classes| classes.one_hot(count).to_kind(kind)));
            }
        }
        inputs
    }
}

impl VelocityModel for Mlp {
    fn device(&self) -> Device {
        self.layers[0].ws.device()
    }

    fn null_class(&self) -> Option<i64> {
        match self.conditions {
            ConditionKind::Classes { count } if self.null_class => Some(count - 1),
            _ => None,
        }
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        Some(self.conditions)
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        let outputs = self.layers.last()?.ws.size()[0];
        Some(vec![if self.score { outputs / 2 } else { outputs }])
    }

    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        velocity_of(self.run(x, t, None, condition), self.score)
    }

    fn takes_intervals(&self) -> bool {
        self.interval.is_some()
    }

    fn mean_velocity(
        &self,
        x: &Tensor,
        t: &Tensor,
        h: &Tensor,
        condition: Option<&Tensor>,
        _train: bool,
    ) -> Option<Tensor> {
        self.interval.is_some().then(|| self.run(x, t, Some(h), condition))
    }

    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        velocity_of(self.output(Some(tape), x, t, condition, true), self.score)
    }

    with_score!(score);
}
