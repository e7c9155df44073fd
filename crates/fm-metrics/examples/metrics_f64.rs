//! Metrics of points in f64, with one of the caller, as one report.
//!
//!     cargo run -p fm-metrics --example metrics_f64

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use fm_core::rng::{Key, Stream, normal_rows};
use fm_metrics::evaluation::{
    Evaluation, Report, SampleMetric, energy_distance, frechet_distance, precision_recall, sliced_wasserstein,
};
use fm_metrics::ndarray::{Array2, ArrayView2, Axis};

/// 300 points of N(shift, 1e-6^2 I) in the plane.
fn cloud(seed: u64, shift: f64) -> Array2<f64> {
    let values = normal_rows(Key::new(seed, 0, Stream::Data), 300, 2);
    let rows = Array2::from_shape_vec((300, 2), values).unwrap_or_default();
    rows.mapv(|v| shift + 1e-6 * f64::from(v))
}

/// The largest difference of the columns' means.
fn mean_shift(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> f64 {
    let (x, y) = (x.mean_axis(Axis(0)).unwrap_or_default(), y.mean_axis(Axis(0)).unwrap_or_default());
    x.iter().zip(&y).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

/// Compares samples with held-out rows, 1e-6 apart about 1000, where neighbouring f32 are 6e-5
/// apart.
pub fn report() -> Report {
    let (samples, held_out) = (cloud(0, 1000.0 + 1e-6), cloud(1, 1000.0));
    Evaluation::new([
        energy_distance(),
        sliced_wasserstein(),
        frechet_distance(),
        precision_recall(5),
        SampleMetric::new("mean_shift", |x, y| Ok(mean_shift(x, y))),
        // The balls would need more neighbours than there are points: the report says so.
        precision_recall(500),
    ])
    .run(&samples, &held_out)
}

#[allow(dead_code, reason = "a test includes this file")]
fn main() {
    println!("{}", report());
}
