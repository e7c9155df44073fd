//! The metrics on features, one file each: their inputs and their computation.
//!
//! To add a metric, add a file here, a name in [`MetricName`], and an arm of [`of`].

mod frechet;
mod inception_score;
mod kid;
mod manifold;
mod metric;
mod name;

pub(super) use frechet::gaussian;
pub(super) use metric::{Needs, OnFeatures};
pub(crate) use name::MetricName;

use metric::FeatureMetric;

/// The metric with this name; `None` for metrics that do not use features.
pub(super) fn of(name: MetricName) -> Option<&'static dyn FeatureMetric> {
    match name {
        MetricName::Fd | MetricName::Fid => Some(&frechet::FrechetDistance),
        MetricName::Kid => Some(&kid::KernelDistance),
        MetricName::Pr => Some(&manifold::PRECISION_RECALL),
        MetricName::Dc => Some(&manifold::DENSITY_COVERAGE),
        MetricName::Is => Some(&inception_score::InceptionScore),
        MetricName::Nn | MetricName::Nll => None,
    }
}

/// Inputs of a metric; none for metrics that do not use features.
pub(super) fn needs(name: MetricName) -> Needs {
    of(name).map(FeatureMetric::needs).unwrap_or_default()
}
