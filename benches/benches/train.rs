//! Criterion benches of fm-train on libtorch: steps of a run without its files, many at a time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fm_benches::steps::{Steps, tables};
use fm_run::process_group::Group;
use std::sync::Arc;
use tch::Device;

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("steps");
    group.sample_size(10);
    for (name, table) in tables().into_iter().flatten() {
        let Ok(mut steps) = Steps::new(name, table, &Arc::new(Group::alone()), Device::Cpu) else { continue };
        group.throughput(Throughput::Elements(100));
        group.bench_function(name, |b| b.iter(|| steps.train(100).ok()));
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
