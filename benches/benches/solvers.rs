//! Criterion benches of fm-solvers: a pure function, and the exact field of a mixture, its batch in
//! one step size and in one for each sample.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fm_benches::points;
use fm_core::exact::{ExactField, Mixture};
use fm_core::field::SharedTime;
use fm_core::path::PathKind;
use fm_solvers::tableau::{DOPRI5, TSIT5};
use fm_solvers::{AdaptiveOptions, SaveAt, adaptive, per_sample};
use ndarray::array;

#[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
fn turn(x: &Vec<f64>, _t: f64) -> Vec<f64> {
    vec![x[1], -x[0]]
}

fn harmonic(c: &mut Criterion) {
    let mut group = c.benchmark_group("harmonic");
    for (name, tableau) in [("dopri5", &DOPRI5), ("tsit5", &TSIT5)] {
        for tolerance in [1e-3, 1e-6, 1e-9] {
            let options = AdaptiveOptions::with_tolerance(tolerance);
            group.bench_function(BenchmarkId::new(name, tolerance), |b| {
                b.iter(|| adaptive::solve(&turn, vec![1.0, 0.0], (0.0, 10.0), tableau, &options, SaveAt::End));
            });
        }
    }
    group.finish();
}

fn mixture(c: &mut Criterion) {
    let means = array![[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]];
    let Ok(mixture) = Mixture::isotropic(&[0.5, 0.3, 0.2], means.view(), &[0.09, 0.04, 0.16]) else { return };
    let (noise, options) = (points(256, 2, 1).mapv(f64::from), AdaptiveOptions::with_tolerance(1e-5));
    let mut group = c.benchmark_group("mixture-256");
    group.sample_size(20);
    let field = || ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0));
    if let Ok(together) = field().map(SharedTime) {
        group.bench_function("tsit5-per-batch", |b| {
            b.iter(|| adaptive::solve(&together, noise.clone(), (0.0, 1.0), &TSIT5, &options, SaveAt::End));
        });
    }
    if let Ok(field) = field() {
        group.bench_function("tsit5-per-sample", |b| {
            b.iter(|| per_sample::solve(&field, noise.clone(), (0.0, 1.0), &TSIT5, &options, SaveAt::End));
        });
    }
    group.finish();
}

criterion_group!(benches, harmonic, mixture);
criterion_main!(benches);
