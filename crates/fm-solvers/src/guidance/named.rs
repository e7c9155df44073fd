//! The rules of guidance by name.

use fm_core::choice::Domain;

fm_core::choice! {
    /// The rule by which two predictions are combined.
    #[derive(Default)]
    pub enum GuidanceRule("guidance rule") {
        /// The difference of the predictions, scaled.
        #[default]
        Plain = "cfg",
        /// CFG-Zero*: v_u is scaled by the best factor per row; the first steps have velocity 0.
        ZeroStar = "cfg-zero" | "cfg-zero-star" {
            /// The share of steps without velocity, rounded up to whole steps.
            share = 0.04, Domain::within(0.0, 1.0)
        },
        /// Adaptive projected guidance.
        Projected = "apg" {
            /// The share of the part parallel to v_c that is kept.
            eta = 0.0, Domain::within(0.0, 1.0);
            /// The largest norm of a row's difference.
            norm = 5.0, Domain::above(0.0, 1e6);
            /// The weight of the previous average.
            momentum = -0.5, Domain::within(-0.99, 0.99)
        },
        /// Rectified-CFG++: the difference is evaluated at a point ahead along v_c.
        LookAhead = "rectified-cfg++" | "rectified-cfg" {
            /// How far ahead, in steps of the mean size.
            steps = 0.5, Domain::above(0.0, 1.0)
        },
    }
}
