//! Optimizers over flat vectors.
//!
//! | name | update |
//! |---|---|
//! | `adamw` | Adam with decoupled weight decay (Loshchilov and Hutter 2019) |
//! | `adam` | Adam (Kingma and Ba 2015); weight decay is added to the gradient |
//! | `muon` | orthogonalised momentum for hidden weight matrices (Jordan et al. 2024), AdamW for the rest |
//!
//! A segment is a range of adjacent parameters that are updated in the same way, by a few kernels
//! at once; [`OptimizerConfig::key`] sorts parameters so that there are few segments. Clipping and
//! skipping happen inside the update, by two numbers on the device ([`Scaling`]), so the host reads
//! nothing back.
//!
//! ```
//! use fm_train::optimizer::{Optimizer, OptimizerConfig, Scaling};
//! use tch::{Device, Tensor};
//! let mut p = Tensor::from_slice(&[1f32]);
//! let mut adam = Optimizer::of_one(&p, &OptimizerConfig::default());
//! adam.step(&mut p, &Tensor::from_slice(&[0.3f32]), 0.1, &Scaling::none(Device::Cpu))?;
//! assert!((p.double_value(&[0]) - 0.9).abs() < 1e-6); // the first step of Adam has length lr
//! let nan = Tensor::from_slice(&[f32::NAN]);
//! adam.step(&mut p, &nan, 0.1, &Scaling::by_norm(&nan.norm(), 1.0, &Tensor::from(0.0)))?;
//! assert!((p.double_value(&[0]) - 0.9).abs() < 1e-6); // skipped
//! # Ok::<(), fm_train::TrainError>(())
//! ```

mod muon;
mod update;

pub use update::Scaling;

use crate::TrainError;
use crate::flat::Slot;
use fm_core::choice;
use fm_core::choice::Domain;
use fm_core::tensor::Role;
use fm_torch::TorchError;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};
use update::Update;

choice! {
    /// An update rule; the defaults are PyTorch's.
    pub enum Rule("optimizer") {
        /// Adam with decoupled weight decay.
        AdamW = "adamw" {
            /// Decay rate of the mean of gradients.
            beta1 = 0.9, Domain::within(0.0, 0.999_999);
            /// Decay rate of the mean of squared gradients.
            beta2 = 0.999, Domain::within(0.0, 0.999_999_9);
            /// Added to the root of the second moment.
            eps = 1e-8, Domain::above(0.0, 1.0)
        },
        /// Adam, with weight decay added to the gradient.
        Adam = "adam" {
            /// Decay rate of the mean of gradients.
            beta1 = 0.9, Domain::within(0.0, 0.999_999);
            /// Decay rate of the mean of squared gradients.
            beta2 = 0.999, Domain::within(0.0, 0.999_999_9);
            /// Added to the root of the second moment.
            eps = 1e-8, Domain::above(0.0, 1.0)
        },
        /// Muon for hidden weight matrices, AdamW for the rest.
        Muon = "muon" {
            /// Decay rate of the mean of gradients of matrices.
            momentum = 0.95, Domain::within(0.0, 0.999_999);
            /// Newton-Schulz iterations.
            iterations = 5.0, Domain::whole(1.0, 100.0);
            /// As in AdamW.
            beta1 = 0.9, Domain::within(0.0, 0.999_999);
            /// As in AdamW.
            beta2 = 0.999, Domain::within(0.0, 0.999_999_9);
            /// As in AdamW.
            eps = 1e-8, Domain::above(0.0, 1.0)
        },
    }
}

choice! {
    /// Parameters that weight decay applies to.
    #[derive(Default, Eq)]
    pub enum DecayOn("choice of decayed parameters") {
        /// All parameters.
        #[default]
        All = "all",
        /// Weight matrices and kernels, but not biases, normalisations and embeddings.
        Matrices = "matrices",
    }
}

