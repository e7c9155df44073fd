//! Point sets that Rust and Python build alike, bit by bit: `reference/instances.py` is the same in
//! NumPy.

#![allow(dead_code, reason = "each test file uses what it needs")]

pub(crate) mod reference;

use ndarray::Array2;

/// A hash of two numbers (splitmix64's finaliser), as a fraction of 2^24: exact in f32.
fn unit(seed: u64, index: u64) -> f64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(index.wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f64 / 16_777_216.0
}

/// Two sets of n points of d dimensions.
pub(crate) fn instance(kind: &str, n: usize, d: usize, seed: u64) -> (Array2<f32>, Array2<f32>) {
    (points(kind, n, d, 2 * seed), points(kind, n, d, 2 * seed + 1))
}

fn points(kind: &str, n: usize, d: usize, seed: u64) -> Array2<f32> {
    const SCALES: [f64; 9] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1e3, 1e4];
    let coordinate = |seed: u64, i: usize, k: usize| unit(seed, (i * d + k) as u64);
    Array2::from_shape_fn((n, d), |(i, k)| {
        let u = coordinate(seed, i, k);
        let value = match kind {
            "uniform" => u,
            // Points of a small lattice: ties, and distances of 0.
            "lattice" => (4.0 * u).floor(),
            // Five places 1000 apart, each with its share of points.
            "clusters" => 1000.0 * (5.0 * unit(seed + 1_000_003, i as u64)).floor() + u,
            // Each point three times, and the same ones on both sides.
            "duplicates" => coordinate(seed / 2, i / 3, k),
            // Points of one set at nine scales.
            "scales" => u * SCALES[(9.0 * unit(seed + 7, i as u64)).floor() as usize],
            // The same points on both sides, in another order: the optimum is 0.
            "same" => coordinate(seed / 2, if seed.is_multiple_of(2) { i } else { n - 1 - i }, k),
            other => panic!("unknown kind {other}"),
        };
        value as f32
    })
}
