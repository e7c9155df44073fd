//! The predictions, chosen by name.

use crate::choice;
use crate::choice::Domain;

choice! {
    /// What a network predicts at a point on its path.
    #[derive(Default)]
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
        /// The velocity and, from a second output of the network, the score: only on a Brownian
        /// bridge, where neither determines the other ([`bridge`](crate::bridge)).
        #[doc(alias = "SF2M")]
        #[doc(alias = "score_and_flow_matching")]
        VelocityScore = "velocity+score" | "sf2m" {
            /// Weight of the score's loss beside the velocity's.
            weight = 1.0, Domain::above(0.0, 1e6)
        },
    }
}

impl Prediction {
    /// Whether the network predicts a velocity, alone or beside a score.
    pub fn is_velocity(self) -> bool {
        matches!(self, Prediction::Velocity | Prediction::VelocityScore { .. })
    }

    /// The weight of the score's loss, for a network that predicts a score beside the velocity.
    pub fn score_weight(self) -> Option<f64> {
        if let Prediction::VelocityScore { weight } = self { Some(weight) } else { None }
    }
}

/// The predictions of one quantity, between which [`Prediction::to`] converts.
pub const PREDICTIONS: [Prediction; 4] = [Prediction::Velocity, Prediction::Data, Prediction::Noise, Prediction::Score];
