//! The networks of continuous normalising flows, with configurable widths and optional classes or
//! condition vectors.
//!
//! Layer k maps h to lin1(h) sigmoid(lin2(c)) + lin3(c), with lin3 without bias, or is another
//! layer of its [family](crate::timed_layer). An activation, tanh by default, follows each layer except
//! the last. The context c is t, with a learned embedding of the class or a condition vector if
//! there is one. The first layer takes x, or all monomials of x up to a degree, in the order of
//! scikit-learn's `PolynomialFeatures`. Parameters: `layers.K.lin1`, `.lin2`, `.lin3`, as far as
//! the layer has them, and `label_emb.weight`. Source: Grathwohl et al., "FFJORD" (2019).
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
use crate::interval::IntervalColumn;
use crate::layers::{Activation, class_table, look_up};
use crate::mlp::check_widths;
use crate::network::{
    Activations, NetworkConfig, check_condition_dim, check_score, condition_kind, is_off, is_zero, velocity_of,
    with_score,
};
use crate::polynomial;
use crate::timed_layer::{self, Layer, LayerKind, TimedLayer};
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use serde::{Deserialize, Serialize};
use tch::nn::{self, Path};
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
    /// The kind of the layers.
    #[serde(skip_serializing_if = "is_concat_squash")]
    pub layer: LayerKind,
    /// Activation after each layer except the last.
    #[serde(skip_serializing_if = "is_tanh")]
    pub activation: Activation,
    /// Degree of the polynomial features of x; 1 for x itself.
    #[serde(skip_serializing_if = "is_one")]
    pub degree: i64,
    /// Number of classes; 0 is unconditional.
    pub classes: i64,
    /// Whether there is an additional null class.
    pub null_class: bool,
    /// Width of the class embedding.
    pub class_width: i64,
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

impl Default for ConcatSquashConfig {
    fn default() -> Self {
        Self {
            dim: 2,
            widths: vec![64; 3],
            layer: LayerKind::default(),
            activation: Activation::Tanh,
            degree: 1,
            classes: 0,
            null_class: false,
            class_width: 16,
            condition_dim: 0,
            interval: false,
            score: false,
        }
    }
}

