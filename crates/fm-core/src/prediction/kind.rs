//! The predictions, chosen by name.

use crate::choice;

choice! {
    /// What a network predicts at a point on its path.
    #[derive(Default, Eq)]
    pub enum Prediction("prediction") {
        /// v, the velocity, which the solver integrates.
        #[default]
        Velocity = "velocity" | "v",
        /// x1, the data point.
        Data = "data" | "x1",
        /// x0, the source point ("epsilon" of the diffusion literature).
        Noise = "noise" | "x0" | "epsilon",
        /// The gradient of the log density of x_t, -x0 / sigma; only for a standard normal source.
        Score = "score",
    }
}

/// All four.
pub const PREDICTIONS: [Prediction; 4] = [Prediction::Velocity, Prediction::Data, Prediction::Noise, Prediction::Score];
