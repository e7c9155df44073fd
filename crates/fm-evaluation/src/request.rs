//! The requested metrics, and the features that they use.

use crate::extract::{Extractor, ExtractorName, Protocol};
use crate::metrics::{self, MetricName};
use anyhow::{Context, bail, ensure};
use fm_cli::program::nearest;
use fm_core::choice::Choice;
use fm_models::features::inception;
use std::path::Path;
use tch::Device;

/// A metric, with an extractor if its name includes one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricSpec {
    /// The metric.
    pub metric: MetricName,
    /// The extractor, if one is named.
    pub extractor: Option<ExtractorName>,
}

impl MetricSpec {
    /// The name of the metric on an extractor, for one that cannot be computed.
    pub fn key(self, extractor: &Extractor) -> String {
        if self.metric == MetricName::Fid {
            self.metric.to_string()
        } else {
            format!("{}-{}", self.metric, extractor.name())
        }
    }

    /// Parses `kid` or `kid-pixels`.
    ///
    /// # Errors
    /// An unknown name, and a metric that is not defined on the named features.
    ///
    /// ```
    /// use fm_evaluation::request::MetricSpec;
    /// assert_eq!(MetricSpec::parse("kid-pixels")?.extractor.map(|on| on.to_string()), Some("pixels".into()));
    /// assert!(MetricSpec::parse("fidd").unwrap_err().to_string().contains("did you mean 'fid'"));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (name, on) = text.split_once('-').map_or((text, None), |(name, on)| (name, Some(on)));
        let metric = MetricName::parse(name).with_context(|| {
            let near = nearest(name, MetricName::TABLE.iter().map(|e| e.name())).unwrap_or_default();
            format!("--metrics has '{text}'; did you mean '{near}'? A metric may name its features: kid-pixels")
        })?;
        let extractor = on.map(ExtractorName::parse).transpose()?;
        if let Some(on) = extractor {
            ensure!(metrics::of(metric).is_some(), "{metric} looks at no features; drop -{on}");
            ensure!(
                metric != MetricName::Fid || on == ExtractorName::Inception,
                "FID is a distance of Inception features; that of {on} is called fd-{on}"
            );
            ensure!(
                (metric, on) != (MetricName::Is, ExtractorName::Pixels),
                "the inception score needs a classifier; pixels have none"
            );
        }
        Ok(Self { metric, extractor: extractor.or((metric == MetricName::Fid).then_some(ExtractorName::Inception)) })
    }
}

/// The requested extractors, each loaded once.
#[derive(Debug, Default)]
pub struct Extractors {
    /// In the order of the requested metrics.
    pub all: Vec<Extractor>,
}

/// Settings for loading extractors.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The extractor of metrics that name none.
    pub default: Option<ExtractorName>,
    /// The file of Inception's weights.
    pub weights: Option<&'a Path>,
    /// The preparation of images for Inception.
    pub protocol: Protocol,
    /// Where extractors compute.
    pub device: Device,
}

impl Extractors {
    /// The index of the extractor for a metric on images of this shape.
    ///
    /// # Errors
    /// Images that the extractor does not take, and weights that cannot be read.
    pub fn place(&mut self, asked: MetricSpec, shape: [usize; 3], from: &Sources<'_>) -> anyhow::Result<usize> {
        let natural = match (from.weights, shape) {
            (Some(_), _) => ExtractorName::Inception,
            (None, [3, 32, 32]) => ExtractorName::Resnet20,
            _ => ExtractorName::Pixels,
        };
        let name = asked.extractor.or(from.default).unwrap_or(natural);
        let name = if asked.metric == MetricName::Is && name == ExtractorName::Pixels {
            bail!("the inception score needs a classifier; ask for is-resnet20 (32 x 32 colour images) or is-inception")
        } else {
            name
        };
        if let Some(k) = self.all.iter().position(|e| e.name() == name) {
            return Ok(k);
        }
        if name == ExtractorName::Resnet20 {
            ensure!(
                shape == [3, 32, 32],
                "resnet20 takes colour images of 32 x 32, these are {shape:?}; take -pixels or -inception"
            );
        }
        self.all.push(match (name, from.weights) {
            (ExtractorName::Resnet20, _) => Extractor::resnet20(from.device)?,
            (ExtractorName::Pixels, _) => Extractor::Pixels { dim: shape.iter().product() },
            (ExtractorName::Inception, Some(file)) => Extractor::inception(file, from.protocol, from.device)?,
            (ExtractorName::Inception, None) => bail!(
                "Inception needs weights, which are not part of this project: give --inception-weights FILE, the file \
                 pt_inception-2015-12-05-{}.pth of pytorch-fid's releases; or take fd-resnet20 (32 x 32 colour images) or fd-pixels",
                inception::HASH
            ),
        });
        Ok(self.all.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_with_their_features() {
        let read = |text: &str| MetricSpec::parse(text).unwrap();
        assert_eq!(read("kid"), MetricSpec { metric: MetricName::Kid, extractor: None });
        assert_eq!(read("fd-pixels"), MetricSpec { metric: MetricName::Fd, extractor: Some(ExtractorName::Pixels) });
        assert_eq!(read("fid").extractor, Some(ExtractorName::Inception));
        let says = |text: &str, what: &str| {
            let error = format!("{:#}", MetricSpec::parse(text).unwrap_err());
            assert!(error.contains(what), "{error}");
        };
        says("fidd", "did you mean 'fid'");
        says("fid-resnet20", "is called fd-resnet20");
        says("nn-pixels", "drop -pixels");
        says("is-pixels", "needs a classifier");
        says("kid-vgg", "no extractor is called 'vgg'");
    }
}
