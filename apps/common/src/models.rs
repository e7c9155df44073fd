//! The networks for points and tables that users can name.

use fm_models::ModelConfig;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::layers::Activation;
use fm_models::mlp::MlpConfig;

fm_core::choice! {
    /// A network for points and tables.
    #[derive(Default)]
    pub enum TableModel("model") {
        /// Fully connected, GELU.
        #[default]
        Mlp = "mlp" | "gelu-mlp",
        /// Fully connected, SELU: torchcfm's.
        SeluMlp = "selu-mlp",
        /// Gated by time: that of continuous normalising flows.
        ConcatSquash = "concat-squash",
    }
}

impl TableModel {
    /// The network for `dim` columns, with hidden layers of these widths.
    pub fn config(self, dim: usize, widths: &[i64]) -> ModelConfig {
        let (dim, widths) = (dim as i64, widths.to_vec());
        match self {
            Self::Mlp => ModelConfig::Mlp(MlpConfig { dim, widths, activation: Activation::Gelu }),
            Self::SeluMlp => ModelConfig::Mlp(MlpConfig { dim, widths, activation: Activation::Selu }),
            Self::ConcatSquash => {
                ModelConfig::ConcatSquash(ConcatSquashConfig { dim, widths, ..ConcatSquashConfig::default() })
            }
        }
    }
}
