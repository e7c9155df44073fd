//! Images that stay on the device as bytes: a batch then only names its rows, and nothing else of the data crosses to the device.
//!
//! Pixels p in 0..=levels become 2 p / levels - 1, in the same f32 operations as on the host, so that it does not matter to a run where its
//! data lie.
//!
//! ```
//! use fm_core::data::Pick;
//! use fm_train::resident::Resident;
//! use tch::Device;
//! let images = Resident::new(&[0, 255, 51, 102], [1, 1, 2], 255, Device::Cpu);
//! let rows = images.rows(&[Pick { row: 1, mirrored: true }, Pick { row: 0, mirrored: false }]);
//! assert_eq!(rows.size(), [2, 1, 1, 2]);
//! let want = [102.0 * (2.0 / 255.0) - 1.0, 51.0 * (2.0 / 255.0) - 1.0, -1.0, 1.0f32];
//! assert_eq!(Vec::<f32>::try_from(rows.view(-1)).unwrap(), want);
//! ```

use fm_core::data::Pick;
use fm_core::tensor::indices;
use tch::{Device, Kind, Tensor};

/// All images of a data set.
#[derive(Debug)]
pub struct Resident {
    /// (N, C, H, W), uint8.
    bytes: Tensor,
    scale: f32,
}

impl Resident {
    /// Uploads images of shape (C, H, W) that lie one after the other.
    pub fn new(pixels: &[u8], shape: [usize; 3], levels: u8, device: Device) -> Self {
        let [channels, height, width] = shape.map(|n| n as i64);
        let bytes = Tensor::from_slice(pixels).to_device(device).view([-1, channels, height, width]);
        Self { bytes, scale: 2.0 / f32::from(levels) }
    }

    /// The rows of a batch by number, (B) int64 on the device, each mirrored or not, (B) bool: (B, C, H, W) in [-1, 1], f32.
    pub fn select(&self, rows: &Tensor, mirrored: Option<&Tensor>) -> Tensor {
        let plain = self.bytes.index_select(0, rows);
        let bytes = match mirrored {
            Some(mirrored) => plain.flip([3]).where_self(&mirrored.view([-1, 1, 1, 1]), &plain),
            None => plain,
        };
        bytes.to_kind(Kind::Float) * f64::from(self.scale) - 1.0
    }

    /// The same for rows that are named on the host, which uploads their numbers.
    pub fn rows(&self, picks: &[Pick]) -> Tensor {
        let device = self.bytes.device();
        let rows: Vec<usize> = picks.iter().map(|pick| pick.row).collect();
        let mirrored: Vec<bool> = picks.iter().map(|pick| pick.mirrored).collect();
        self.select(&indices(&rows, device), Some(&Tensor::from_slice(&mirrored).to_device(device)))
    }
}
