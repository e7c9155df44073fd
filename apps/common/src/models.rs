//! Networks for points and tables, by name.

use fm_models::ModelConfig;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::layers::Activation;
use fm_models::mlp::MlpConfig;
use fm_models::timed_layer::LayerKind;

fm_core::choice! {
    /// A network for points and tables.
    #[derive(Default)]
    pub enum TableModel("model") {
        /// Fully connected, with GELU.
        #[default]
        Mlp = "mlp" | "gelu-mlp",
        /// Fully connected, with SELU, as in torchcfm.
        SeluMlp = "selu-mlp",
        /// Concat-squash layers, gated by time, as in continuous normalising flows.
        ConcatSquash = "concat-squash",
    }
}

/// What a network for tables is made of, apart from the data's columns and classes.
#[derive(Debug, Clone, PartialEq)]
pub struct TableNetwork {
    /// The type.
    pub model: TableModel,
    /// Widths of the hidden layers.
    pub widths: Vec<i64>,
    /// The activation between layers; `None` for that of the type.
    pub activation: Option<Activation>,
    /// The layers of a ConcatSquash network.
    pub layer: LayerKind,
    /// Degree of the polynomial features of its input.
    pub degree: i64,
}

impl TableNetwork {
    /// The configuration for `dim` columns. The network is conditioned on one of `classes` classes
    /// (0: unconditional); `null_class` adds the null class.
    pub fn config(&self, dim: usize, classes: usize, null_class: bool) -> ModelConfig {
        let (dim, widths, classes) = (dim as i64, self.widths.clone(), classes as i64);
        let own = match self.model {
            TableModel::Mlp => Activation::Gelu,
            TableModel::SeluMlp => Activation::Selu,
            TableModel::ConcatSquash => Activation::Tanh,
        };
        let activation = self.activation.unwrap_or(own);
        match self.model {
            TableModel::Mlp | TableModel::SeluMlp => {
                ModelConfig::Mlp(MlpConfig { dim, widths, activation, classes, null_class, ..MlpConfig::default() })
            }
            TableModel::ConcatSquash => {
                let (layer, degree) = (self.layer, self.degree);
                let config = ConcatSquashConfig { dim, widths, layer, activation, degree, ..Default::default() };
                ModelConfig::ConcatSquash(ConcatSquashConfig { classes, null_class, ..config })
            }
        }
    }
}