/// Options of an optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "AdamW")]
#[doc(alias = "Adam")]
#[doc(alias = "Muon")]
pub struct OptimizerConfig {
    /// The update rule.
    pub rule: Rule,
    /// Weight decay, multiplied by the learning rate at each step; 0 in flow-matching recipes.
    pub weight_decay: f64,
    /// Parameters that it applies to.
    pub decay_on: DecayOn,
    /// Groups of parameters with other settings; the first group that matches a parameter applies.
    pub groups: Vec<Group>,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        let rule = Rule::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        Self { rule, weight_decay: 0.0, decay_on: DecayOn::All, groups: Vec::new() }
    }
}

/// A group of parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Pattern of their names; `*` stands for any text.
    pub names: String,
    /// Factor on the learning rate.
    #[serde(default = "one")]
    pub lr_scale: f64,
    /// Weight decay of the group instead of the optimizer's.
    #[serde(default)]
    pub weight_decay: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// How a parameter is updated.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Treatment {
    /// Whether Muon updates it, rather than Adam.
    orthogonal: bool,
    decay: f64,
    lr_scale: f64,
}

impl OptimizerConfig {
    fn treatment(&self, name: &str, role: Role) -> Treatment {
        let group = self.groups.iter().find(|g| matches(&g.names, name));
        let decayed = self.decay_on == DecayOn::All || matches!(role, Role::Hidden | Role::Edge);
        let decay = if decayed { self.weight_decay } else { 0.0 };
        Treatment {
            orthogonal: matches!(self.rule, Rule::Muon { .. }) && role == Role::Hidden,
            decay: group.and_then(|g| g.weight_decay).unwrap_or(decay),
            lr_scale: group.map_or(1.0, |g| g.lr_scale),
        }
    }

    /// Sort key that puts parameters with the same treatment next to each other.
    pub fn key(&self, name: &str, role: Role) -> [u64; 3] {
        let t = self.treatment(name, role);
        [u64::from(t.orthogonal), t.decay.to_bits(), t.lr_scale.to_bits()]
    }

    /// # Errors
    /// A message with the number that is out of range, and its valid range.
    pub fn validate(&self) -> Result<(), String> {
        choice::Choice::validate(&self.rule).map_err(|e| e.to_string())?;
        let decays = self.groups.iter().filter_map(|g| g.weight_decay).chain([self.weight_decay]);
        if let Some(bad) = decays.into_iter().find(|d| !(0.0..=1e6).contains(d)) {
            return Err(format!("the weight decay is {bad}; choose it from 0 (--weight-decay)"));
        }
        match self.groups.iter().find(|g| !(0.0..=1e6).contains(&g.lr_scale)) {
            Some(bad) => Err(format!("lr_scale of {} is {}; choose it from 0", bad.names, bad.lr_scale)),
            None => Ok(()),
        }
    }
}

/// Whether a name matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name
            .strip_prefix(start)
            .is_some_and(|left| (0..=left.len()).any(|k| left.is_char_boundary(k) && matches(rest, &left[k..]))),
    }
}

/// Adjacent parameters with the same treatment.
#[derive(Debug)]
struct Segment {
    first: i64,
    length: i64,
    treatment: Treatment,
    slots: Vec<Slot>,
}

/// An optimizer and its state.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    segments: Vec<Segment>,
    /// Mean of gradients, flat: Adam's first moment, Muon's momentum.
    pub mean: Tensor,
    /// Mean of squared gradients, flat; unused for Muon's parameters.
    pub square: Tensor,
    /// Number of updates, on the device.
    pub updates: Tensor,
}

impl Optimizer {
    /// A new optimizer for a flat vector of parameters at these positions.
    pub fn new(parameters: &Tensor, config: &OptimizerConfig, slots: &[Slot], role: impl Fn(&Slot) -> Role) -> Self {
        let mut segments: Vec<Segment> = Vec::new();
        for slot in slots {
            let mut treatment = config.treatment(&slot.name, role(slot));
            // Only matrices and kernels can be orthogonalised.
            treatment.orthogonal &= slot.shape.len() > 1 && slot.len() > 0;
            match segments.last_mut() {
                Some(last) if last.treatment == treatment => {
                    last.length = slot.offset + slot.len() - last.first;
                    last.slots.push(slot.clone());
                }
                _ => {
                    let slots = vec![slot.clone()];
                    segments.push(Segment { first: slot.offset, length: slot.len(), treatment, slots });
                }
            }
        }
        let zero = Tensor::zeros([], (Kind::Double, parameters.device()));
        Self {
            rule: config.rule,
            segments,
            mean: parameters.zeros_like(),
            square: parameters.zeros_like(),
            updates: zero,
        }
    }

