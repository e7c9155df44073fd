//! What is done to the columns of a table before a network sees them, by name.

fm_core::choice! {
    /// What is done to columns, and undone after sampling.
    #[derive(Default, Eq)]
    pub enum Preprocess("preprocessing") {
        /// Nothing.
        None = "none",
        /// (x - mean) / deviation, column by column.
        #[default]
        Standardize = "standardize" | "standardise",
        /// ln(1 + x), then as above; samples are at least 0.
        Log1pStandardize = "log1p-standardize" | "log1p",
        /// The same for counts: samples are rounded to whole numbers.
        Counts = "counts",
    }
}
