//! Feature extraction from images.

use crate::images::Batch;
use fm_core::budget::{self, limits};
use fm_metrics::resize::bicubic;
use fm_models::features::Extracted;
use fm_models::features::inception::{self, Inception};
use fm_models::features::resnet20::{self, Resnet20};
use fm_train::TrainError;
use fm_train::files::sha256_of;
use serde_json::{Value, json};
use std::path::Path;
use tch::{Device, Kind, Tensor};

fm_core::choice! {
    /// A feature extractor.
    #[derive(Eq)]
    pub enum ExtractorName("extractor") {
        /// A ResNet-20 trained on CIFAR-10: 64 features of 32 x 32 colour images.
        Resnet20 = "resnet20",
        /// Inception-v3 as used for FID: 2048 features of images of any size.
        Inception = "inception",
        /// The pixels themselves, from 0 to 1.
        Pixels = "pixels",
    }
}

fm_core::choice! {
    /// Preparation of images for Inception.
    #[derive(Default, Eq)]
    pub enum Protocol("protocol") {
        /// Bilinear without antialiasing: as in pytorch-fid and most papers.
        #[default]
        PytorchFid = "pytorch-fid",
        /// Pillow's bicubic filter with antialiasing: as in clean-fid.
        CleanFid = "clean-fid",
    }
}

/// Images per batch of Inception.
const AT_ONCE: i64 = 50;

/// A feature extractor with its weights.
#[derive(Debug)]
pub enum Extractor {
    /// A ResNet-20 trained on CIFAR-10.
    Resnet20 {
        /// The network.
        network: Box<Resnet20>,
        /// Where it computes.
        device: Device,
    },
    /// Inception-v3.
    Inception {
        /// The network.
        network: Box<Inception>,
        /// The preparation of images.
        protocol: Protocol,
        /// The hash of its file of weights.
        sha256: String,
        /// Where it computes.
        device: Device,
    },
    /// The pixels themselves.
    Pixels {
        /// Values of an image.
        dim: usize,
    },
}

impl Extractor {
    /// The embedded ResNet-20.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn resnet20(device: Device) -> anyhow::Result<Self> {
        Ok(Self::Resnet20 { network: Box::new(Resnet20::new(device)?), device })
    }

    /// Inception-v3 with the weights of a file.
    ///
    /// # Errors
    /// A file that cannot be read, or that has other weights.
    pub fn inception(weights: &Path, protocol: Protocol, device: Device) -> anyhow::Result<Self> {
        // Only a plain file of weights is opened.
        let network = Box::new(Inception::open(weights, device)?);
        let opened = budget::open(weights, &limits::WEIGHTS).and_then(|(file, _)| sha256_of(file));
        let sha256 = opened.map_err(TrainError::io("read --inception-weights", weights))?;
        Ok(Self::Inception { network, protocol, sha256, device })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> ExtractorName {
        match self {
            Self::Resnet20 { .. } => ExtractorName::Resnet20,
            Self::Inception { .. } => ExtractorName::Inception,
            Self::Pixels { .. } => ExtractorName::Pixels,
        }
    }

    /// Number of features, and of classes.
    pub fn widths(&self) -> (usize, usize) {
        match self {
            Self::Resnet20 { .. } => (resnet20::FEATURES, resnet20::CLASSES),
            Self::Inception { .. } => (inception::FEATURES, inception::CLASSES),
            Self::Pixels { dim } => (*dim, 0),
        }
    }

    /// Whether this is the network that defines FID.
    pub fn is_fids(&self) -> bool {
        matches!(self, Self::Inception { sha256, .. } if sha256.starts_with(inception::HASH))
    }

    /// A key that identifies the extractor.
    pub fn key(&self) -> String {
        match self {
            Self::Resnet20 { .. } => self.name().to_string(),
            // Another key than that of values of other scales.
            Self::Pixels { .. } => "pixels-unit".into(),
            Self::Inception { protocol, sha256, .. } => format!("inception-{protocol}-{}", &sha256[..8]),
        }
    }

    /// A description of the extractor for results.
    pub fn describe(&self) -> Value {
        match self {
            Self::Resnet20 { .. } => json!({
                "name": "resnet20", "sha256": fm_train::files::sha256(resnet20::WEIGHTS), "features": resnet20::FEATURES,
                "preparation": "(x / 255 - mean) / deviation of ImageNet",
            }),
            Self::Inception { protocol, sha256, .. } => json!({
                "name": "inception", "sha256": sha256, "features": inception::FEATURES, "protocol": protocol.to_string(),
                "preparation": match protocol {
                    Protocol::PytorchFid => "bytes to [0, 1], bilinear to 299 x 299 without smoothing, to [-1, 1]",
                    Protocol::CleanFid => "bytes, Pillow's bicubic to 299 x 299 as floats, clipped, (x - 128) / 128",
                },
            }),
            Self::Pixels { dim } => {
                json!({ "name": "pixels", "features": dim, "preparation": "p / levels, in [0, 1]" })
            }
        }
    }

    /// Features and logits of a batch, row after row.
    ///
    /// # Errors
    /// Images that cannot be resized, and an exception of libtorch.
    pub fn extract(&self, batch: &Batch) -> anyhow::Result<(Vec<f32>, Vec<f32>)> {
        let (network, protocol, device) = match self {
            Self::Pixels { .. } => return Ok((batch.fractions(), Vec::new())),
            Self::Resnet20 { network, device } => {
                return rows(&network.extract(&resnet20::prepare(&bytes(batch).to_device(*device))));
            }
            Self::Inception { network, protocol, device, .. } => (network, protocol, *device),
        };
        let all = match protocol {
            Protocol::PytorchFid => bytes(batch),
            Protocol::CleanFid => smoothed(batch)?,
        };
        let (mut features, mut logits) = (Vec::new(), Vec::new());
        for first in (0..batch.rows() as i64).step_by(AT_ONCE as usize) {
            let some = all.narrow(0, first, AT_ONCE.min(batch.rows() as i64 - first)).to_device(device);
            let prepared = match protocol {
                Protocol::PytorchFid => inception::prepare_pytorch_fid(&some),
                Protocol::CleanFid => inception::prepare_clean_fid(&some),
            };
            let (f, l) = rows(&network.extract(&prepared))?;
            features.extend(f);
            logits.extend(l);
        }
        Ok((features, logits))
    }
}

fn rows(found: &Extracted) -> anyhow::Result<(Vec<f32>, Vec<f32>)> {
    let host = |t: &Tensor| Vec::try_from(t.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1]));
    Ok((host(&found.features)?, host(&found.logits)?))
}

/// Colour images of 0 to 255, (N, 3, H, W).
fn bytes(batch: &Batch) -> Tensor {
    let [_, height, width] = batch.shape;
    Tensor::from_slice(&batch.colours()).view([batch.rows() as i64, 3, height as i64, width as i64])
}

/// Images resized like clean-fid, (N, 3, 299, 299), in 0 to 255.
fn smoothed(batch: &Batch) -> anyhow::Result<Tensor> {
    let [_, height, width] = batch.shape;
    let side = inception::SIDE as usize;
    let plane = |p: &[u8]| {
        let values: Vec<f32> = p.iter().map(|v| f32::from(*v)).collect();
        let resized = bicubic(&values, (height, width), (side, side))?;
        Ok(resized.into_iter().map(|v| v.clamp(0.0, 255.0)).collect::<Vec<_>>())
    };
    let planes = batch.colours().chunks_exact(height * width).map(plane).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Tensor::from_slice(&planes.concat()).view([batch.rows() as i64, 3, side as i64, side as i64]))
}
