//! What has been seen since the last line of the log, kept on the device and read back once a line.
//!
//! | number | meaning |
//! |---|---|
//! | loss, bins | sums over steps and rows that were finite |
//! | skipped | steps, of the whole run, whose loss or gradient was not finite, and which therefore changed nothing |
//! | in a row | such steps without a good one after them, and how many there were at worst since the last line |
//!
//! All of it is part of a checkpoint, so that a resumed log has the same bytes.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

/// Equal parts of [0, 1] by which the loss is told apart.
pub const BINS: usize = 10;

const LOSS: usize = 0;
const COUNTED: usize = 1;
const SKIPPED: usize = 2;
const IN_A_ROW: usize = 3;
const WORST: usize = 4;
const NUMBERS: usize = 5;

/// Sums on the device.
#[derive(Debug)]
pub struct Tally {
    /// [`NUMBERS`] numbers, then the loss and the rows of each bin, f64.
    sums: Tensor,
    /// Gains of optimal transport, and how many; these come with the batches, from the host.
    gain: (f64, u64),
}

/// [`Tally`] in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    sums: Vec<f64>,
    gain: (f64, u64),
}

/// A tally read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Mean loss; NaN if no step was finite.
    pub loss: f64,
    /// Mean loss of the rows of each tenth of the time, by the rows that fell there; NaN where none did.
    pub bins: Vec<f64>,
    /// Mean gain of the coupling, where there was one.
    pub gain: Option<f64>,
    /// Steps skipped in the whole run.
    pub skipped: u64,
    /// The longest row of skipped steps since the last line.
    pub worst: u64,
}

impl Tally {
    /// Nothing seen.
    pub fn new(device: Device) -> Self {
        Self { sums: Tensor::zeros([(NUMBERS + 2 * BINS) as i64], (Kind::Double, device)), gain: (0.0, 0) }
    }

    /// Adds rows' losses, (B), at their times. Rows that are not finite are left out.
    pub(crate) fn rows(&mut self, times: &[f64], losses: &Tensor) {
        no_grad(|| {
            let bin = |t: &f64| NUMBERS as i64 + ((t * BINS as f64) as i64).clamp(0, BINS as i64 - 1);
            let bins = Tensor::from_slice(&times.iter().map(bin).collect::<Vec<_>>()).to_device(self.sums.device());
            let losses = losses.detach().to_kind(Kind::Double);
            let finite = losses.isfinite().to_kind(Kind::Double);
            let _ = self.sums.index_add_(0, &bins, &losses.nan_to_num(0.0, 0.0, 0.0));
            let _ = self.sums.index_add_(0, &(bins + BINS as i64), &finite);
        });
    }

    /// Adds a step's loss. Returns 1, or 0 if the loss or the gradient's norm is not finite; a number on the device, not read.
    pub(crate) fn step(&mut self, loss: &Tensor, norm: &Tensor, gain: Option<f64>) -> Tensor {
        self.gain = gain.map_or(self.gain, |g| (self.gain.0 + g, self.gain.1 + 1));
        no_grad(|| {
            let loss = loss.detach().to_kind(Kind::Double);
            let good = loss.isfinite().logical_and(&norm.isfinite()).to_kind(Kind::Double);
            let bad = 1.0 - &good;
            let number = |k: usize| self.sums.get(k as i64);
            let in_a_row = (number(IN_A_ROW) + 1.0) * &bad;
            let loss = loss.nan_to_num(0.0, 0.0, 0.0) * &good + number(LOSS);
            let worst = number(WORST).maximum(&in_a_row);
            let now = [loss, number(COUNTED) + &good, number(SKIPPED) + bad, in_a_row, worst];
            self.sums.narrow(0, 0, NUMBERS as i64).copy_(&Tensor::stack(&now, 0));
            good
        })
    }

    /// Reads everything back and begins the next line. One device-to-host read.
    pub(crate) fn take(&mut self) -> Seen {
        let sums = self.read();
        let mut keep = vec![0.0; sums.len()];
        for k in [SKIPPED, IN_A_ROW] {
            keep[k] = sums[k];
        }
        self.sums = Tensor::from_slice(&keep).to_device(self.sums.device());
        let gain = std::mem::take(&mut self.gain);
        let bin = |k: usize| sums[NUMBERS + k] / sums[NUMBERS + BINS + k];
        Seen {
            loss: sums[LOSS] / sums[COUNTED],
            bins: (0..BINS).map(bin).collect(),
            gain: (gain.1 > 0).then(|| gain.0 / gain.1 as f64),
            skipped: sums[SKIPPED] as u64,
            worst: sums[WORST] as u64,
        }
    }

    fn read(&self) -> Vec<f64> {
        Vec::try_from(self.sums.to_device(Device::Cpu)).unwrap_or_else(|_| vec![f64::NAN; NUMBERS + 2 * BINS])
    }

    /// What a checkpoint keeps.
    pub fn save(&self) -> Saved {
        Saved { sums: self.read(), gain: self.gain }
    }

    /// Goes on from a checkpoint.
    pub fn restore(&mut self, saved: &Saved) {
        if saved.sums.len() == NUMBERS + 2 * BINS {
            *self = Self { sums: Tensor::from_slice(&saved.sums).to_device(self.sums.device()), gain: saved.gain };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_steps_are_counted_and_left_out() {
        let mut tally = Tally::new(Device::Cpu);
        let mut allowed = Vec::new();
        for (loss, norm) in [(1.0, 1.0), (f64::NAN, 1.0), (2.0, f64::INFINITY), (3.0, 1.0), (f64::NAN, f64::NAN)] {
            allowed.push(tally.step(&Tensor::from(loss), &Tensor::from(norm), Some(0.5)).double_value(&[]));
        }
        tally.rows(&[0.05, 0.05, 1.0], &Tensor::from_slice(&[1f32, f32::NAN, 4.0]));
        assert_eq!(allowed, [1.0, 0.0, 0.0, 1.0, 0.0]);
        let (saved, mut again) = (tally.save(), Tally::new(Device::Cpu));
        again.restore(&saved);
        let seen = again.take();
        assert_eq!((seen.loss, seen.skipped, seen.worst, seen.gain), (2.0, 3, 2, Some(0.5)));
        assert_eq!((seen.bins[0], seen.bins[9]), (1.0, 4.0));
        assert!(seen.bins[1].is_nan());
        // The run of bad steps goes on across a line.
        let _ = again.step(&Tensor::from(f64::NAN), &Tensor::from(1.0), None);
        let seen = again.take();
        assert!(seen.loss.is_nan() && seen.gain.is_none());
        assert_eq!((seen.skipped, seen.worst), (4, 2));
    }
}
