//! Criterion benches of fm-metrics: distances between two sets of rows.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fm_benches::points;
use fm_metrics::energy::energy_distance;
use fm_metrics::frechet::frechet;
use fm_metrics::kid::polynomial_mmd;
use fm_metrics::manifold::manifold;
use fm_metrics::moments::Moments;
use ndarray::ArrayView2;

fn gaussian(rows: ArrayView2<'_, f32>) -> Option<fm_metrics::moments::Gaussian> {
    let mut moments = Moments::like(rows).ok()?;
    moments.add(rows).ok()?;
    moments.gaussian().ok()
}

fn clouds(c: &mut Criterion) {
    let mut group = c.benchmark_group("energy-distance");
    group.sample_size(10);
    for (n, dim) in [(1000, 2), (4000, 2), (4000, 64)] {
        let (x, y) = (points(n, dim, 1), points(n, dim, 2));
        let name = BenchmarkId::new(format!("{dim}d"), n);
        group.bench_function(name, |b| b.iter(|| energy_distance(x.view(), y.view())));
    }
    group.finish();
}

fn features(c: &mut Criterion) {
    let mut group = c.benchmark_group("features");
    group.sample_size(10);
    for (n, dim) in [(1000, 64), (1000, 512)] {
        let (x, y) = (points(n, dim, 1), points(n, dim, 2));
        let name = |what: &str| BenchmarkId::new(what, format!("{n}x{dim}"));
        group.bench_function(name("moments"), |b| b.iter(|| gaussian(x.view())));
        if let (Some(p), Some(q)) = (gaussian(x.view()), gaussian(y.view())) {
            group.bench_function(name("frechet"), |b| b.iter(|| frechet(&p, &q)));
        }
        group.bench_function(name("polynomial-mmd"), |b| b.iter(|| polynomial_mmd(x.view(), y.view())));
        group.bench_function(name("manifold"), |b| b.iter(|| manifold(x.view(), y.view(), 5)));
    }
    group.finish();
}

criterion_group!(benches, clouds, features);
criterion_main!(benches);
