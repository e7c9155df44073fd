//! Data-parallel training: the processes that train one model together, each on its rows of every
//! batch.
//!
//! A batch is a function of its step, so each process makes its own rows of it; its loss is its
//! share of the mean over the whole batch. Once per step, all processes sum the gradient, the row
//! losses and a stop flag. Everything after that (norm, clipping, update, averages, log) is the
//! same computation in every process. So N processes give the result of one, up to the order of
//! sums (and dropout masks, which libtorch draws). Any of them could write the checkpoint, and a
//! run can resume with a different number of processes.
//!
//! ```
//! use fm_train::collective::Shard;
//! let rows: Vec<_> = (0..3).map(|rank| Shard { rank, count: 3 }.rows(8)).collect();
//! assert_eq!(rows, [0..3, 3..6, 6..8]);
//! assert_eq!(Shard::default().rows(8), 0..8);
//! ```

use crate::error::Outside;
use std::fmt::Debug;
use std::ops::Range;
use tch::Tensor;

/// The group of processes, as seen from one of them. A backward pass on a GPU calls it from another
/// thread.
#[doc(alias = "DistributedDataParallel")]
#[doc(alias = "DDP")]
pub trait Collective: Debug + Send + Sync {
    /// The rank of this process, and the number of processes.
    fn shard(&self) -> Shard;

    /// Whether there are no other processes.
    fn is_alone(&self) -> bool {
        self.shard().is_whole()
    }

    /// Sums tensors over all processes, in place. All processes must call it in the same way. The
    /// gradient, if it is not summed yet, may be sent in lower precision than the other tensors.
    ///
    /// # Errors
    /// The process that is lost, and the cause.
    fn all_reduce(&self, gradient: Option<&mut Tensor>, exact: &mut [Tensor]) -> Result<(), Outside>;

    /// Starts to sum a part of the gradient, in place, while the rest is computed. All processes
    /// must start the same parts in the same order.
    ///
    /// # Errors
    /// The process that is lost, and the cause.
    fn start(&self, part: &Tensor) -> Result<Box<dyn Pending>, Outside>;
}

/// A sum in progress.
pub trait Pending: Send {
    /// Waits until the sum is complete.
    ///
    /// # Errors
    /// The process that is lost, and the cause.
    fn finish(self: Box<Self>) -> Result<(), Outside>;
}

/// A single process.
#[derive(Debug, Clone, Copy, Default)]
pub struct SingleProcess;

impl Collective for SingleProcess {
    fn shard(&self) -> Shard {
        Shard::default()
    }

    fn all_reduce(&self, _: Option<&mut Tensor>, _: &mut [Tensor]) -> Result<(), Outside> {
        Ok(())
    }

    fn start(&self, _: &Tensor) -> Result<Box<dyn Pending>, Outside> {
        Ok(Box::new(Done))
    }
}

struct Done;

impl Pending for Done {
    fn finish(self: Box<Self>) -> Result<(), Outside> {
        Ok(())
    }
}

/// One of several nearly equal parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Index of the part.
    pub rank: usize,
    /// Number of parts.
    pub count: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { rank: 0, count: 1 }
    }
}

impl Shard {
    /// This part's share of `whole` rows; shares differ by at most one row, and the larger ones
    /// come first.
    pub fn rows(self, whole: usize) -> Range<usize> {
        let count = self.count.max(1);
        let (each, more) = (whole / count, whole % count);
        let start = |rank: usize| rank.saturating_mul(each).saturating_add(rank.min(more)).min(whole);
        start(self.rank)..start(self.rank.saturating_add(1))
    }

    /// Whether this is the only part.
    pub fn is_whole(self) -> bool {
        self.count <= 1
    }
}
