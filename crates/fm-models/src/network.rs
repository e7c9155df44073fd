//! What a network's configuration says of it.

use crate::ModelError;
use fm_core::tensor::VelocityModel;
use tch::nn::Path;

/// Values per sample that a training step holds, by the blocks that [`Tape`](fm_core::tape::Tape) runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activations {
    /// Of all blocks: what the backward pass needs where nothing is computed again.
    pub all: i64,
    /// The outputs of the blocks, which a taped pass keeps.
    pub outputs: i64,
    /// Of the largest block, which a taped pass computes again.
    pub largest: i64,
}

impl Activations {
    /// Of a network that is one block.
    pub(crate) fn whole(values: i64) -> Self {
        Self { all: values, outputs: 0, largest: values }
    }

    /// Counts a block that keeps `inside` values, `output` of them its output.
    pub(crate) fn block(&mut self, inside: i64, output: i64) {
        self.all += inside;
        self.outputs += output;
        self.largest = self.largest.max(inside);
    }
}

/// The configuration of one network; a new network is one file with an `impl`, and a variant of [`ModelConfig`](crate::ModelConfig).
pub(crate) trait NetworkConfig {
    /// The name that users type.
    fn kind(&self) -> &'static str;

    /// The shape of one row of data.
    fn data_shape(&self) -> Vec<i64>;

    /// Sets image size (channels, height, width) and classes; networks for points have no images to fit.
    fn fit_to_images(&mut self, _shape: [i64; 3], _classes: i64, _null_class: bool) {}

    /// The number of classes, 0 for an unconditional network, and whether one more stands for "no class".
    fn classes(&self) -> (i64, bool);

    /// # Errors
    /// What does not fit, and what to change.
    fn validate(&self) -> Result<(), ModelError>;

    /// Trainable values of a valid configuration.
    fn parameters(&self) -> i64;

    /// Values that a training step holds per sample: an estimate.
    fn activations(&self) -> Activations;

    /// How the names of the first and the last layer's parameters start.
    fn ends(&self) -> [String; 2];

    /// Creates the variables below `path`.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError>;
}
