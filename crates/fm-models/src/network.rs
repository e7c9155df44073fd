//! The interface of network configurations.

use crate::error::{ModelError, require};
use fm_core::tensor::{ConditionKind, VelocityModel};
use tch::Tensor;
use tch::nn::Path;

/// Number of values per sample that a training step stores, by the blocks that
/// [`Tape`](fm_core::tape::Tape) runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activations {
    /// Values of all blocks: stored by a backward pass that recomputes nothing.
    pub all: i64,
    /// Outputs of all blocks, which a taped pass stores.
    pub outputs: i64,
    /// Values of the largest block, which a taped pass recomputes.
    pub largest: i64,
}

impl Activations {
    /// A network that is a single block.
    pub(crate) fn whole(values: i64) -> Self {
        Self { all: values, outputs: 0, largest: values }
    }

    /// Adds a block that stores `inside` values, of which `output` are its output.
    pub(crate) fn block(&mut self, inside: i64, output: i64) {
        self.all = self.all.saturating_add(inside);
        self.outputs = self.outputs.saturating_add(output);
        self.largest = self.largest.max(inside);
    }
}

/// The conditions of a network with this many classes, not counting a null class, or with condition
/// vectors of `dim` values.
pub(crate) fn condition_kind(classes: i64, null_class: bool, dim: i64) -> ConditionKind {
    match (classes, dim) {
        (0, 0) => ConditionKind::None,
        (0, dim) => ConditionKind::Vectors { dim },
        (classes, _) => ConditionKind::Classes { count: classes + i64::from(null_class) },
    }
}

/// Checks the number of values of condition vectors.
pub(crate) fn check_condition_dim(model: &'static str, dim: i64, classes: i64) -> Result<(), ModelError> {
    let problem = format!("condition_dim {dim} and {classes} classes");
    let good = (0..=1 << 20).contains(&dim) && (dim == 0 || classes == 0);
    require(good, model, problem, "give condition_dim from 0 to 2^20, or classes")
}

/// Whether a setting is 0, its default: files then leave it out, as they did before it existed.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Whether a setting is off, its default, which files leave out for the same reason.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_off(value: &bool) -> bool {
    !*value
}

/// Checks that only one further output or input goes with the velocity.
pub(crate) fn check_score(model: &'static str, score: bool, other: bool) -> Result<(), ModelError> {
    let problem = "a score beside an interval or a variance".to_owned();
    require(!score || !other, model, problem, "train one of them: leave out score, interval or learn_sigma")
}

/// The velocity of an output (B, C, ...) whose second half may be the scaled score.
pub(crate) fn velocity_of(output: Tensor, score: bool) -> Tensor {
    if score { output.narrow(1, 0, output.size()[1] / 2) } else { output }
}

/// The velocity and the scaled score of an output that has both.
pub(crate) fn halves_of(output: &Tensor) -> [Tensor; 2] {
    let half = output.size()[1] / 2;
    [0, half].map(|start| output.narrow(1, start, half))
}

/// Implements the methods of a network whose output may have a scaled score: the field that says
/// so is given, and `output(tape, x, t, condition, train)` has a tape in a taped pass.
macro_rules! with_score {
    ($($score:ident).+) => {
        fn has_score(&self) -> bool {
            self.$($score).+
        }

        fn velocity_and_score(
            &self,
            x: &tch::Tensor,
            t: &tch::Tensor,
            condition: Option<&tch::Tensor>,
            train: bool,
        ) -> Option<[tch::Tensor; 2]> {
            let output = || self.output(None, x, t, condition, train);
            self.has_score().then(|| $crate::network::halves_of(&output()))
        }

        fn velocity_and_score_taped<'a>(
            &'a self,
            tape: &mut fm_core::tape::Tape<'a>,
            x: &tch::Tensor,
            t: &tch::Tensor,
            condition: Option<&tch::Tensor>,
        ) -> Option<[tch::Tensor; 2]> {
            self.has_score().then(|| $crate::network::halves_of(&self.output(Some(tape), x, t, condition, true)))
        }
    };
}
pub(crate) use with_score;

/// The result of building a network.
pub(crate) type Built = Result<Box<dyn VelocityModel>, fm_core::tensor::BuildError>;

/// Declares [`ModelConfig`](crate::ModelConfig): a variant, the name of its kind, and its
/// configuration per network.
macro_rules! networks {
    ($(#[$meta:meta])* $vis:vis enum $Name:ident {
        $($(#[$doc:meta])* $Network:ident = $kind:literal ($Config:ty)),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "kind")]
        $vis enum $Name {
            $($(#[$doc])* #[serde(rename = $kind)] $Network($Config)),+
        }

        impl $Name {
            /// The name of the network's kind.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$Network(_) => $kind),+ }
            }

            fn network(&self) -> &dyn $crate::network::NetworkConfig {
                match self { $(Self::$Network(config) => config),+ }
            }

            fn network_mut(&mut self) -> &mut dyn $crate::network::NetworkConfig {
                match self { $(Self::$Network(config) => config),+ }
            }
        }

        impl fm_core::tensor::BuildModel for $Name {
            fn build(&self, path: &tch::nn::Path<'_>) -> $crate::network::Built {
                self.network().build(path).map_err(fm_core::tensor::BuildError::new)
            }
        }

        $(
            impl From<$Config> for $Name {
                fn from(config: $Config) -> Self {
                    Self::$Network(config)
                }
            }

            impl fm_core::tensor::BuildModel for $Config {
                fn build(&self, path: &tch::nn::Path<'_>) -> $crate::network::Built {
                    $crate::network::NetworkConfig::build(self, path).map_err(fm_core::tensor::BuildError::new)
                }
            }
        )+
    };
}
pub(crate) use networks;

/// The configuration of one network. To add a network, write one file with an `impl`, and its line
/// in the list of networks in `lib.rs`.
pub(crate) trait NetworkConfig {
    /// The shape of one row of data.
    fn data_shape(&self) -> Vec<i64>;

    /// Sets image size (channels, height, width) and classes; does nothing for networks for points.
    fn fit_to_images(&mut self, _shape: [i64; 3], _classes: i64, _null_class: bool) {}

    /// The number of classes, without the null class; 0 for an unconditional network.
    fn classes(&self) -> i64 {
        0
    }

    /// Whether there is an additional null class.
    fn null_class(&self) -> bool {
        false
    }

    /// Whether the network takes an interval.
    fn interval(&self) -> bool {
        false
    }

    /// Makes the network with or without an interval; does nothing for a network that takes none.
    fn set_interval(&mut self, _interval: bool) {}

    /// Whether the output has a second half for the scaled score.
    fn score(&self) -> bool {
        false
    }

    /// Makes the network with or without a scaled score; false for a network that cannot have one.
    fn set_score(&mut self, score: bool) -> bool {
        !score
    }

    /// Whether the output has a second half for the variance, which is not used.
    fn learns_sigma(&self) -> bool {
        false
    }

    /// The number that divides height and width of the images that the network takes; `None` for
    /// networks for points.
    fn size_divisor(&self) -> Option<i64> {
        None
    }

    /// # Errors
    /// The invalid setting and its remedy.
    fn validate(&self) -> Result<(), ModelError>;

    /// Number of trainable values of a valid configuration.
    fn parameters(&self) -> i64;

    /// Estimated number of values per sample that a training step stores.
    fn activations(&self) -> Activations;

    /// Prefixes of the parameter names of the first and the last layer.
    fn ends(&self) -> [String; 2];

    /// Creates the variables below `path`.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError>;
}
