//! Networks for points and tables, by name.

use fm_models::ModelConfig;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::layers::Activation;
use fm_models::mlp::MlpConfig;

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

impl TableModel {
    /// The configuration for `dim` columns and hidden layers of these widths. The network is
    /// conditioned on one of `classes` classes (0: unconditional); `null_class` adds the null
    /// class.
    pub fn config(self, dim: usize, widths: &[i64], classes: usize, null_class: bool) -> ModelConfig {
        let (dim, widths, classes) = (dim as i64, widths.to_vec(), classes as i64);
        match self {
            Self::Mlp | Self::SeluMlp => {
                let activation = if self == Self::Mlp { Activation::Gelu } else { Activation::Selu };
                ModelConfig::Mlp(MlpConfig { dim, widths, activation, classes, null_class, ..MlpConfig::default() })
            }
            Self::ConcatSquash => {
                let config = ConcatSquashConfig { dim, widths, classes, null_class, ..ConcatSquashConfig::default() };
                ModelConfig::ConcatSquash(config)
            }
        }
    }
}
