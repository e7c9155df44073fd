//! Sampling of networks with condition vectors, and their guidance, against closed forms.

#![cfg(feature = "tch")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::field::RowField;
use fm_core::prediction::Prediction;
use fm_core::tensor::{ConditionKind, VelocityModel};
use fm_solvers::guidance::{Guidance, Guided};
use fm_solvers::sampler::{Samples, sample_guided_with};
use fm_solvers::{Fixed, Sampler, SolveError};
use ndarray::Array2;
use tch::{Kind, Tensor};

fn flow() -> FlowMatching {
    FlowMatching::default().prediction(Prediction::Data).time_clip(1e-4)
}

fn column(samples: &Samples<Tensor>) -> Vec<f64> {
    Vec::try_from(samples.x.to_kind(Kind::Double).narrow(1, 0, 1).view(-1)).unwrap()
}

/// Data at the sum of the condition vector, or at 2 for zeros.
#[derive(Debug)]
struct Sums;

impl VelocityModel for Sums {
    fn forward(&self, x: &Tensor, _: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let sums = |c: &Tensor| c.sum_dim_intlist(1, true, Kind::Float);
        let null = |c: &Tensor| c.abs().sum_dim_intlist(1, true, Kind::Float).eq(0.0).to_kind(Kind::Float) * 2.0;
        condition.map_or_else(|| x.full_like(2.0), |c| (sums(c) + null(c)).expand_as(x))
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        Some(vec![3])
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        Some(ConditionKind::Vectors { dim: 2 })
    }
}

#[test]
fn networks_are_guided_by_condition_vectors() {
    let vectors = ndarray::array![[1.0f32, 0.5], [4.0, -1.0], [0.0, 0.0]];
    for (scale, want) in [(1.0, [1.5, 3.0, 2.0]), (3.0, [0.5, 5.0, 2.0]), (0.0, [2.0; 3])] {
        let guidance = Guidance { scale, ..Guidance::default() };
        let samples = Sampler::euler(100).sample_vectors(&Sums, &flow(), vectors.view(), guidance, 1).unwrap();
        let got = column(&samples);
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 2e-2), "{scale}: {got:?}");
        // Rows with step sizes of their own, and a solver of your own.
        let adaptive = Sampler::dopri5(1e-6).sample_vectors(&Sums, &flow(), vectors.view(), guidance, 1).unwrap();
        assert!(column(&adaptive).iter().zip(want).all(|(a, b)| (a - b).abs() < 2e-2), "{scale}");
        let guided = Guided::vectors(&Sums, vectors.view(), guidance).unwrap();
        let own = sample_guided_with(&Fixed::euler(100), &guided, &flow(), 1).unwrap();
        assert!(own.x.equal(&samples.x));
    }
}

#[test]
fn conditions_that_a_network_does_not_take_are_errors() {
    let sample =
        |vectors: Array2<f32>, guidance| Sampler::euler(1).sample_vectors(&Sums, &flow(), vectors.view(), guidance, 1);
    let plain = Guidance::default();
    for bad in [Array2::zeros((2, 3)), Array2::zeros((2, 0)), ndarray::array![[0.0, f32::NAN]]] {
        assert!(matches!(sample(bad, plain), Err(SolveError::Path(_))));
    }
    assert_eq!(sample(Array2::zeros((0, 2)), plain).unwrap().x.size(), [0, 3]);
    let classes = Sampler::euler(1).sample_classes(&Sums, &flow(), &[1], plain, 1).unwrap_err();
    assert!(classes.to_string().contains("condition vectors of 2 values"), "{classes}");
    assert!(sample(Array2::zeros((1, 2)), Guidance { scale: f64::NAN, ..plain }).is_err());
}

/// A velocity and a score that are multiples of the sum of the condition vector, or of 2 for zeros.
#[derive(Debug)]
struct Scored;

impl VelocityModel for Scored {
    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        Sums.forward(x, t, condition)
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        Sums.row_shape()
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        Sums.condition_kind()
    }

    fn has_score(&self) -> bool {
        true
    }

    fn velocity_and_score(&self, x: &Tensor, t: &Tensor, c: Option<&Tensor>, _: bool) -> Option<[Tensor; 2]> {
        let sums = Sums.forward(x, t, c);
        let score = &sums * -10.0;
        Some([sums, score])
    }
}

#[test]
fn scores_are_guided_as_velocities_are() {
    let vectors = ndarray::array![[1.0f32, 0.5], [4.0, -1.0]];
    let x = Tensor::zeros([2, 3], (Kind::Float, tch::Device::Cpu));
    // 2 + w (sum - 2), where 2 is the prediction without a condition; 1 outside the interval.
    for (scale, t, want) in
        [(3.0, 0.5, [0.5, 5.0]), (0.0, 0.5, [2.0, 2.0]), (1.0, 0.5, [1.5, 3.0]), (3.0, 0.9, [1.5, 3.0])]
    {
        let guidance = Guidance { scale, interval: (0.2, 0.8) };
        let guided = Guided::vectors(&Scored, vectors.view(), guidance).unwrap();
        assert!(RowField::<Tensor>::has_score(&guided));
        let [v, s] = guided.velocities_and_scores(&x, &[t, t], &[0, 1]).unwrap();
        for (part, factor) in [(v, 1.0), (s, -10.0)] {
            let got: Vec<f64> = Vec::try_from(part.to_kind(Kind::Double).narrow(1, 0, 1).view(-1)).unwrap();
            assert!(got.iter().zip(want).all(|(a, b)| (a - factor * b).abs() < 1e-5), "{scale} {t}: {got:?}");
        }
    }
}
