//! The training tasks, chosen by name.

use fm_core::choice;
use fm_core::choice::Domain;

choice! {
    /// A training task. `flow` is the share of rows with an interval of 0, which train the
    /// velocity; p and c are the power and the offset of the robust loss; omega and kappa guide the
    /// target of a class-conditional network, with the scale omega / (1 - kappa).
    #[derive(Default)]
    pub enum TaskKind("task") {
        /// Flow matching: the velocity.
        #[default]
        Flow = "flow",
        /// A flow map whose jump over an interval equals the jumps over its two parts.
        Split = "split" | "split-meanflow" {
            /// Share of rows with an interval of 0.
            flow = 0.5, Domain::within(0.0, 1.0);
            /// Power of the robust loss.
            p = 0.0, Domain::within(0.0, 2.0);
            /// Offset of the robust loss.
            c = 1e-3, Domain::above(0.0, 1e6);
            /// Weight of the velocity of the pair in a guided target.
            omega = 1.0, Domain::within(0.0, 100.0);
            /// Weight of the predicted velocity of the class in it.
            kappa = 0.0, Domain::within(0.0, 0.99)
        },
        /// `split` at the middle of intervals of 1, 1/2, ..., 1/128, with targets of the EMA
        /// weights.
        Shortcut = "shortcut" {
            /// Share of rows with an interval of 0.
            flow = 0.5, Domain::within(0.0, 1.0);
            /// Power of the robust loss.
            p = 0.0, Domain::within(0.0, 2.0);
            /// Offset of the robust loss.
            c = 1e-3, Domain::above(0.0, 1e6);
            /// Weight of the velocity of the pair in a guided target.
            omega = 1.0, Domain::within(0.0, 100.0);
            /// Weight of the predicted velocity of the class in it.
            kappa = 0.0, Domain::within(0.0, 0.99)
        },
        /// A flow map trained by its derivative along the velocity of the pair.
        MeanFlow = "meanflow" | "mean-flow" {
            /// Share of rows with an interval of 0.
            flow = 0.5, Domain::within(0.0, 1.0);
            /// Power of the robust loss.
            p = 0.0, Domain::within(0.0, 2.0);
            /// Offset of the robust loss.
            c = 1e-3, Domain::above(0.0, 1e6);
            /// Weight of the velocity of the pair in a guided target.
            omega = 1.0, Domain::within(0.0, 100.0);
            /// Weight of the predicted velocity of the class in it.
            kappa = 0.0, Domain::within(0.0, 0.99)
        },
        /// `meanflow` along the velocity that the network predicts.
        ImprovedMeanFlow = "imf" | "improved-meanflow" {
            /// Share of rows with an interval of 0.
            flow = 0.5, Domain::within(0.0, 1.0);
            /// Power of the robust loss.
            p = 0.0, Domain::within(0.0, 2.0);
            /// Offset of the robust loss.
            c = 1e-3, Domain::above(0.0, 1e6);
            /// Weight of the velocity of the pair in a guided target.
            omega = 1.0, Domain::within(0.0, 100.0);
            /// Weight of the predicted velocity of the class in it.
            kappa = 0.0, Domain::within(0.0, 0.99)
        },
        /// Lagrangian self-distillation: the derivative with respect to the end of the interval is
        /// the velocity there.
        Lagrangian = "lsd" | "lagrangian" {
            /// Share of rows with an interval of 0.
            flow = 0.5, Domain::within(0.0, 1.0);
            /// Power of the robust loss.
            p = 0.0, Domain::within(0.0, 2.0);
            /// Offset of the robust loss.
            c = 1e-3, Domain::above(0.0, 1e6);
            /// Weight of the velocity of the pair in a guided target.
            omega = 1.0, Domain::within(0.0, 100.0);
            /// Weight of the predicted velocity of the class in it.
            kappa = 0.0, Domain::within(0.0, 0.99)
        },
    }
}

/// The parameters of a flow map.
struct Values {
    flow: f64,
    p: f64,
    c: f64,
    guidance: Guidance,
}

/// Weights of the velocities in a guided target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Guidance {
    /// Weight of the velocity of the pair.
    pub(crate) omega: f64,
    /// Weight of the predicted velocity of the class.
    pub(crate) kappa: f64,
}

impl TaskKind {
    /// The parameters; those of a flow have no effect.
    fn values(self) -> Values {
        match self {
            Self::Flow => Values { flow: 1.0, p: 0.0, c: 1.0, guidance: Guidance { omega: 1.0, kappa: 0.0 } },
            Self::Split { flow, p, c, omega, kappa }
            | Self::Shortcut { flow, p, c, omega, kappa }
            | Self::MeanFlow { flow, p, c, omega, kappa }
            | Self::ImprovedMeanFlow { flow, p, c, omega, kappa }
            | Self::Lagrangian { flow, p, c, omega, kappa } => {
                Values { flow, p, c, guidance: Guidance { omega, kappa } }
            }
        }
    }

    /// The share of rows with an interval of 0.
    pub(crate) fn flow_share(self) -> f64 {
        self.values().flow
    }

    /// Power and offset of the robust loss, unless the power is 0.
    pub(crate) fn robustness(self) -> Option<(f64, f64)> {
        let Values { p, c, .. } = self.values();
        (p > 0.0).then_some((p, c))
    }

    /// The weights of a guided target, unless they are those of the velocity of the pair alone.
    pub(crate) fn guidance(self) -> Option<Guidance> {
        let guidance = self.values().guidance;
        (guidance != Guidance { omega: 1.0, kappa: 0.0 }).then_some(guidance)
    }

    /// Whether the target contains a derivative of the network in t.
    pub fn takes_derivative(self) -> bool {
        matches!(self, Self::MeanFlow { .. } | Self::ImprovedMeanFlow { .. } | Self::Lagrangian { .. })
    }

    /// Whether the network learns the guided flow, so that its samples need no guidance.
    pub fn is_guided(self) -> bool {
        self.guidance().is_some()
    }
}
