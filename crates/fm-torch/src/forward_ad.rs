//! Jacobian-vector products by forward-mode differentiation.
//!
//! Inside [`with_level`] a tensor can have a tangent: for y = f(x) with x = (x0, dx), y has the
//! tangent J_f(x0) dx, which the operators of f compute as they run. A level and its tangents end
//! with the closure, also after a panic. libtorch has one level per process: a second thread waits
//! for the first, and nested levels are an error.
//!
//! ```
//! use fm_torch::forward_ad::with_level;
//! use tch::Tensor;
//! let (x, dx) = (Tensor::from_slice(&[3f64]), Tensor::from_slice(&[2f64]));
//! let (y, dy) = with_level(|level| {
//!     let y = level.dual(&x, &dx)?.square();
//!     level.parts(&y)
//! })??;
//! assert_eq!((y.double_value(&[0]), dy.double_value(&[0])), (9.0, 12.0)); // x^2, 2 x dx
//! # Ok::<(), fm_torch::TorchError>(())
//! ```

#![allow(unsafe_code, reason = "calls the shim")]

use crate::TorchError;
use crate::ffi;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use tch::Tensor;

/// Locked while a level is open.
static ONE: Mutex<()> = Mutex::new(());

thread_local! {
    static OPEN: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread has a level open. Operators without a forward-mode formula, such as fused
/// attention, then have to be replaced by others.
pub fn is_open() -> bool {
    OPEN.get()
}

/// A differentiation level, for the thread that opened it.
#[derive(Debug)]
pub struct Level {
    id: u64,
    _of_one_thread: PhantomData<*const ()>,
}

/// Runs a closure inside a level.
///
/// # Errors
/// [`TorchError::NestedLevel`], and an exception of libtorch.
#[doc(alias = "jvp")]
pub fn with_level<R>(run: impl FnOnce(&Level) -> R) -> Result<R, TorchError> {
    if OPEN.get() {
        return Err(TorchError::NestedLevel);
    }
    let _held = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut id = 0;
    // SAFETY: one number is written.
    ffi::checked("open a forward-mode level", unsafe { ffi::fm_enter_dual_level(&raw mut id) })?;
    OPEN.set(true);
    let level = Level { id, _of_one_thread: PhantomData };
    Ok(run(&level))
}

impl Drop for Level {
    fn drop(&mut self) {
        // SAFETY: this level was opened, and is closed once.
        let _ = ffi::checked("close a forward-mode level", unsafe { ffi::fm_exit_dual_level(self.id) });
        OPEN.set(false);
    }
}

impl Level {
    /// `primal` with a tangent of the same shape.
    ///
    /// # Errors
    /// [`TorchError::Mismatch`] for different shapes or types, and for types without derivatives;
    /// an exception of libtorch, for example for a tensor that already has a tangent.
    pub fn dual(&self, primal: &Tensor, tangent: &Tensor) -> Result<Tensor, TorchError> {
        let of = |t: &Tensor| (t.size(), t.kind(), t.device());
        let differentiable = |t: &Tensor| t.is_floating_point() || t.is_complex();
        if of(primal) != of(tangent) || !differentiable(primal) {
            let problem = format!("the tangent is {:?}, the value {:?}", of(tangent), of(primal));
            return Err(TorchError::Mismatch { action: "attach a tangent", problem });
        }
        let made = Tensor::f_internal_make_dual(primal, tangent, self.id as i64);
        made.map_err(|e| TorchError::thrown("attach a tangent", &e))
    }

    /// The primal and the tangent of a result; the tangent is zero if the result does not depend on
    /// a dual tensor.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn parts(&self, dual: &Tensor) -> Result<(Tensor, Tensor), TorchError> {
        let parts = Tensor::f_internal_unpack_dual(dual, self.id as i64);
        let (primal, tangent) = parts.map_err(|e| TorchError::thrown("read a tangent", &e))?;
        let tangent = if tangent.defined() { tangent } else { primal.zeros_like() };
        Ok((primal, tangent))
    }
}
