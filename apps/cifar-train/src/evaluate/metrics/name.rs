//! The metrics by name.

fm_core::choice! {
    /// A metric.
    #[derive(Eq)]
    pub(crate) enum MetricName("metric") {
        /// The Fréchet distance between Gaussians fitted to features.
        Fd = "fd",
        /// The Fréchet distance on Inception features, with the protocol and the weights of FID.
        Fid = "fid",
        /// The kernel inception distance: unbiased MMD with a cubic kernel.
        Kid = "kid",
        /// Improved precision and recall, to the 3rd neighbour.
        Pr = "pr",
        /// Density and coverage, to the 5th neighbour.
        Dc = "dc",
        /// The inception score: exp of the mean KL divergence between a classifier's predictions
        /// and their mean.
        Is = "is",
        /// Nearest training images: class agreement, and copies.
        Nn = "nn",
        /// Bits per dimension of images under the model.
        Nll = "nll",
    }
}
