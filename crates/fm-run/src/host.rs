//! Values of samples on the host.
//!
//! ```
//! use fm_run::host::{ensure_finite, to_host};
//! let x = to_host(&tch::Tensor::from_slice(&[1.0f64, 0.5]).view([1, 2]))?;
//! assert_eq!(x, [1.0, 0.5]);
//! assert!(ensure_finite(&x).is_ok() && ensure_finite(&[f64::NAN]).is_err());
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::ensure;
use tch::{Device, Kind, Tensor};

/// The values of a tensor, f32, row after row. An error of the device is returned as an error, not
/// as an empty list.
///
/// # Errors
/// Those of the device, and a tensor whose values have no order.
pub fn to_host(x: &Tensor) -> anyhow::Result<Vec<f32>> {
    let x = x.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_reshape([-1])?;
    Ok(Vec::try_from(x)?)
}

/// Fails if a model drew a value that is not finite.
///
/// # Errors
/// Such a value.
pub fn ensure_finite<T: Copy + Into<f64>>(samples: &[T]) -> anyhow::Result<()> {
    ensure!(
        samples.iter().all(|value| (*value).into().is_finite()),
        "the model drew values that are not finite, because its weights are broken; use an earlier checkpoint, or train it again"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_be_read_are_an_error_and_not_fewer_samples() {
        let x = Tensor::from_slice(&[1.0f64, 0.0]).view([1, 2]);
        assert_eq!(to_host(&x).unwrap(), [1.0, 0.0]);
        // Values of a sparse tensor have no order.
        assert!(to_host(&x.to_sparse_sparse_dim(2)).is_err());
    }
}