    /// A new optimizer for one parameter that is not a matrix.
    pub fn of_one(parameter: &Tensor, config: &OptimizerConfig) -> Self {
        let slot = Slot { name: String::new(), shape: vec![parameter.numel() as i64], offset: 0 };
        Self::new(parameter, config, &[slot], |_| Role::Vector)
    }

    /// One update of `parameters` by `gradient` at learning rate `lr`. The memory of `gradient` may
    /// be overwritten.
    ///
    /// # Errors
    /// Vectors whose size differs from the optimizer's; an exception of libtorch.
    pub fn step(
        &mut self,
        parameters: &mut Tensor,
        gradient: &Tensor,
        lr: f64,
        scaling: &Scaling,
    ) -> Result<(), TrainError> {
        let sizes = [parameters.size(), gradient.size()];
        if sizes.iter().any(|size| *size != self.mean.size()) {
            let problem = format!("sizes {:?} and {:?} for an optimizer of {:?}", sizes[0], sizes[1], self.mean.size());
            return Err(TorchError::Mismatch { action: "update the parameters", problem }.into());
        }
        no_grad(|| {
            self.updates += &scaling.update;
            let (number, skip) = (self.updates.to_kind(Kind::Float).view(1), scaling.skip());
            self.segments.iter().try_for_each(|segment| {
                let part = |flat: &Tensor| flat.narrow(0, segment.first, segment.length);
                let segment_of = Update {
                    parameters: part(parameters),
                    gradient: part(gradient),
                    mean: part(&self.mean),
                    square: part(&self.square),
                    lr: lr * segment.treatment.lr_scale,
                    decay: segment.treatment.decay,
                };
                match self.rule {
                    Rule::Muon { momentum, iterations, .. } if segment.treatment.orthogonal => {
                        muon::step(segment_of, scaling, momentum, iterations as usize, &segment.slots);
                        Ok(())
                    }
                    Rule::AdamW { beta1, beta2, eps } | Rule::Muon { beta1, beta2, eps, .. } => {
                        segment_of.adam((beta1, beta2, eps), true, [&number, &scaling.divisor, &skip])
                    }
                    Rule::Adam { beta1, beta2, eps } => {
                        segment_of.adam((beta1, beta2, eps), false, [&number, &scaling.divisor, &skip])
                    }
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, fits) in [
            ("*.bias", "a.0.bias", true),
            ("*.bias", "a.bias.x", false),
            ("a*c*", "abcd", true),
            ("a", "ab", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn groups_and_roles_decide_decay_and_rate() {
        let config = OptimizerConfig {
            weight_decay: 0.5,
            decay_on: DecayOn::Matrices,
            groups: vec![Group { names: "slow.*".into(), lr_scale: 0.1, weight_decay: None }],
            ..OptimizerConfig::default()
        };
        let slot = |name: &str, offset| Slot { name: name.into(), shape: vec![1], offset };
        let slots = [slot("w", 0), slot("b", 1), slot("slow.w", 2)];
        let role = |s: &Slot| if s.name == "b" { Role::Vector } else { Role::Hidden };
        let mut p = Tensor::from_slice(&[1f32, 1.0, 1.0]);
        let mut optimizer = Optimizer::new(&p, &config, &slots, role);
        optimizer.step(&mut p, &Tensor::from_slice(&[0f32; 3]), 0.1, &Scaling::none(Device::Cpu)).unwrap();
        let got = Vec::<f32>::try_from(&p).unwrap();
        // The gradient is zero: only weight decay changes the parameters.
        assert!(got.iter().zip([0.95, 1.0, 0.995]).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
    }
}
