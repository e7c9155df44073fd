//! Images kept on the device as bytes: a batch holds only row numbers, and no pixels are copied to
//! the device per step.
//!
//! Pixels p in 0..=levels become 2 p / levels - 1, in the same f32 operations as on the host, so a
//! run gives the same result with its data on the host or on the device.
//!
//! ```
//! use fm_core::data::Pick;
//! use fm_train::device_dataset::DeviceDataset;
//! use tch::Device;
//! let images = DeviceDataset::new(&[0, 255, 51, 102], [1, 1, 2], 255, Device::Cpu)?;
//! let rows = images.rows(&[Pick { row: 1, mirrored: true }, Pick { row: 0, mirrored: false }]);
//! assert_eq!(rows.size(), [2, 1, 1, 2]);
//! let want = [102.0 * (2.0 / 255.0) - 1.0, 51.0 * (2.0 / 255.0) - 1.0, -1.0, 1.0f32];
//! assert_eq!(Vec::<f32>::try_from(rows.view(-1)).unwrap(), want);
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use crate::device_choice::Choice;
use fm_core::coupling::RowPotentials;
use fm_core::data::Pick;
use fm_core::tensor::indices;
use std::collections::BTreeSet;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// All images of a data set.
#[derive(Debug)]
#[doc(alias = "pin_memory")]
pub struct DeviceDataset {
    /// (N, C, H, W), uint8.
    bytes: Tensor,
    scale: f32,
    choice: Option<Choice>,
}

/// What batches may name of the images on a device.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// The number of images.
    pub(crate) rows: usize,
    /// The classes within which images can be chosen; `None` without potentials.
    pub(crate) classes: Option<BTreeSet<i64>>,
}

impl DeviceDataset {
    /// Uploads images of shape (C, H, W), stored one after the other.
    ///
    /// # Errors
    /// [`TrainError::Setting`]: an empty shape, a number of bytes that is not a whole number of
    /// images, `levels` of 0.
    pub fn new(pixels: &[u8], shape: [usize; 3], levels: u8, device: Device) -> Result<Self, TrainError> {
        let size = shape.iter().try_fold(1, |product: usize, n| product.checked_mul(*n)).unwrap_or(0);
        if size == 0 || !pixels.len().is_multiple_of(size) {
            let found = format!("{} bytes for images of {shape:?}", pixels.len());
            return Err(TrainError::setting("image data", found, "give whole images of at least one pixel"));
        }
        if levels == 0 {
            return Err(TrainError::setting("largest pixel value", 0, "give at least 1"));
        }
        let [channels, height, width] = shape.map(|n| n as i64);
        let count = (pixels.len() / size) as i64;
        let bytes = Tensor::from_slice(pixels).to_device(device).view([count, channels, height, width]);
        Ok(Self { bytes, scale: 2.0 / f32::from(levels), choice: None })
    }

    /// The same images, which source rows [choose](Self::choose) by these potentials: one per
    /// image, or one per image and then one per mirrored image.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for another number of potentials or classes.
    pub fn choosing(self, potentials: &RowPotentials) -> Result<Self, TrainError> {
        let choice = Choice::new(potentials, self.len(), self.bytes.device())?;
        Ok(Self { choice: Some(choice), ..self })
    }

    /// Replaces the potentials of [`choosing`](Self::choosing) by as many others.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for another number of potentials, or without any to replace.
    pub fn set_potentials(&mut self, potentials: &[f64]) -> Result<(), TrainError> {
        let device = self.bytes.device();
        match &mut self.choice {
            Some(choice) if choice.len() == potentials.len() as i64 => choice.set(potentials, device),
            _ => {
                let remedy = "give as many as the choice was made with";
                return Err(TrainError::setting("number of potentials", potentials.len(), remedy));
            }
        }
        Ok(())
    }

    /// The image that each source row (B, C, H, W) chooses: (B) row numbers, and (B) whether to
    /// mirror, if mirrored images can be chosen. `classes` (B), int64, are those of the source
    /// rows; a class that no image has gives image 0. `None` without potentials, or without the
    /// classes that they need.
    ///
    /// # Panics
    /// On tensors of other shapes or types.
    pub fn choose(&self, x0: &Tensor, classes: Option<&Tensor>) -> Option<(Tensor, Option<Tensor>)> {
        let choice = self.choice.as_ref().filter(|choice| classes.is_some() || !choice.needs_classes())?;
        let count = self.len() as i64;
        let chosen = tch::no_grad(|| choice.choose(&x0.flatten(1, -1), classes, |range| self.block(range)));
        let mirrored = (choice.len() > count).then(|| chosen.ge(count));
        Some((if mirrored.is_some() { chosen.remainder(count) } else { chosen }, mirrored))
    }

    /// What batches may name of these images.
    pub(crate) fn held(&self) -> Held {
        Held { rows: self.len(), classes: self.choice.as_ref().map(|choice| choice.known().clone()) }
    }

    /// Some images as rows of values; from [`len`](Self::len) on, the mirrored ones.
    fn block(&self, range: Range<i64>) -> Tensor {
        let count = self.len() as i64;
        let part = |first: i64, end: i64, mirrored: bool| {
            let bytes = self.bytes.narrow(0, first, (end - first).max(0));
            let bytes = if mirrored { bytes.flip([3]) } else { bytes };
            self.values(&bytes).flatten(1, -1)
        };
        if range.end <= count {
            part(range.start, range.end, false)
        } else if range.start >= count {
            part(range.start - count, range.end - count, true)
        } else {
            Tensor::cat(&[part(range.start, count, false), part(0, range.end - count, true)], 0)
        }
    }

    /// Pixels in [-1, 1].
    fn values(&self, bytes: &Tensor) -> Tensor {
        bytes.to_kind(Kind::Float) * f64::from(self.scale) - 1.0
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.bytes.size()[0] as usize
    }

    /// The device.
    pub fn device(&self) -> Device {
        self.bytes.device()
    }

    /// The shape of a batch of rows, (rows, C, H, W).
    pub fn batch_shape(&self, rows: usize) -> Vec<i64> {
        let mut shape = self.bytes.size();
        shape[0] = rows as i64;
        shape
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of a batch: (B) int64 row numbers on the device and (B) bool, whether to mirror,
    /// give (B, C, H, W) in [-1, 1], f32.
    ///
    /// # Panics
    /// On a number that is negative or not less than [`len`](Self::len), and on tensors of other
    /// shapes or types.
    pub fn select(&self, rows: &Tensor, mirrored: Option<&Tensor>) -> Tensor {
        let plain = self.bytes.index_select(0, rows);
        let bytes = match mirrored {
            Some(mirrored) => plain.flip([3]).where_self(&mirrored.view([-1, 1, 1, 1]), &plain),
            None => plain,
        };
        self.values(&bytes)
    }

    /// The same for row numbers on the host, which are uploaded.
    ///
    /// # Panics
    /// On a row that is not less than [`len`](Self::len).
    pub fn rows(&self, device_rows: &[Pick]) -> Tensor {
        let device = self.bytes.device();
        let rows: Vec<usize> = device_rows.iter().map(|pick| pick.row).collect();
        let mirrored: Vec<bool> = device_rows.iter().map(|pick| pick.mirrored).collect();
        self.select(&indices(&rows, device), Some(&Tensor::from_slice(&mirrored).to_device(device)))
    }
}
