//! All-reduce of the gradient, overlapped with the backward pass.
//!
//! Parameters are grouped into buckets that are contiguous in the flat vector. When the gradients
//! of a bucket are complete, they are moved into the flat vector and their sum over the processes
//! starts. All processes must start the sums in the same order. So the first step only records the
//! order in which buckets become complete, and all processes then use the order of the first
//! process.

use crate::TrainError;
use crate::collective::{Collective, Pending};
use crate::flat::FlatParams;
use fm_torch::gradients::Taker;
use std::ops::Range;
use tch::Tensor;

/// Values per bucket: 8 MiB. Smaller buckets start earlier, larger ones have less overhead.
const BUCKET: i64 = 1 << 21;

/// Buckets, and the order in which they become complete.
#[derive(Debug)]
pub(crate) struct Overlap {
    /// Indices of the bucket's parameters, and the range of their values in the flat vector.
    buckets: Vec<(Range<usize>, Range<i64>)>,
    /// The bucket index of each parameter.
    bucket_of: Vec<usize>,
    /// The order of the buckets; empty until the first step has recorded it.
    order: Vec<usize>,
    /// Gradient handles for the thread that runs the backward pass.
    taker: Taker,
    gradient: Tensor,
}

impl Overlap {
    pub(crate) fn new(params: &FlatParams) -> Self {
        let (mut buckets, mut bucket_of): (Vec<(Range<usize>, Range<i64>)>, _) = (Vec::new(), Vec::new());
        for (k, slot) in params.slots.iter().enumerate() {
            match buckets.last_mut() {
                Some((slots, values)) if slot.offset - values.start < BUCKET => {
                    (slots.end, values.end) = (k + 1, slot.offset + slot.len());
                }
                _ => buckets.push((k..k + 1, slot.offset..slot.offset + slot.len())),
            }
            bucket_of.push(buckets.len() - 1);
        }
        let (taker, gradient) = params.taker();
        Self { buckets, bucket_of, order: Vec::new(), taker: taker.share(), gradient: gradient.shallow_clone() }
    }

    /// Whether the order is known, so that sums can start early.
    pub(crate) fn is_ready(&self) -> bool {
        !self.order.is_empty()
    }

    /// Uses the order that all processes have agreed on, if it contains each bucket once.
    pub(crate) fn adopt(&mut self, agreed: &Tensor) {
        let numbers = Vec::<f64>::try_from(agreed).unwrap_or_default();
        let order: Vec<usize> = numbers.into_iter().map(|b| b.max(0.0) as usize).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted.into_iter().eq(0..self.buckets.len()) {
            self.order = order;
        }
    }

    /// Backpropagates, and returns the gradient of this process and the order in which its buckets
    /// became complete. The order can be summed over processes, because all but the first return
    /// zeros.
    pub(crate) fn record(
        &self,
        params: &mut FlatParams,
        loss: &Tensor,
        first: bool,
    ) -> Result<(Tensor, Tensor), TrainError> {
        let mut waiting = self.waiting();
        let (mut order, bucket_of) = (Vec::new(), self.bucket_of.as_slice());
        let complete = |parameter: usize| {
            let bucket = bucket_of[parameter];
            waiting[bucket] -= 1;
            if waiting[bucket] == 0 {
                order.push(bucket);
            }
        };
        params.taker().0.watch(complete, || loss.backward())?;
        // Buckets that the loss does not reach come last.
        let rest: Vec<usize> = (0..self.buckets.len()).filter(|b| !order.contains(b)).collect();
        let numbers = order.into_iter().chain(rest).map(|b| if first { b as f64 } else { 0.0 });
        Ok((params.take()?, Tensor::from_slice(&numbers.collect::<Vec<_>>())))
    }

    /// Backpropagates and returns the gradient, summed over all processes.
    pub(crate) fn backward(
        &mut self,
        params: &FlatParams,
        loss: &Tensor,
        peers: &dyn Collective,
    ) -> Result<Tensor, TrainError> {
        let waiting = self.waiting();
        let Self { buckets, bucket_of, order, taker, gradient } = self;
        let mut sums =
            Sums { buckets, bucket_of, order, taker, gradient, peers, waiting, next: 0, pending: Vec::new() };
        let mut failed: Option<TrainError> = None;
        let complete = |parameter: usize| {
            if failed.is_none() {
                failed = sums.complete(parameter).err();
            }
        };
        let (watched, gradient) = params.taker();
        watched.watch(complete, || loss.backward())?;
        failed.map_or(Ok(()), Err)?;
        sums.finish()?;
        Ok(gradient.shallow_clone())
    }

