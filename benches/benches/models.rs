//! Criterion benches of fm-models on libtorch: a pass forwards and back, a pass forwards, and
//! sampling, each in its own group.

use criterion::{Criterion, criterion_group, criterion_main};
use fm_benches::networks::{NAMES, Network};
use tch::Device;

fn networks(c: &mut Criterion) {
    for name in NAMES {
        let Ok(mut network) = Network::fresh(name, Device::Cpu) else { continue };
        let mut group = c.benchmark_group(name);
        group.sample_size(10);
        group.bench_function("train", |b| b.iter(|| network.train()));
        group.bench_function("infer", |b| b.iter(|| network.infer()));
        group.bench_function("sample-2", |b| b.iter(|| network.sample(2).ok()));
        group.finish();
    }
}

criterion_group!(benches, networks);
criterion_main!(benches);
