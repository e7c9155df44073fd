//! Transformations of the columns of a table, by name.

fm_core::choice! {
    /// A transformation of the columns, inverted after sampling.
    #[derive(Default, Eq)]
    pub enum Preprocess("preprocessing") {
        /// The identity.
        None = "none",
        /// (x - mean) / standard deviation, per column.
        #[default]
        Standardize = "standardize" | "standardise",
        /// ln(1 + x), then `standardize`; samples are at least 0.
        Log1pStandardize = "log1p-standardize" | "log1p",
        /// `log1p-standardize` for counts: samples are rounded to whole numbers.
        Counts = "counts",
        /// The range of each column becomes [-1, 1].
        #[doc(alias = "MinMaxScaler")]
        MinMax = "minmax" | "min-max",
        /// Each column becomes standard normal, by its quantiles; samples stay in its range.
        #[doc(alias = "QuantileTransformer")]
        Quantile = "quantile",
    }
}

impl Preprocess {
    /// Whether ln(1 + x) is applied first.
    pub fn is_log1p(self) -> bool {
        matches!(self, Self::Log1pStandardize | Self::Counts)
    }
}