    /// Number of gradients to wait for, per bucket.
    fn waiting(&self) -> Vec<usize> {
        self.buckets.iter().map(|(slots, _)| slots.len()).collect()
    }
}

/// Sums of one backward pass.
struct Sums<'a> {
    buckets: &'a [(Range<usize>, Range<i64>)],
    bucket_of: &'a [usize],
    order: &'a [usize],
    taker: &'a mut Taker,
    gradient: &'a mut Tensor,
    peers: &'a dyn Collective,
    /// Number of gradients that each bucket still waits for.
    waiting: Vec<usize>,
    /// Position in the order up to which sums have started.
    next: usize,
    pending: Vec<Box<dyn Pending>>,
}

impl Sums<'_> {
    /// Starts the sums of all buckets that are next in the order and complete.
    fn complete(&mut self, parameter: usize) -> Result<(), TrainError> {
        self.waiting[self.bucket_of[parameter]] -= 1;
        while self.order.get(self.next).is_some_and(|b| self.waiting[*b] == 0) {
            self.start()?;
        }
        Ok(())
    }

    /// Starts the next sum.
    fn start(&mut self) -> Result<(), TrainError> {
        let (slots, values) = &self.buckets[self.order[self.next]];
        self.taker.take_some(slots.clone())?;
        let part = self.gradient.narrow(0, values.start, values.end - values.start);
        self.pending.push(self.peers.start(&part).map_err(TrainError::Collective)?);
        self.next += 1;
        Ok(())
    }

    /// Starts the sums of the remaining buckets, which have parameters that the loss does not
    /// reach, and waits for all sums.
    fn finish(mut self) -> Result<(), TrainError> {
        while self.next < self.order.len() {
            self.start()?;
        }
        self.pending.into_iter().try_for_each(Pending::finish).map_err(TrainError::Collective)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::Shard;
    use crate::error::Outside;
    use crate::flat::Precision;
    use std::sync::Mutex;
    use tch::nn::{self, Module};
    use tch::{Device, Kind};

    /// Two processes with the same gradient. Records whether the flat gradient of the first layer
    /// was still missing when each sum started.
    #[derive(Debug)]
    struct Twins {
        last: Mutex<Tensor>,
        early: Mutex<Vec<bool>>,
    }

    struct Doubled(Tensor);

    impl Pending for Doubled {
        fn finish(mut self: Box<Self>) -> Result<(), Outside> {
            let _ = self.0.g_mul_scalar_(2.0);
            Ok(())
        }
    }

    impl Collective for Twins {
        fn shard(&self) -> Shard {
            Shard { rank: 0, count: 2 }
        }

        fn all_reduce(&self, _: Option<&mut Tensor>, _: &mut [Tensor]) -> Result<(), Outside> {
            Ok(())
        }

        fn start(&self, part: &Tensor) -> Result<Box<dyn Pending>, Outside> {
            let missing = self.last.lock().unwrap().count_nonzero(None).int64_value(&[]) == 0;
            self.early.lock().unwrap().push(missing);
            Ok(Box::new(Doubled(part.shallow_clone())))
        }
    }

    #[test]
    fn sums_start_before_the_backward_pass_ends_and_give_the_whole_gradient() {
        let store = nn::VarStore::new(Device::Cpu);
        let layer = |name: &str| nn::linear(store.root() / name, 1500, 1500, Default::default());
        // The first layer comes first by name and last in the backward pass. The loss does not
        // reach the third.
        let [first, second, _] = ["a", "b", "c"].map(layer);
        let mut params = FlatParams::new(&store, Precision::F32).unwrap();
        let x = Tensor::ones([2, 1500], (Kind::Float, Device::Cpu));
        let loss = || second.forward(&first.forward(&x)).square().sum(Kind::Float);
        let mut overlap = Overlap::new(&params);
        let (alone, order) = overlap.record(&mut params, &loss(), true).unwrap();
        let alone = alone.copy();
        assert!(!overlap.is_ready() && overlap.buckets.len() == 3);
        overlap.adopt(&Tensor::from_slice(&[0f64, 0.0, 0.0]));
        assert!(!overlap.is_ready(), "no order of three buckets");
        overlap.adopt(&order);
        assert_eq!(overlap.order, [1, 0, 2]);
        let flat = params.taker().1.shallow_clone().zero_();
        let twins = Twins { last: Mutex::new(params.slots[1].view(&flat)), early: Mutex::default() };
        let both = overlap.backward(&params, &loss(), &twins).unwrap();
        assert!(both.equal(&(alone * 2.0)));
        assert_eq!(*twins.early.lock().unwrap(), [true, false, false]);
    }
}
