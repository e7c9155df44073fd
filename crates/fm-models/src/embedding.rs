//! Sinusoidal embeddings of time and position.
//!
//! A time t becomes [cos(s t f_k), sin(s t f_k)] with f_k = exp(-ln(10000) k / half), k = 0..half. The scale s matters: with raw t
//! in [0, 1] (s = 1) a 128-wide embedding has numerical rank 3, with s = 1000 it has rank 61. It is part of a network's
//! configuration, because weights trained at one scale mean nothing at another.
//!
//! ```
//! use tch::Tensor;
//! let e = fm_models::embedding::timestep(&Tensor::from_slice(&[0.5f32]), 4, 1.0);
//! let want = [0.5f64.cos(), 0.005f64.cos(), 0.5f64.sin(), 0.005f64.sin()]; // f = 1, 0.01
//! for (i, w) in want.iter().enumerate() {
//!     assert!((e.double_value(&[0, i as i64]) - w).abs() < 1e-6);
//! }
//! ```

use tch::{Device, Kind, Tensor};

/// The embedding of times t (B) as (B, width), f32; `width` is even.
pub fn timestep(t: &Tensor, width: i64, scale: f64) -> Tensor {
    let half = width / 2;
    let k = Tensor::arange(half, (Kind::Float, t.device()));
    let frequencies = (k * (-(10_000f64.ln()) / half as f64)).exp();
    let angles = (t.to_kind(Kind::Float) * scale).unsqueeze(1) * frequencies.unsqueeze(0);
    Tensor::cat(&[angles.cos(), angles.sin()], 1)
}

/// Fixed positions of a `side` x `side` grid as (1, side^2, width), f32: [sin, cos] with frequencies 10000^(-k / (width / 4)),
/// computed in f64; the first half of the width encodes the column, the second the row.
pub fn positions_2d(side: i64, width: i64, device: Device) -> Tensor {
    let quarter = (width / 4) as usize;
    let mut table = Vec::with_capacity((side * side * width) as usize);
    for row in 0..side {
        for column in 0..side {
            for position in [column as f64, row as f64] {
                let angle = |k: usize| position * 10_000f64.powf(-(k as f64) / quarter as f64);
                table.extend((0..quarter).map(|k| angle(k).sin() as f32));
                table.extend((0..quarter).map(|k| angle(k).cos() as f32));
            }
        }
    }
    Tensor::from_slice(&table).view([1, side * side, width]).to_device(device)
}
