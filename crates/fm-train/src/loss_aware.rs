//! Loss-aware times in a training loop.
//!
//! Squared losses are summed by bin on the device at every step. Every [`EVERY`] steps the sums are
//! read back and the density over times is updated. The density and the current sums are part of
//! the training state, so a resumed run draws the same times as an uninterrupted one.
//!
//! ```
//! use fm_train::loss_aware::LossAwareTimes;
//! use tch::{Device, Tensor};
//! let mut times = LossAwareTimes::new(2, Device::Cpu);
//! // The half of [0, 1] of each of four rows, one-hot.
//! let members = Tensor::from_slice(&[1f64, 0., 0., 1., 0., 1., 1., 0.]).view([4, 2]);
//! times.see(&members, &Tensor::from_slice(&[1f32, 3.0, 3.0, f32::NAN]));
//! times.adopt();
//! let q = times.law.probabilities();
//! assert!((q[1] - (0.99 * 0.75 + 0.005)).abs() < 1e-9); // losses 1 and 3
//! ```

use fm_core::time::LossAware;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

/// Steps between two updates of the density.
pub const EVERY: u64 = 50;

/// A density over times, and the losses since its last update.
#[derive(Debug)]
pub struct LossAwareTimes {
    /// The density.
    pub law: LossAware,
    /// Sum of squared losses and number of rows by bin, (2, bins) f64 on the device.
    sums: Tensor,
}

/// [`LossAwareTimes`] in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    law: LossAware,
    sums: Vec<f64>,
}

impl LossAwareTimes {
    /// The uniform density.
    pub fn new(bins: usize, device: Device) -> Self {
        let law = LossAware::new(bins);
        Self { sums: Tensor::zeros([2, law.bins() as i64], (Kind::Double, device)), law }
    }

    /// Adds the losses of a batch, (B), to the bins of their rows, (B, bins) with a single 1 per
    /// row, f64. Non-finite rows are left out. Nothing is read back.
    ///
    /// # Panics
    /// For members that are not (B, bins).
    pub fn see(&mut self, members: &Tensor, losses: &Tensor) {
        no_grad(|| {
            let losses = losses.detach().to_kind(Kind::Double);
            let finite = losses.isfinite().to_kind(Kind::Double);
            let squares = losses.nan_to_num(0.0, 0.0, 0.0).square();
            self.sums += Tensor::stack(&[squares, finite], 0).matmul(members);
        });
    }

    /// Updates the density from the collected losses. One device-to-host read.
    pub fn adopt(&mut self) {
        let (sums, rows) = self.read();
        self.law.update(&sums, &rows);
        let _ = self.sums.zero_();
    }

    fn read(&self) -> (Vec<f64>, Vec<f64>) {
        let flat = Vec::<f64>::try_from(self.sums.to_device(Device::Cpu).reshape([-1])).unwrap_or_default();
        let (sums, rows) = flat.split_at(flat.len() / 2);
        (sums.to_vec(), rows.to_vec())
    }

    /// The part that a checkpoint stores.
    pub fn save(&self) -> Saved {
        let (sums, rows) = self.read();
        Saved { law: self.law.clone(), sums: [sums, rows].concat() }
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// Another number of bins, or sums that do not match it.
    pub fn restore(&mut self, saved: &Saved) -> Result<(), String> {
        let bins = self.law.bins();
        if saved.law.bins() != bins || saved.sums.len() != 2 * bins {
            let (found, sums) = (saved.law.bins(), saved.sums.len());
            return Err(format!("its loss-aware times have {found} bins and {sums} sums, the run has {bins} bins"));
        }
        self.law = saved.law.clone();
        self.sums = Tensor::from_slice(&saved.sums).view([2, -1]).to_device(self.sums.device());
        Ok(())
    }
}
