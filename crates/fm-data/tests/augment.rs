//! Augmentations against NumPy and SciPy: `python3 crates/fm-data/tests/reference/augment.py` makes
//! the reference.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::data::Augment;
use fm_core::rng::{Key, Stream};
use fm_data::augment::{Change, ImageAugment};
use serde_json::Value;
use std::collections::BTreeSet;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn pair(value: &Value) -> [i64; 2] {
    numbers(value).iter().map(|n| *n as i64).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn changes_are_those_of_numpy_and_scipy() {
    let reference: Value = serde_json::from_str(include_str!("reference/augment.json")).unwrap();
    let shape: Vec<usize> = numbers(&reference["shape"]).iter().map(|n| *n as usize).collect();
    let images = ImageAugment { shape: shape.try_into().unwrap(), ..ImageAugment::default() };
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let mut row: Vec<f32> = numbers(&reference["image"]).iter().map(|v| *v as f32).collect();
        let degrees = case["degrees"].as_f64().unwrap();
        images.change(&mut row, Change { crop: pair(&case["crop"]), degrees, shift: pair(&case["shift"]) });
        let off = row.iter().zip(numbers(&case["values"])).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-5, "{} {degrees} {}: off by {off}", case["crop"], case["shift"]);
    }
}

#[test]
fn draws_cover_their_bounds_and_depend_on_seed_step_and_row_alone() {
    let images = ImageAugment { shape: [1, 8, 8], crop: 2, rotation: 10.0, translation: 1 };
    let draw = |step, row| images.draw(&mut Key::new(1, step, Stream::Transform).generator(row));
    let draws: Vec<Change> = (0..2000).map(|row| draw(0, row)).collect();
    let places = |of: &dyn Fn(&Change) -> [i64; 2]| draws.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!((places(&|c| c.crop), places(&|c| c.shift)), (25, 9));
    let mean = draws.iter().map(|c| c.degrees).sum::<f64>() / 2000.0;
    let most = draws.iter().map(|c| c.degrees.abs()).fold(0.0, f64::max);
    // The mean of 2000 uniform angles has a standard error of 10 / sqrt(3 * 2000) = 0.13.
    assert!(mean.abs() < 0.52 && (9.9..=10.0).contains(&most), "{mean} {most}");
    assert!(draw(0, 3) == draws[3] && draw(1, 3) != draws[3]);
    let (mut a, mut b) = ([0.25f32; 64], [0.25f32; 64]);
    images.apply(&mut a, &mut Key::new(1, 0, Stream::Transform).generator(5));
    images.change(&mut b, draws[5]);
    assert_eq!(a, b);
}

#[test]
fn bounds_that_images_cannot_take_are_errors() {
    let base = ImageAugment { shape: [3, 8, 6], ..ImageAugment::default() };
    assert!(base.validate().is_ok() && !base.is_active());
    for (wrong, says) in [
        (ImageAugment { crop: 6, ..base }, "images of 8 x 6 take 0 to 5"),
        (ImageAugment { translation: usize::MAX, ..base }, "images of 8 x 6 take 0 to 5"),
        (ImageAugment { rotation: -1.0, ..base }, "give 0 to 180"),
        (ImageAugment { rotation: f64::NAN, ..base }, "give 0 to 180"),
    ] {
        let error = wrong.validate().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    // A picture of one pixel has nothing to reflect.
    let mut row = [0.5];
    ImageAugment { shape: [1, 1, 1], ..base }.change(&mut row, Change { crop: [3, -2], ..Change::default() });
    assert_eq!(row, [0.5]);
}
