//! The tasks by name.

use fm_core::choice;
use fm_core::choice::Domain;

choice! {
    /// A task of training. `flow` is the share of rows with an interval of 0, which train the
    /// velocity; p and c are the power and the offset of the robust loss.
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
            c = 1e-3, Domain::above(0.0, 1e6)
        },
        /// `split` at the middle of intervals of 1, 1/2, ..., 1/128, with targets of the averaged
        /// weights.
        Shortcut = "shortcut" {
            /// Share of rows with an interval of 0.
            flow = 0.5, Domain::within(0.0, 1.0);
            /// Power of the robust loss.
            p = 0.0, Domain::within(0.0, 2.0);
            /// Offset of the robust loss.
            c = 1e-3, Domain::above(0.0, 1e6)
        },
        /// A flow map trained by its derivative along the velocity of the pair.
        MeanFlow = "meanflow" | "mean-flow" {
            /// Share of rows with an interval of 0.
            flow = 0.5, Domain::within(0.0, 1.0);
            /// Power of the robust loss.
            p = 0.0, Domain::within(0.0, 2.0);
            /// Offset of the robust loss.
            c = 1e-3, Domain::above(0.0, 1e6)
        },
        /// `meanflow` along the velocity that the network predicts.
        ImprovedMeanFlow = "imf" | "improved-meanflow" {
            /// Share of rows with an interval of 0.
            flow = 0.5, Domain::within(0.0, 1.0);
            /// Power of the robust loss.
            p = 0.0, Domain::within(0.0, 2.0);
            /// Offset of the robust loss.
            c = 1e-3, Domain::above(0.0, 1e6)
        },
        /// Lagrangian self-distillation: the derivative by the end of the interval is the velocity
        /// there.
        Lagrangian = "lsd" | "lagrangian" {
            /// Share of rows with an interval of 0.
            flow = 0.5, Domain::within(0.0, 1.0);
            /// Power of the robust loss.
            p = 0.0, Domain::within(0.0, 2.0);
            /// Offset of the robust loss.
            c = 1e-3, Domain::above(0.0, 1e6)
        },
    }
}

impl TaskKind {
    /// The share of rows with an interval of 0, the power and the offset.
    fn values(self) -> (f64, f64, f64) {
        match self {
            Self::Flow => (1.0, 0.0, 1.0),
            Self::Split { flow, p, c }
            | Self::Shortcut { flow, p, c }
            | Self::MeanFlow { flow, p, c }
            | Self::ImprovedMeanFlow { flow, p, c }
            | Self::Lagrangian { flow, p, c } => (flow, p, c),
        }
    }

    /// The share of rows with an interval of 0.
    pub(crate) fn flow_share(self) -> f64 {
        self.values().0
    }

    /// Power and offset of the robust loss, unless the power is 0.
    pub(crate) fn robustness(self) -> Option<(f64, f64)> {
        let (_, p, c) = self.values();
        (p > 0.0).then_some((p, c))
    }
}
