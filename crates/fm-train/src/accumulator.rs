//! Training metrics since the last line of the log: accumulated on the device, and read back once
//! per line.
//!
//! | number | meaning |
//! |---|---|
//! | loss, bins | sums over the steps and rows whose loss was finite |
//! | epoch loss | the same sum since the last epoch ended, and that of the epoch before it |
//! | skipped | steps of the whole run that were skipped because their loss or gradient was not finite |
//! | in a row | consecutive skipped steps up to now, and the longest such sequence since the last line |
//!
//! All of these numbers are part of a checkpoint, so the log of a resumed run has the same bytes.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, no_grad};

/// Number of equal parts of [0, 1] by which losses are reported.
pub const BINS: usize = 10;

const LOSS: usize = 0;
const COUNTED: usize = 1;
const SKIPPED: usize = 2;
const IN_A_ROW: usize = 3;
const WORST: usize = 4;
/// Sum and count of the losses of the current epoch.
const EPOCH: usize = 5;
/// Sum and count of the losses of the epoch that ended last, if no line has reported it.
const ENDED: usize = 7;
const NUMBERS: usize = 9;
/// The numbers of checkpoints that were written before there were losses of epochs.
const EARLIER: usize = 5;

/// Accumulated metrics, on the device.
#[derive(Debug)]
pub struct MetricAccumulator {
    /// The [`NUMBERS`] numbers when they were last read, f64.
    numbers: Vec<f64>,
    /// Sum of losses and number of rows in each bin, f64.
    bins: Tensor,
    /// The steps since the numbers were read, in rows of 2, f64: the loss, and 1 if it was finite
    /// or 0 if not.
    steps: Vec<Tensor>,
    /// The same, with several steps packed into one tensor.
    packed: Vec<Tensor>,
    /// The steps with which an epoch ended, counted from the last reading.
    epoch_ends: Vec<usize>,
    /// Sum and count of the coupling gains, on the host because batches carry them.
    gain: (f64, u64),
}

/// One-hot bins of values in [0, 1]: (rows, bins), f64, with a single 1 in each row.
pub(crate) fn members(values: &[f64], bins: usize, bin: impl Fn(f64) -> usize) -> Vec<f64> {
    let mut members = vec![0.0; values.len() * bins];
    for (value, row) in values.iter().zip(members.chunks_exact_mut(bins.max(1))) {
        row[bin(*value).min(bins - 1)] = 1.0;
    }
    members
}

/// The bin of a time.
pub(crate) fn bin(t: f64) -> usize {
    (t * BINS as f64).clamp(0.0, BINS as f64 - 1.0) as usize
}

/// Number of steps that are packed into one tensor.
const PACKED: usize = 256;

/// [`MetricAccumulator`] in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    sums: Vec<f64>,
    gain: (f64, u64),
}

/// Metrics that were read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Mean loss; NaN if no step was finite.
    pub loss: f64,
    /// Mean loss of the rows in each tenth of the time interval; NaN for a tenth without rows.
    pub bins: Vec<f64>,
    /// Mean gain of the coupling, if there is one.
    pub gain: Option<f64>,
    /// Mean loss of the epoch that ended last, if one ended since the last line.
    pub epoch_loss: Option<f64>,
    /// Steps skipped in the whole run.
    pub skipped: u64,
    /// The longest sequence of skipped steps since the last line.
    pub worst: u64,
}

impl MetricAccumulator {
    /// An empty accumulator.
    pub fn new(device: Device) -> Self {
        let bins = Tensor::zeros([2 * BINS as i64], (Kind::Double, device));
        Self {
            numbers: vec![0.0; NUMBERS],
            bins,
            steps: Vec::new(),
            packed: Vec::new(),
            epoch_ends: Vec::new(),
            gain: (0.0, 0),
        }
    }

    /// Adds row losses, (B), to the bins of their times, (B, [`BINS`]) of [`members`]. Non-finite
    /// rows are left out.
    pub(crate) fn rows(&mut self, members: &Tensor, losses: &Tensor) {
        no_grad(|| {
            let finite = losses.isfinite().to_kind(Kind::Double);
            let sums = Tensor::stack(&[losses.detach().to_kind(Kind::Double).nan_to_num(0.0, 0.0, 0.0), finite], 0);
            // A matrix product, because sums by atomic additions differ from run to run on a GPU.
            self.bins += sums.matmul(members).view(-1);
        });
    }

