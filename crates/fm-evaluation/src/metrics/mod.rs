//! The metrics by name. Those on features are one file each: their inputs and their computation.
//!
//! To add a metric, add a file here, and in this file its module and a variant of [`MetricName`].
//! The compiler then requires its row in the table.

mod energy;
mod frechet;
mod inception_score;
mod kid;
mod manifold;
mod metric;

pub use frechet::gaussian;
pub use metric::{Needs, OnFeatures};

use fm_core::choice::Choice;
use metric::FeatureMetric;

fm_core::choice! {
    /// A metric.
    #[derive(Eq)]
    pub enum MetricName("metric") {
        /// The Fréchet distance between Gaussians fitted to features.
        Fd = "fd",
        /// The Fréchet distance on Inception features, with the protocol and the weights of FID.
        Fid = "fid",
        /// The kernel inception distance: unbiased MMD with a cubic kernel.
        Kid = "kid",
        /// The energy distance, in the units of the features.
        Energy = "energy",
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

/// A row of the table of metrics.
struct Row {
    /// The explanation in the help, if the name needs one.
    help: Option<&'static str>,
    /// The computation; `None` for metrics that do not use features.
    on_features: Option<&'static dyn FeatureMetric>,
}

fn row(name: MetricName) -> Row {
    let on_features = |metric: &'static dyn FeatureMetric, help| Row { help, on_features: Some(metric) };
    match name {
        MetricName::Fd => on_features(&frechet::FrechetDistance, Some("Fréchet distance")),
        MetricName::Fid => on_features(&frechet::FrechetDistance, None),
        MetricName::Kid => on_features(&kid::KernelDistance, None),
        MetricName::Energy => on_features(&energy::EnergyDistance, Some("energy distance")),
        MetricName::Pr => on_features(&manifold::PRECISION_RECALL, Some("precision and recall")),
        MetricName::Dc => on_features(&manifold::DENSITY_COVERAGE, Some("density and coverage")),
        MetricName::Is => on_features(&inception_score::InceptionScore, Some("inception score")),
        MetricName::Nn => Row { help: Some("class agreement and copies, by nearest neighbours"), on_features: None },
        MetricName::Nll => Row { help: Some("bits per dimension"), on_features: None },
    }
}

/// The metric with this name; `None` for metrics that do not use features.
pub fn of(name: MetricName) -> Option<&'static dyn FeatureMetric> {
    row(name).on_features
}

/// Inputs of a metric; none for metrics that do not use features.
pub fn needs(name: MetricName) -> Needs {
    of(name).map(FeatureMetric::needs).unwrap_or_default()
}

/// All names with their explanations, for the help.
pub fn listed() -> String {
    let one = |name: &str| {
        let help = MetricName::parse(name).ok().and_then(|metric| row(metric).help);
        help.map_or_else(|| name.to_owned(), |help| format!("{name} ({help})"))
    };
    MetricName::TABLE.iter().map(|entry| one(entry.name())).collect::<Vec<String>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_explains_the_names_that_need_it() {
        assert!(listed().starts_with("fd (Fréchet distance), fid, kid, energy (energy distance), pr"), "{}", listed());
    }
}
