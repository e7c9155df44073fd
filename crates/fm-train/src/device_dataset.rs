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
use fm_core::data::Pick;
use fm_core::tensor::indices;
use tch::{Device, Kind, Tensor};

/// All images of a data set.
#[derive(Debug)]
#[doc(alias = "pin_memory")]
pub struct DeviceDataset {
    /// (N, C, H, W), uint8.
    bytes: Tensor,
    scale: f32,
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
        Ok(Self { bytes, scale: 2.0 / f32::from(levels) })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.bytes.size()[0] as usize
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
        bytes.to_kind(Kind::Float) * f64::from(self.scale) - 1.0
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
