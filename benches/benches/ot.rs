//! Criterion benches of fm-ot: the cost matrix, the exact assignment and Sinkhorn's plan, apart.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fm_benches::{cost_matrix, points};
use fm_ot::assignment::assign;
use fm_ot::cost::Metric;
use fm_ot::entropic::{SinkhornOptions, sinkhorn};
use fm_ot::marginals::Marginals;

fn assignment(c: &mut Criterion) {
    let mut group = c.benchmark_group("assignment");
    group.sample_size(10);
    for (n, dim) in [(64, 2), (128, 2), (256, 2), (512, 2), (1024, 2), (128, 3072), (512, 3072)] {
        let cost = cost_matrix(n, dim, 1);
        group.bench_function(BenchmarkId::new(format!("{dim}d"), n), |b| b.iter(|| assign(cost.view())));
    }
    group.finish();
}

fn entropic(c: &mut Criterion) {
    let mut group = c.benchmark_group("sinkhorn");
    group.sample_size(10);
    for n in [128, 512, 1024] {
        let (cost, marginals, options) = (cost_matrix(n, 2, 1), Marginals::uniform(n, n), SinkhornOptions::default());
        group.bench_function(BenchmarkId::new("2d", n), |b| b.iter(|| sinkhorn(cost.view(), &marginals, &options)));
    }
    group.finish();
}

fn cost(c: &mut Criterion) {
    let mut group = c.benchmark_group("cost");
    group.sample_size(10);
    for (n, dim) in [(128, 2), (128, 3072), (512, 3072)] {
        let (x, y) = (points(n, dim, 1), points(n, dim, 2));
        let name = BenchmarkId::new(format!("{dim}d"), n);
        group.bench_function(name, |b| b.iter(|| Metric::SquaredEuclidean.matrix(x.view(), y.view())));
    }
    group.finish();
}

criterion_group!(benches, assignment, entropic, cost);
criterion_main!(benches);