    /// Adds a step's loss; the step may be the last of an epoch. Returns 1, or 0 if the loss or the
    /// gradient norm is not finite, as a tensor on the device.
    pub(crate) fn step(&mut self, loss: &Tensor, norm: &Tensor, gain: Option<f64>, ends_epoch: bool) -> Tensor {
        self.gain = gain.map_or(self.gain, |g| (self.gain.0 + g, self.gain.1 + 1));
        if ends_epoch {
            self.epoch_ends.push(self.packed.len() * PACKED + self.steps.len());
        }
        no_grad(|| {
            let loss = loss.detach().to_kind(Kind::Double);
            // Not finite if either is not finite.
            let good = (&loss + norm).isfinite().to_kind(Kind::Double);
            self.steps.push(Tensor::stack(&[&loss, &good], 0));
            if self.steps.len() == PACKED {
                self.packed.push(Tensor::stack(&self.steps, 0).view(-1));
                self.steps.clear();
            }
            good
        })
    }

    /// Reads everything back and starts the next line.
    pub(crate) fn take(&mut self) -> Seen {
        let (numbers, bins) = self.read();
        let mut next = Self::new(self.bins.device());
        for k in [SKIPPED, IN_A_ROW, EPOCH, EPOCH + 1] {
            next.numbers[k] = numbers[k];
        }
        let gain = std::mem::replace(self, next).gain;
        Seen {
            loss: numbers[LOSS] / numbers[COUNTED],
            bins: (0..BINS).map(|k| bins[k] / bins[BINS + k]).collect(),
            epoch_loss: (numbers[ENDED + 1] > 0.0).then(|| numbers[ENDED] / numbers[ENDED + 1]),
            gain: (gain.1 > 0).then(|| gain.0 / gain.1 as f64),
            skipped: numbers[SKIPPED] as u64,
            worst: numbers[WORST] as u64,
        }
    }

    /// The current numbers and bins. One device-to-host read.
    fn read(&self) -> (Vec<f64>, Vec<f64>) {
        let parts: Vec<&Tensor> = [&self.bins].into_iter().chain(&self.packed).chain(&self.steps).collect();
        let read = Vec::try_from(Tensor::cat(&parts, 0).to_device(Device::Cpu));
        let read: Vec<f64> = read.unwrap_or_else(|_| vec![f64::NAN; 2 * BINS]);
        let (bins, steps) = read.split_at(2 * BINS);
        let mut numbers = self.numbers.clone();
        for (k, step) in steps.as_chunks::<2>().0.iter().enumerate() {
            if step[1] == 1.0 {
                numbers[EPOCH] += step[0];
                numbers[EPOCH + 1] += 1.0;
                numbers[LOSS] += step[0];
                numbers[COUNTED] += 1.0;
                numbers[IN_A_ROW] = 0.0;
            } else {
                numbers[SKIPPED] += 1.0;
                numbers[IN_A_ROW] += 1.0;
            }
            numbers[WORST] = numbers[WORST].max(numbers[IN_A_ROW]);
            if self.epoch_ends.binary_search(&k).is_ok() {
                numbers.copy_within(EPOCH..EPOCH + 2, ENDED);
                numbers[EPOCH..EPOCH + 2].fill(0.0);
            }
        }
        (numbers, bins.to_vec())
    }

    /// The part that a checkpoint stores.
    pub fn save(&self) -> Saved {
        let (numbers, bins) = self.read();
        Saved { sums: [numbers, bins].concat(), gain: self.gain }
    }

