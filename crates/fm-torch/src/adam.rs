//! libtorch's fused Adam and AdamW over one flat vector: one pass over memory, one kernel on a GPU.
//!
//! With g the gradient divided by `scale`: m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; p <-
//! p - lr (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + eps). Decoupled weight decay first multiplies
//! p by 1 - lr decay; otherwise decay p is added to g. If `skip` is 1, nothing changes. Source:
//! Kingma and Ba 2015; Loshchilov and Hutter 2019.
//!
//! ```
//! use fm_torch::adam::{Adam, Moments, update};
//! use tch::Tensor;
//! let number = |x: f32| Tensor::from_slice(&[x]);
//! let (mut p, mut m, mut v) = (number(1.0), number(0.0), number(0.0));
//! let adam = Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.0, decoupled: true };
//! for skip in [1.0, 0.0] {
//!     let moments = Moments { mean: &mut m, square: &mut v, step: &number(1.0) };
//!     update(&mut p, &number(0.3), moments, &number(1.0), &number(skip), &adam)?;
//!     // The first update has length lr; a skipped one has none.
//!     assert!((p.double_value(&[0]) - (0.9 + 0.1 * f64::from(skip))).abs() < 1e-6);
//! }
//! # Ok::<(), fm_torch::TorchError>(())
//! ```

#![allow(unsafe_code, reason = "calls the shim")]

use crate::TorchError;
use crate::ffi;
use tch::{Kind, Tensor};

/// Settings of an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay rate of the mean of gradients.
    pub beta1: f64,
    /// Decay rate of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Weight decay.
    pub decay: f64,
    /// Whether the decay is decoupled from the gradient (AdamW).
    pub decoupled: bool,
}

/// The state of the optimizer.
#[derive(Debug)]
pub struct Moments<'a> {
    /// Mean of gradients, in the shape of the parameters.
    pub mean: &'a mut Tensor,
    /// Mean of squared gradients, in the shape of the parameters.
    pub square: &'a mut Tensor,
    /// n, the number of this update, from 1; one f32 on the device.
    pub step: &'a Tensor,
}

/// Updates `parameters` (f32, contiguous). `scale` and `skip` are one f32 each on the device. The
/// memory of `gradient` is overwritten with the scaled gradient.
///
/// # Errors
/// [`TorchError::Mismatch`], and an exception of libtorch.
pub fn update(
    parameters: &mut Tensor,
    gradient: &Tensor,
    moments: Moments<'_>,
    scale: &Tensor,
    skip: &Tensor,
    adam: &Adam,
) -> Result<(), TorchError> {
    let Moments { mean, square, step } = moments;
    check(parameters, &[gradient, mean, square], &[step, scale, skip])?;
    let Adam { lr, beta1, beta2, eps, decay, decoupled } = *adam;
    let p = ffi::pointer;
    // SAFETY: all tensors outlive the call and have the sizes and types that the kernel reads.
    ffi::checked("update the parameters", unsafe {
        ffi::fm_fused_adam(
            p(parameters),
            p(gradient),
            p(mean),
            p(square),
            p(step),
            p(scale),
            p(skip),
            decoupled,
            lr,
            beta1,
            beta2,
            decay,
            eps,
        )
    })
}

/// Checks sizes and types, because the kernel does not.
fn check(parameters: &Tensor, alike: &[&Tensor], numbers: &[&Tensor]) -> Result<(), TorchError> {
    let good = |t: &Tensor| t.kind() == Kind::Float && t.device() == parameters.device() && t.is_contiguous();
    let same = alike.iter().all(|t| good(t) && t.size() == parameters.size());
    if good(parameters) && same && numbers.iter().all(|t| good(t) && t.numel() == 1) {
        return Ok(());
    }
    let problem =
        "parameters, gradient and moments must be f32, contiguous and of one size; step, scale and skip one f32 each"
            .into();
    Err(TorchError::Mismatch { action: "update the parameters", problem })
}
