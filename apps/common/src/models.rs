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
    /// The network for `dim` columns, with hidden layers of these widths, that is told one of so many classes (0 for none), and perhaps that a
    /// class is not known.
    pub fn config(self, dim: usize, widths: &[i64], classes: usize, null_class: bool) -> ModelConfig {
        let (dim, widths, classes) = (dim as i64, widths.to_vec(), classes as i64);
        match self {
            Self::Mlp | Self::SeluMlp => {
                let activation = if self == Self::Mlp { Activation::Gelu } else { Activation::Selu };
                ModelConfig::Mlp(MlpConfig { dim, widths, activation, classes, null_class })
            }
            Self::ConcatSquash => {
                let config = ConcatSquashConfig { dim, widths, classes, null_class, ..ConcatSquashConfig::default() };
                ModelConfig::ConcatSquash(config)
            }
        }
    }
}
