//! Levels of forward-mode differentiation cannot leak, nest, or meet between threads.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_torch::TorchError;
use fm_torch::forward_ad::with_level;
use tch::Tensor;

fn cube(x: f64, dx: f64) -> (f64, f64) {
    let (x, dx) = (Tensor::from_slice(&[x]), Tensor::from_slice(&[dx]));
    let (y, dy) = with_level(|level| level.parts(&level.dual(&x, &dx).unwrap().pow_tensor_scalar(3)).unwrap()).unwrap();
    (y.double_value(&[0]), dy.double_value(&[0]))
}

#[test]
fn a_level_inside_a_level_is_refused_and_the_outer_one_goes_on() {
    let inner = with_level(|_| with_level(|_| ()));
    assert_eq!(inner, Ok(Err(TorchError::NestedLevel)));
    assert_eq!(cube(2.0, 1.0), (8.0, 12.0));
}

#[test]
fn a_panic_closes_its_level() {
    let panicked = std::panic::catch_unwind(|| with_level(|_| panic!("inside")));
    assert!(panicked.is_err());
    assert_eq!(cube(2.0, 0.5), (8.0, 6.0));
}

#[test]
fn threads_wait_for_each_other() {
    std::thread::scope(|scope| {
        for k in 1..5 {
            scope.spawn(move || {
                for _ in 0..50 {
                    let x = f64::from(k);
                    assert_eq!(cube(x, 1.0), (x.powi(3), 3.0 * x * x));
                }
            });
        }
    });
}

#[test]
fn tangents_end_with_their_level_and_shapes_are_checked() {
    let (x, dx) = (Tensor::from_slice(&[1f64, 2.0]), Tensor::from_slice(&[1f64, 1.0]));
    let kept = with_level(|level| level.dual(&x, &dx).unwrap()).unwrap();
    let (_, tangent) = with_level(|level| level.parts(&kept).unwrap()).unwrap();
    assert_eq!(tangent.abs().sum(tch::Kind::Double).double_value(&[]), 0.0);
    let error = with_level(|level| level.dual(&x, &Tensor::from_slice(&[1f64])).unwrap_err()).unwrap();
    assert!(error.to_string().starts_with("cannot attach a tangent: "), "{error}");
}