    /// Continues from a checkpoint.
    ///
    /// # Errors
    /// A number of sums that differs from the accumulator's.
    pub fn restore(&mut self, saved: &Saved) -> Result<(), String> {
        let count = saved.sums.len().saturating_sub(2 * BINS);
        if ![EARLIER, NUMBERS].contains(&count) {
            return Err(format!("its tally has {} sums, not {}", saved.sums.len(), NUMBERS + 2 * BINS));
        }
        let (numbers, bins) = saved.sums.split_at(count);
        let numbers = [numbers, &vec![0.0; NUMBERS - count]].concat();
        let device = self.bins.device();
        let bins = Tensor::from_slice(bins).to_device(device);
        *self = Self { numbers, bins, gain: saved.gain, ..Self::new(device) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_steps_are_counted_and_left_out() {
        let mut tally = MetricAccumulator::new(Device::Cpu);
        let mut allowed = Vec::new();
        for (loss, norm) in [(1.0, 1.0), (f64::NAN, 1.0), (2.0, f64::INFINITY), (3.0, 1.0), (f64::NAN, f64::NAN)] {
            allowed.push(tally.step(&Tensor::from(loss), &Tensor::from(norm), Some(0.5), false).double_value(&[]));
        }
        let members = Tensor::from_slice(&members(&[0.05, 0.05, 1.0], BINS, bin)).view([3, BINS as i64]);
        tally.rows(&members, &Tensor::from_slice(&[1f32, f32::NAN, 4.0]));
        assert_eq!(allowed, [1.0, 0.0, 0.0, 1.0, 0.0]);
        let (saved, mut again) = (tally.save(), MetricAccumulator::new(Device::Cpu));
        again.restore(&saved).unwrap();
        let seen = again.take();
        assert_eq!((seen.loss, seen.skipped, seen.worst, seen.gain), (2.0, 3, 2, Some(0.5)));
        assert_eq!((seen.bins[0], seen.bins[9]), (1.0, 4.0));
        assert!(seen.bins[1].is_nan());
        // A sequence of bad steps continues across a line.
        let _ = again.step(&Tensor::from(f64::NAN), &Tensor::from(1.0), None, false);
        let seen = again.take();
        assert!(seen.loss.is_nan() && seen.gain.is_none());
        assert_eq!((seen.skipped, seen.worst), (4, 2));
        // More steps than fit into one packed tensor, and a few extra.
        for k in 0..PACKED + 3 {
            let loss = if k == PACKED - 1 || k == PACKED { f64::NAN } else { 2.0 };
            let _ = again.step(&Tensor::from(loss), &Tensor::from(1.0), None, false);
        }
        let seen = again.take();
        assert_eq!((seen.loss, seen.skipped, seen.worst), (2.0, 6, 2));
    }

    #[test]
    fn the_loss_of_an_epoch_is_reported_once() {
        let mut tally = MetricAccumulator::new(Device::Cpu);
        let add = |tally: &mut MetricAccumulator, loss: f64, ends| {
            let _ = tally.step(&Tensor::from(loss), &Tensor::from(1.0), None, ends);
        };
        for (loss, ends) in [(1.0, false), (3.0, true), (10.0, false)] {
            add(&mut tally, loss, ends);
        }
        let (saved, mut resumed) = (tally.save(), MetricAccumulator::new(Device::Cpu));
        resumed.restore(&saved).unwrap();
        for tally in [&mut tally, &mut resumed] {
            assert_eq!(tally.take().epoch_loss, Some(2.0));
            assert_eq!(tally.take().epoch_loss, None);
            // The step before the line counts for the epoch that it belongs to; of two epochs that
            // end between two lines the later is reported.
            add(tally, 20.0, true);
            assert_eq!(tally.save(), tally.save());
            add(tally, f64::NAN, false);
            add(tally, 7.0, true);
            assert_eq!(tally.take().epoch_loss, Some(7.0));
        }
        // A step beyond those that are packed into one tensor.
        for k in 0..PACKED + 2 {
            add(&mut tally, k as f64, k == PACKED);
        }
        assert_eq!(tally.take().epoch_loss, Some(PACKED as f64 / 2.0));
        // A checkpoint of an earlier version.
        let before = Saved { sums: [&[6.0, 2.0, 1.0, 0.0, 1.0][..], &[0.0; 2 * BINS]].concat(), gain: (0.0, 0) };
        resumed.restore(&before).unwrap();
        let seen = resumed.take();
        assert_eq!((seen.loss, seen.skipped, seen.epoch_loss), (3.0, 1, None));
    }
}
