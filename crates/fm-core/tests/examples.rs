//! The examples run, and find what they say.

#![allow(missing_docs, dead_code, clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../examples/exact_field.rs"]
mod exact_field;

use fm_core::rng::{Key, Stream, normal_rows};
use rand::Rng;

const DATA: [[f64; 2]; 3] = [[0.0, 2.0], [-1.5, -1.0], [1.5, -1.0]];

/// E Var(x1 - x0 | x_t) per dimension by brute force: x1 - x0 = (x1 - x_t) / (1 - t), and x1 given
/// x_t is one of three points.
fn floor(draws: usize) -> f64 {
    let noise = normal_rows(Key::new(7, 0, Stream::Noise), draws, 2);
    let mut sum = 0.0;
    for i in 0..draws {
        let (t, x1) = (Key::new(7, 0, Stream::Time).generator(i).random::<f64>(), DATA[i % 3]);
        let x = [0, 1].map(|k| t * x1[k] + (1.0 - t) * f64::from(noise[2 * i + k]));
        let square = |p: &[f64; 2]| (x[0] - t * p[0]).powi(2) + (x[1] - t * p[1]).powi(2);
        let nearest = DATA.iter().map(square).fold(f64::INFINITY, f64::min);
        let weights = DATA.map(|p| ((nearest - square(&p)) / (2.0 * (1.0 - t).powi(2))).exp());
        let total: f64 = weights.iter().sum();
        let moment = |k: usize, power| DATA.iter().zip(weights).map(|(p, w)| w * p[k].powi(power)).sum::<f64>() / total;
        let variance = |k| moment(k, 2) - moment(k, 1).powi(2);
        sum += (variance(0) + variance(1)) / (1.0 - t).powi(2);
    }
    sum / (2 * draws) as f64
}

#[test]
fn the_exact_field_leads_to_the_data_and_its_loss_is_the_conditional_variance() {
    let (x, estimate) = exact_field::samples(100).unwrap();
    let nearest = |row: &[f64]| {
        let far = DATA.map(|p| (row[0] - p[0]).hypot(row[1] - p[1]));
        (0..3).map(|k| (far[k], k)).fold((f64::INFINITY, 0), |a, b| if b.0 < a.0 { b } else { a })
    };
    let found: Vec<(f64, usize)> = x.outer_iter().map(|row| nearest(&row.to_vec())).collect();
    assert!(found.iter().all(|(far, _)| *far < 1e-2), "{found:?}");
    let counts = [0, 1, 2].map(|k| found.iter().filter(|(_, at)| *at == k).count());
    assert!(counts.iter().all(|n| *n > 40), "{counts:?}");
    assert!((estimate / floor(100_000) - 1.0).abs() < 0.03, "{estimate} and {}", floor(100_000));
}