// Files leave out the settings that did not exist when all networks had their defaults.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_concat_squash(layer: &LayerKind) -> bool {
    *layer == LayerKind::ConcatSquash
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_tanh(activation: &Activation) -> bool {
    *activation == Activation::Tanh
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(degree: &i64) -> bool {
    *degree == 1
}

impl ConcatSquashConfig {
    /// Widths from the input to the output.
    fn all_widths(&self) -> Vec<i64> {
        let features = polynomial::count(self.dim, self.degree).unwrap_or(self.dim);
        let output = if self.score { 2 * self.dim } else { self.dim };
        [&[features], self.widths.as_slice(), &[output]].concat()
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
        check_widths("ConcatSquash network", self.dim, &self.widths)?;
        check_condition_dim("ConcatSquash network", self.condition_dim, self.classes)?;
        check_score("ConcatSquash network", self.score, self.interval)?;
        let degree = (1..=64).contains(&self.degree) && polynomial::count(self.dim, self.degree).is_some();
        let problem = format!("degree {} of {} values", self.degree, self.dim);
        require(degree, "ConcatSquash network", problem, "give a degree from 1 with at most 2^20 features")?;
        let told = self.layer.takes_conditions() || (self.classes == 0 && self.condition_dim == 0);
        let problem = format!("its layer {} does not take conditions", self.layer);
        require(told, "ConcatSquash network", problem, "choose another layer, or train without classes")?;
        let bounded = (0..1 << 31).contains(&self.classes) && (1..=1 << 20).contains(&self.class_width);
        let problem = format!("classes {} and class_width {}", self.classes, self.class_width);
        require(bounded, "ConcatSquash network", problem, "give classes from 0 and a width above 0")
    }

    fn parameters(&self) -> i64 {
        let layer = |w: &[i64]| self.layer.parameters(w[0], w[1], self.context());
        let interval = if self.interval { self.all_widths()[1..].iter().sum() } else { 0 };
        let rows = if self.classes > 0 { self.classes + i64::from(self.null_class) } else { 0 };
        self.all_widths().windows(2).map(layer).fold(rows * self.class_width + interval, i64::saturating_add)
    }

    fn activations(&self) -> Activations {
        // A row's weights of `hyper` are made anew.
        let each = |w: &[i64]| if self.layer == LayerKind::Hyper { w[0] * w[1] } else { 0 };
        let made: i64 = self.all_widths().windows(2).map(each).sum();
        Activations::whole(6 * self.widths.iter().sum::<i64>() + self.dim + made)
    }

    fn ends(&self) -> [String; 2] {
        ["layers.0.".into(), format!("layers.{}.", self.widths.len())]
    }

    fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError> {
        Ok(Box::new(concat_squash(path, self)?))
    }
}

#[derive(Debug)]
struct ConcatSquash {
    layers: Vec<Layer>,
    activation: Activation,
    degree: i64,
    /// Whether training may take the [fused](crate::fused) pass.
    fused: bool,
    dim: i64,
    label_emb: Option<nn::Embedding>,
    null_class: Option<i64>,
    conditions: ConditionKind,
    /// One per layer, if the network takes an interval.
    intervals: Vec<IntervalColumn>,
    score: bool,
}

fn concat_squash(p: &Path<'_>, c: &ConcatSquashConfig) -> Result<impl VelocityModel + use<>, ModelError> {
    c.validate()?;
    let (widths, context) = (c.all_widths(), c.context());
    let layer = |(i, w): (usize, &[i64])| c.layer.build(&(p / "layers" / i), w[0], w[1], context);
    let table = || class_table(p / "label_emb", c.classes, c.null_class, c.class_width, 1.0);
    let interval = |(i, w): (usize, &i64)| IntervalColumn::new(p / "layers" / i / "interval", *w);
    let intervals = if c.interval { widths[1..].iter().enumerate().map(interval).collect() } else { Vec::new() };
    Ok(ConcatSquash {
        layers: widths.windows(2).enumerate().map(layer).collect(),
        activation: c.activation,
        degree: c.degree,
        fused: c.layer == LayerKind::ConcatSquash && c.activation == Activation::Tanh && c.degree == 1,
        dim: c.dim,
        label_emb: (c.classes > 0).then(table),
        null_class: (c.classes > 0 && c.null_class).then_some(c.classes),
        conditions: condition_kind(c.classes, c.null_class, c.condition_dim),
        intervals,
        score: c.score,
    })
}

impl ConcatSquash {
    /// A weight of the first layer.
    fn weight(&self) -> Option<&Tensor> {
        self.layers.first().and_then(|layer| layer.lin1.as_ref().or(layer.lin2.as_ref())).map(|linear| &linear.ws)
    }

    /// The parameters of the fused pass; `None` if a layer lacks one.
    fn fused_parameters(&self) -> Option<Vec<&Tensor>> {
        let mut parameters = Vec::with_capacity(5 * self.layers.len());
        for layer in self.layers.iter().filter(|_| self.fused) {
            let (lin1, lin2, lin3) = (layer.lin1.as_ref()?, layer.lin2.as_ref()?, layer.lin3.as_ref()?);
            parameters.extend([&lin1.ws, lin1.bs.as_ref()?, &lin2.ws, lin2.bs.as_ref()?, &lin3.ws]);
        }
        self.fused.then_some(parameters)
    }

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
        if self.conditions == ConditionKind::None
            && let Some(parameters) = self.fused_parameters().filter(|all| fused::fits(all, x, self.dim))
        {
            return fused::run(tape, &parameters, FusedConcatSquash::of, x, t);
        }
        self.run(x, t, None, condition)
    }

    /// The outputs over an interval h; without one, over none.
    fn run(&self, x: &Tensor, t: &Tensor, h: Option<&Tensor>, condition: Option<&Tensor>) -> Tensor {
        let kind = self.weight().map_or_else(|| x.kind(), Tensor::kind);
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
        let input = polynomial::features(&x.to_kind(kind), self.degree);
        let layers = self.layers.iter().map(|layer| layer as &dyn TimedLayer);
        let added = |i: usize| Some(self.intervals.get(i)?.forward(h?));
        timed_layer::run(layers, self.activation, &input, &context, added).to_kind(x.kind())
    }
}

impl VelocityModel for ConcatSquash {
    fn device(&self) -> Device {
        self.weight().map_or(Device::Cpu, Tensor::device)
    }

    fn null_class(&self) -> Option<i64> {
        self.null_class
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        Some(self.conditions)
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        Some(vec![self.dim])
    }

    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        velocity_of(self.run(x, t, None, condition), self.score)
    }

    fn takes_intervals(&self) -> bool {
        !self.intervals.is_empty()
    }

    fn mean_velocity(
        &self,
        x: &Tensor,
        t: &Tensor,
        h: &Tensor,
        condition: Option<&Tensor>,
        _train: bool,
    ) -> Option<Tensor> {
        self.takes_intervals().then(|| self.run(x, t, Some(h), condition))
    }

    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        velocity_of(self.output(Some(tape), x, t, condition, true), self.score)
    }

    with_score!(score);
}
