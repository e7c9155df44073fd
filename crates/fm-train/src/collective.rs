//! The processes that train one model together, each on its rows of every batch.
//!
//! A batch is a function of its step, so each process can make its own rows of it; losses are shares of the whole batch's mean. What is added
//! up over all processes, once a step, is the gradient, the rows' losses, and whether somebody has been asked to stop. From there on everyone
//! computes the same: norm, clipping, update, averages, log. So N processes do what one does, up to the order of sums (and dropout masks, which
//! libtorch draws), any of them could write the checkpoint, and a run may go on with another number of them.
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

/// The others, as seen from one of them. A backward pass on a GPU calls from a thread of its own.
#[doc(alias = "DistributedDataParallel")]
#[doc(alias = "DDP")]
pub trait Collective: Debug + Send + Sync {
    /// Which process this is, and of how many.
    fn shard(&self) -> Shard;

    /// Whether there is nobody to exchange anything with.
    fn is_alone(&self) -> bool {
        self.shard().is_whole()
    }

    /// Adds tensors up over all processes, in place. All have to call it alike; the gradient, unless it is added up already, may travel in less
    /// precision than the others.
    ///
    /// # Errors
    /// Which process is lost, and why.
    fn all_reduce(&self, gradient: Option<&mut Tensor>, exact: &mut [Tensor]) -> Result<(), Outside>;

    /// Starts to add up a part of the gradient, in place, while the rest is computed. All have to start the same parts in the same order.
    ///
    /// # Errors
    /// Which process is lost, and why.
    fn start(&self, part: &Tensor) -> Result<Box<dyn Pending>, Outside>;
}

/// A sum under way.
pub trait Pending: Send {
    /// Waits until the sum is in its place.
    ///
    /// # Errors
    /// Which process is lost, and why.
    fn finish(self: Box<Self>) -> Result<(), Outside>;
}

/// A process by itself.
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

/// One of several equal parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which.
    pub rank: usize,
    /// Of how many.
    pub count: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { rank: 0, count: 1 }
    }
}

impl Shard {
    /// Its share of `whole` rows; shares differ by one row at most, and the first are the larger ones.
    pub fn rows(self, whole: usize) -> Range<usize> {
        let count = self.count.max(1);
        let (each, more) = (whole / count, whole % count);
        let start = |rank: usize| rank.saturating_mul(each).saturating_add(rank.min(more)).min(whole);
        start(self.rank)..start(self.rank.saturating_add(1))
    }

    /// Whether this is all there is.
    pub fn is_whole(self) -> bool {
        self.count <= 1
    }
}
