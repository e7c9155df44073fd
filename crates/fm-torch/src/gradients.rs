//! Moves the gradients of leaves into one flat vector, and reports each gradient when it is
//! complete.
//!
//! If a leaf has no gradient yet, autograd stores the tensor that it has just computed, without a
//! copy or an addition. [`Taker::take`] moves these tensors into one vector in a single operator,
//! and leaves the leaves without gradients, ready for the next backward pass.
//!
//! ```
//! use fm_torch::gradients::Taker;
//! use tch::{Kind, Tensor};
//! let (a, b) = (Tensor::from_slice(&[2f32, 3.0]), Tensor::from_slice(&[5f32]));
//! let (a, b) = (a.set_requires_grad(true), b.set_requires_grad(true));
//! let flat = Tensor::from_slice(&[9f32; 4]);
//! let taker = Taker::new(&[&a, &b], vec![flat.narrow(0, 0, 2), flat.narrow(0, 3, 1)])?;
//! a.square().sum(Kind::Float).backward();
//! taker.take()?;
//! // d a^2 = 2 a; the third value belongs to no leaf; b has no gradient.
//! assert_eq!(Vec::<f32>::try_from(&flat)?, [4.0, 6.0, 9.0, 0.0]);
//! assert!(!a.grad().defined());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(unsafe_code, reason = "calls the shim")]

use crate::TorchError;
use crate::ffi;
use std::cell::RefCell;
use std::ffi::c_void;
use tch::Tensor;

/// Leaves, and the views that receive their gradients.
#[derive(Debug)]
pub struct Taker {
    leaves: Vec<Tensor>,
    views: Vec<Tensor>,
}

impl Taker {
    /// The gradient of leaf i is written to view i, which has the same shape, in the type of the
    /// view.
    ///
    /// # Errors
    /// [`TorchError::Mismatch`].
    pub fn new(leaves: &[&Tensor], views: Vec<Tensor>) -> Result<Self, TorchError> {
        let problem = if leaves.len() == views.len() {
            let differs = |(leaf, view): (&&Tensor, &Tensor)| leaf.size() != view.size();
            leaves.iter().zip(&views).position(differs).map(|i| format!("leaf {i} and its view differ in shape"))
        } else {
            Some(format!("{} leaves and {} views", leaves.len(), views.len()))
        };
        match problem {
            Some(problem) => Err(TorchError::Mismatch { action: "collect gradients", problem }),
            None => Ok(Self { leaves: leaves.iter().map(|t| t.shallow_clone()).collect(), views }),
        }
    }

    /// Another handle to the same leaves and views, for use on another thread.
    pub fn share(&self) -> Self {
        let clone = |tensors: &[Tensor]| tensors.iter().map(Tensor::shallow_clone).collect();
        Self { leaves: clone(&self.leaves), views: clone(&self.views) }
    }

    /// Moves all gradients into their views; a leaf without a gradient gives zeros.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn take(&self) -> Result<(), TorchError> {
        self.take_some(0..self.leaves.len())
    }

    /// Moves the gradients of the leaves with these indices.
    ///
    /// # Errors
    /// An exception of libtorch.
    ///
    /// # Panics
    /// If an index is not below the number of leaves.
    pub fn take_some(&self, which: impl IntoIterator<Item = usize>) -> Result<(), TorchError> {
        let (leaves, views): (Vec<_>, Vec<_>) =
            which.into_iter().map(|i| (ffi::pointer(&self.leaves[i]), ffi::pointer(&self.views[i]))).unzip();
        // SAFETY: both arrays hold valid tensors and outlive the call.
        let thrown = unsafe { ffi::fm_take_gradients(leaves.as_ptr(), views.as_ptr(), leaves.len() as i64) };
        ffi::checked("collect gradients", thrown)
    }

    /// Runs a backward pass, and calls `complete` with the index of each leaf when its gradient is
    /// complete, in that order. The calls are made during the pass, on the thread that runs it
    /// (CPU) or on the device's thread (CUDA).
    ///
    /// # Errors
    /// An exception of libtorch.
    #[doc(alias = "register_full_backward_hook")]
    pub fn watch<R>(&self, complete: impl FnMut(usize) + Send, backward: impl FnOnce() -> R) -> Result<R, TorchError> {
        let called: RefCell<Box<dyn FnMut(usize) + Send + '_>> = RefCell::new(Box::new(complete));
        let hooks = Hooks { leaves: &self.leaves };
        for (index, leaf) in self.leaves.iter().enumerate() {
            let context = (&raw const called).cast_mut().cast::<c_void>();
            // SAFETY: `called` outlives the hooks, which `hooks` removes before this function
            // returns or unwinds. Hooks of one backward pass run one after the other, because all
            // leaves are on one device.
            ffi::checked("watch gradients", unsafe {
                ffi::fm_on_gradient(ffi::pointer(leaf), Some(forward), context, index as i64)
            })?;
        }
        let result = backward();
        drop(hooks);
        Ok(result)
    }
}

/// Adds to the gradient of a leaf, as autograd does; the first gradient is stored without a copy.
///
/// # Errors
/// [`TorchError::Mismatch`] if shapes or types differ, and an exception of libtorch.
pub fn add(leaf: &Tensor, gradient: &Tensor) -> Result<(), TorchError> {
    let of = |t: &Tensor| (t.size(), t.kind(), t.device());
    if of(leaf) != of(gradient) {
        let problem = format!("the gradient is {:?}, the leaf {:?}", of(gradient), of(leaf));
        return Err(TorchError::Mismatch { action: "add a gradient", problem });
    }
    // SAFETY: both tensors outlive the call.
    ffi::checked("add a gradient", unsafe { ffi::fm_add_gradient(ffi::pointer(leaf), ffi::pointer(gradient)) })
}

/// Removes the hooks of these leaves when dropped.
struct Hooks<'a> {
    leaves: &'a [Tensor],
}

impl Drop for Hooks<'_> {
    fn drop(&mut self) {
        for leaf in self.leaves {
            // SAFETY: removes a hook; the context is not used.
            let thrown = unsafe { ffi::fm_on_gradient(ffi::pointer(leaf), None, std::ptr::null_mut(), 0) };
            let _ = ffi::checked("watch gradients", thrown);
        }
    }
}

/// Calls the closure behind `context`. A panic would unwind into C++, so it ends the process with
/// its message.
extern "C" fn forward(context: *mut c_void, index: i64) {
    // SAFETY: `context` is the cell of the `watch` call in progress.
    let called = unsafe { &*context.cast::<RefCell<Box<dyn FnMut(usize) + Send + '_>>>() };
    (called.borrow_mut())(index as usize);
}
