//! Problems with known answers.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses some of it, and should stop when it cannot go on"
)]

use serde_json::Value;

pub type State = Vec<f64>;

/// Harmonic motion with damping, a linear system: x'' = -x - x'/5.
#[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
pub fn linear(x: &State, _t: f64) -> State {
    vec![x[1], -x[0] - 0.2 * x[1]]
}

/// The linear system from (1, 0).
pub fn linear_at(t: f64) -> State {
    let (a, w) = (0.1, 0.99f64.sqrt());
    let (decay, c, s) = ((-a * t).exp(), (w * t).cos(), (w * t).sin());
    vec![decay * (c + a / w * s), -decay * s / w]
}

pub fn van_der_pol(mu: f64) -> impl Fn(&State, f64) -> State {
    move |x, _| vec![x[1], mu * (1.0 - x[0] * x[0]) * x[1] - x[0]]
}

/// x' = -2 t x + cos t e^(-t^2): x(t) = (x(0) + sin t) e^(-t^2).
#[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
pub fn driven(x: &State, t: f64) -> State {
    x.iter().map(|x| -2.0 * t * x + t.cos() * (-t * t).exp()).collect()
}

pub fn driven_at(t: f64) -> State {
    vec![(1.0 + t.sin()) * (-t * t).exp()]
}

/// x' = x cos t from 1: x(t) = e^(sin t).
#[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
pub fn waves(x: &State, t: f64) -> State {
    x.iter().map(|x| x * t.cos()).collect()
}

pub fn waves_at(t: f64) -> State {
    vec![t.sin().exp()]
}

pub fn reference(file: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/{file}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// The slope of the least-squares line through (log x, log y).
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let (mx, my) = logs.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let (xy, xx) = logs.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + (x - mx) * (y - my), b + (x - mx).powi(2)));
    xy / xx
}
