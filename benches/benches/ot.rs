//! Criterion benches of fm-ot: the cost matrix and the exact assignment, apart.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fm_benches::{cost_matrix, points};
use fm_ot::{assignment::assign, cost::squared_euclidean};

fn assignment(c: &mut Criterion) {
    let mut group = c.benchmark_group("assignment");
    group.sample_size(10);
    for n in [64, 128, 256, 512, 1024] {
        let cost = cost_matrix(n, 2, 1);
        group.bench_function(BenchmarkId::new("2d", n), |b| b.iter(|| assign(cost.view())));
    }
    group.finish();
}

fn cost(c: &mut Criterion) {
    let mut group = c.benchmark_group("cost");
    group.sample_size(10);
    for (n, dim) in [(128, 2), (128, 3072), (512, 3072)] {
        let (x, y) = (points(n, dim, 1), points(n, dim, 2));
        let name = BenchmarkId::new(format!("{dim}d"), n);
        group.bench_function(name, |b| b.iter(|| squared_euclidean(x.view(), y.view())));
    }
    group.finish();
}

criterion_group!(benches, assignment, cost);
criterion_main!(benches);
