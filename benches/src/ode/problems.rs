//! The problems of the comparison: fields, initial points and time spans.

use fm_core::exact::{ExactField, Mixture, MixtureError};
use fm_core::path::PathKind;
use ndarray::{Array2, array};

pub(crate) const HARMONIC: (f64, f64) = (0.0, 10.0);
pub(crate) const VAN_DER_POL: (f64, f64) = (0.0, 10.0);
pub(crate) const FLOW: (f64, f64) = (0.0, 1.0);
/// Rows per batch from noise to data.
pub(crate) const MIXTURE_ROWS: usize = 256;
pub(crate) const NETWORK_ROWS: usize = 1024;

#[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
pub(crate) fn harmonic(x: &Vec<f64>, _t: f64) -> Vec<f64> {
    vec![x[1], -x[0]]
}

#[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
pub(crate) fn van_der_pol(x: &Vec<f64>, _t: f64) -> Vec<f64> {
    vec![x[1], 5.0 * (1.0 - x[0] * x[0]) * x[1] - x[0]]
}

/// Three Gaussians in the plane.
pub(crate) fn mixture() -> Result<Mixture, MixtureError> {
    let means = array![[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]];
    Mixture::isotropic(&[0.5, 0.3, 0.2], means.view(), &[0.09, 0.04, 0.16])
}

pub(crate) fn mixture_field(mixture: &Mixture) -> Result<ExactField<'_, PathKind>, fm_core::Error> {
    ExactField::new(mixture, PathKind::Linear, FLOW)
}

/// Noise in f64, with values that f32 represents exactly.
pub(crate) fn noise(rows: usize) -> Array2<f64> {
    fm_benches::points(rows, 2, 1).mapv(f64::from)
}
