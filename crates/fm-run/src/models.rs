//! Networks for points and tables, by name.

use anyhow::{Context, ensure};
use fm_models::ModelConfig;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::layers::Activation;
use fm_models::mlp::MlpConfig;
use fm_models::sequence::SequenceConfig;
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
        /// Transformer over the places of sequences.
        Transformer = "transformer",
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
    /// Attention heads of a transformer.
    pub heads: i64,
}

impl TableNetwork {
    /// The configuration for `dim` columns. The network is conditioned on one of `classes` classes
    /// (0: unconditional); `null_class` adds the null class. `series` is the shape (length,
    /// channels) of rows that are sequences.
    ///
    /// # Errors
    /// A transformer for rows that are no sequences, or of blocks of several widths.
    pub fn config(
        &self,
        dim: usize,
        series: Option<[i64; 2]>,
        classes: usize,
        null_class: bool,
    ) -> anyhow::Result<ModelConfig> {
        let (dim, widths, classes) = (dim as i64, self.widths.clone(), classes as i64);
        let own = match self.model {
            TableModel::Mlp => Activation::Gelu,
            TableModel::SeluMlp => Activation::Selu,
            TableModel::ConcatSquash => Activation::Tanh,
            TableModel::Transformer => return self.transformer(series, classes, null_class),
        };
        let activation = self.activation.unwrap_or(own);
        Ok(match self.model {
            TableModel::Mlp | TableModel::SeluMlp => {
                ModelConfig::Mlp(MlpConfig { dim, widths, activation, classes, null_class, ..MlpConfig::default() })
            }
            _ => {
                let (layer, degree) = (self.layer, self.degree);
                let config = ConcatSquashConfig { dim, widths, layer, activation, degree, ..Default::default() };
                ModelConfig::ConcatSquash(ConcatSquashConfig { classes, null_class, ..config })
            }
        })
    }

    /// A block for each width.
    fn transformer(&self, series: Option<[i64; 2]>, classes: i64, null_class: bool) -> anyhow::Result<ModelConfig> {
        let [length, channels] = series.context(
            "a transformer takes sequences, and the rows are none; give --window ROWS or an array (N, L, C), or another --model",
        )?;
        let width = self.widths.first().copied().unwrap_or_default();
        ensure!(
            self.widths.iter().all(|each| *each == width),
            "widths are {:?}, and the blocks of a transformer have one width; give equal --widths",
            self.widths
        );
        let depth = self.widths.len() as i64;
        let config = SequenceConfig { length, channels, width, depth, heads: self.heads, ..SequenceConfig::default() };
        Ok(ModelConfig::Sequence(SequenceConfig { classes, null_class, ..config }))
    }
}
