//! Bad input to every public function of `fm-metrics`.

use fm_metrics::MetricError;
use fm_metrics::columns::compare;
use fm_metrics::energy::energy_distance;
use fm_metrics::estimate::{group, jackknife, mean};
use fm_metrics::frechet::{estimate, frechet};
use fm_metrics::inception_score::inception_score;
use fm_metrics::kid::{Subsets, kid, polynomial_mmd};
use fm_metrics::manifold::manifold;
use fm_metrics::mmd::{median_distance, mmd};
use fm_metrics::moments::{Gaussian, Moments};
use fm_metrics::nearest::{class_agreement, copy_rate, copy_threshold, nearest};
use fm_metrics::palette::palette_error;
use fm_metrics::resize::bicubic;
use fm_metrics::sliced::{sliced_along, sliced_wasserstein, wasserstein_line};
use fm_metrics::statistics;
use fm_metrics::two_sample::{Components, nearest_neighbour_accuracy};
use hostile::Calls;
use ndarray::{Array1, Array2, ArrayView2, array};

/// The most rows that an array may have, without columns.
const MOST: usize = isize::MAX as usize;

const NUMBERS: [f64; 9] = [0.0, -1.0, 5e-324, 1e-200, 1e300, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

const COUNTS: [usize; 5] = [0, 1, 2, usize::MAX - 1, usize::MAX];

type Distance = (&'static str, fn(ArrayView2<'_, f32>, ArrayView2<'_, f32>) -> Result<(), MetricError>);

/// Everything that compares two sets of points.
const DISTANCES: [Distance; 16] = [
    ("energy_distance", |x, y| energy_distance(x, y).map(drop)),
    ("mmd", |x, y| mmd(x, y, None).map(drop)),
    ("mmd 1", |x, y| mmd(x, y, Some(1.0)).map(drop)),
    ("median_distance", |x, y| median_distance(x, y).map(drop)),
    ("sliced_wasserstein", |x, y| sliced_wasserstein(x, y, 2, 3, 0).map(drop)),
    ("sliced_along", |x, y| sliced_along(x, y, 1, array![[1.0, 0.0]].view()).map(drop)),
    ("compare", |x, y| compare(x, y).map(drop)),
    ("nearest_neighbour_accuracy", |x, y| nearest_neighbour_accuracy(x, y).map(drop)),
    ("nearest", |x, y| nearest(x, y).map(drop)),
    ("copy_rate", |x, y| copy_rate(x, y).map(drop)),
    ("class_agreement", |x, y| class_agreement(x, &[0, 0], y, &[0, 0]).map(drop)),
    ("kid", |x, y| kid(x, y, &Subsets::default()).map(drop)),
    ("polynomial_mmd", |x, y| polynomial_mmd(x, y).map(drop)),
    ("manifold", |x, y| manifold(x, y, 1).map(drop)),
    ("components", |x, y| Components::of(x, 1).and_then(|c| c.coordinates(y)).map(drop)),
    ("moments", |x, y| Moments::like(x).and_then(|mut m| m.add(y).and_then(|()| m.gaussian())).map(drop)),
];

#[test]
fn sets_of_any_shape() {
    let mut calls = Calls::new("fm-metrics shapes");
    let shapes = [(0, 0), (0, 2), (1, 2), (2, 2), (2, 3), (2, 0), (MOST, 0), (0, MOST)];
    for a in shapes {
        for b in shapes {
            let (x, y) = (Array2::<f32>::zeros(a), Array2::<f32>::zeros(b));
            for (name, distance) in DISTANCES {
                let name = format!("{name} of {a:?} and {b:?}");
                if a.1 != b.1 || a.1 == 0 {
                    calls.refuses(&name, || distance(x.view(), y.view()));
                } else {
                    calls.survives(&name, || distance(x.view(), y.view()));
                }
            }
        }
    }
    // More rows than any machine has, in a view.
    let one = array![[0f32, 1.0]];
    let many = one.broadcast((1 << 50, 2)).unwrap();
    for (name, distance) in DISTANCES {
        calls.refuses(&format!("{name} of many"), || distance(many, many));
    }
    calls.finish(1000);
}

#[test]
fn values_of_any_size() {
    let mut calls = Calls::new("fm-metrics values");
    let fine = Array2::from_shape_fn((5, 2), |(i, j)| (i + 3 * j) as f32);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [(0, 0), (4, 1)] {
            let mut broken = fine.clone();
            broken[place] = value;
            for (name, distance) in DISTANCES {
                let name = format!("{name} of {value} at {place:?}");
                calls.refuses(&name, || distance(broken.view(), fine.view()));
                calls.refuses(&name, || distance(fine.view(), broken.view()));
            }
            calls.refuses("inception_score", || inception_score(broken.view(), 1));
            calls.refuses("palette_error", || palette_error(broken.view(), 2));
            calls.refuses("copy_threshold", || copy_threshold(broken.view()));
        }
    }
    for value in [f32::MAX, f32::MIN_POSITIVE, -0.0] {
        let all = Array2::from_elem((5, 2), value);
        for (name, distance) in DISTANCES {
            calls.survives(&format!("{name} of {value:e}"), || distance(all.view(), fine.view()));
            calls.survives(&format!("{name} of {value:e}"), || distance(all.view(), all.view()));
        }
    }
    for value in NUMBERS {
        let doubles = array![[0.0, 1.0], [1.0, value]];
        calls.survives(&format!("nearest of {value:e}"), || nearest(fine.view(), doubles.view()));
        calls.survives(&format!("threshold of {value:e}"), || copy_threshold(doubles.view()));
        calls.survives(&format!("line of {value:e}"), || wasserstein_line(&[value], &[0.0, value], 2));
        calls.survives(&format!("mean of {value:e}"), || mean(&[value, 1.0]));
        calls.survives(&format!("bandwidth {value:e}"), || mmd(fine.view(), fine.view(), Some(value)));
        calls.refuses(&format!("direction {value:e}"), || {
            sliced_along(fine.view(), fine.view(), 1, array![[value, value]].view())
        });
    }
    calls.survives("mean of none", || mean(&[]));
    calls.finish(300);
}

#[test]
fn numbers_of_any_size() {
    let mut calls = Calls::new("fm-metrics numbers");
    let x = Array2::from_shape_fn((5, 2), |(i, j)| (i + 3 * j) as f32);
    let v = x.view();
    for n in COUNTS {
        calls.survives(&format!("manifold {n}"), || manifold(v, v, n));
        calls.survives(&format!("inception_score {n}"), || inception_score(v, n));
        calls.survives(&format!("palette_error {n}"), || palette_error(v, n));
        calls.survives(&format!("components {n}"), || Components::of(v, n));
        calls.survives(&format!("directions {n}"), || sliced_wasserstein(v, v, 1, n, 0));
        calls.survives(&format!("jackknife {n}"), || jackknife(n, |_| Ok(0.0)));
        for m in COUNTS {
            calls.survives(&format!("subsets {n} of {m}"), || kid(v, v, &Subsets { count: n, size: m, seed: 0 }));
            calls.survives(&format!("group {n} of {m}"), || COUNTS.map(|k| group(n, m, k)));
            calls.survives(&format!("bicubic {n} {m}"), || bicubic(&[1.0; 2], (1, 2), (n, m)));
            calls.survives(&format!("bicubic from {n} {m}"), || bicubic(&[1.0; 2], (n, m), (3, 3)));
        }
    }
    for p in [0, -1, 3, i32::MIN, i32::MAX] {
        calls.refuses(&format!("order {p}"), || sliced_wasserstein(v, v, p, 3, 0));
        calls.refuses(&format!("order {p}"), || wasserstein_line(&[0.0], &[1.0], p));
    }
    for zero in ["manifold", "palette", "components", "splits", "directions", "groups"] {
        calls.refuses(zero, || match zero {
            "manifold" => manifold(v, v, 0).map(drop),
            "palette" => palette_error(v, 0).map(drop),
            "components" => Components::of(v, 0).map(drop),
            "splits" => inception_score(v, 0).map(drop),
            "directions" => sliced_wasserstein(v, v, 1, 0, 0).map(drop),
            _ => jackknife(0, |_| Ok(0.0)).map(drop),
        });
    }
    for (asked, classes) in [(0, 5), (5, 0), (4, 5), (5, 6)] {
        let (asked, classes) = (vec![0; asked], vec![0; classes]);
        calls.refuses("labels", || class_agreement(v, &asked, v, &classes));
    }
    for (x, y) in [(&[][..], &[][..]), (&[], &[1.0]), (&[1.0], &[])] {
        calls.refuses("empty line", || wasserstein_line(x, y, 1));
    }
    for pixels in [0, 1, 3] {
        calls.refuses("image of another size", || bicubic(&vec![0.0; pixels], (1, 2), (2, 2)));
    }
    calls.refuses("image of NaN", || bicubic(&[f32::NAN; 2], (1, 2), (2, 2)));
    calls.finish(140);
}

#[test]
fn gaussians_and_sums() {
    let mut calls = Calls::new("fm-metrics Gaussians");
    let of = |mean: usize, covariance: Array2<f64>| Gaussian { mean: Array1::zeros(mean), covariance, count: None };
    let fine = of(2, Array2::eye(2));
    for shape in [(0, 0), (0, 2), (2, 0), (2, 3), (3, 2), (1, 1), (3, 3), (MOST, 0)] {
        for d in [0, 1, 2, 3] {
            let one = of(d, Array2::zeros(shape));
            if shape == (d, d) && d > 0 {
                calls.survives(&format!("frechet of {d}, {shape:?}"), || frechet(&one, &one));
            } else {
                calls.refuses(&format!("frechet of {d}, {shape:?}"), || frechet(&one, &one));
                calls.refuses(&format!("frechet to {d}, {shape:?}"), || frechet(&fine, &one));
            }
        }
    }
    for value in NUMBERS {
        for (name, covariance) in [
            ("on the diagonal", array![[1.0, 0.0], [0.0, value]]),
            ("beside it", array![[1.0, value], [value, 1.0]]),
            ("on one side", array![[1.0, value], [0.0, 1.0]]),
            ("all", Array2::from_elem((2, 2), value)),
        ] {
            let one = of(2, covariance);
            calls.survives(&format!("{value:e} {name}"), || frechet(&one, &fine));
            calls.survives(&format!("{value:e} {name}"), || frechet(&fine, &one));
            calls.survives(&format!("write {value:e} {name}"), || statistics::write(&one));
        }
        let moved = Gaussian { mean: array![value, 0.0], ..fine.clone() };
        calls.survives(&format!("mean {value:e}"), || frechet(&fine, &moved));
    }
    for bad in [f64::NAN, f64::INFINITY, 1e300, -1.0] {
        let one = of(2, array![[1.0, 0.0], [0.0, bad]]);
        calls.refuses(&format!("variance {bad:e}"), || frechet(&fine, &one));
    }
    let rows = |n: usize, d: usize| Array2::<f32>::from_shape_fn((n, d), |(i, j)| (i * i + j) as f32);
    let sums = |n: usize, d: usize| {
        let mut sums = Moments::like(rows(1, d).view())?;
        sums.add(rows(n, d).view())?;
        Ok::<_, MetricError>(sums)
    };
    let all: Vec<Moments> = [(0, 2), (1, 2), (9, 2), (9, 3)].iter().filter_map(|(n, d)| sums(*n, *d).ok()).collect();
    for a in &all {
        for b in &all {
            calls.survives("with", || a.with(b).and_then(|m| m.gaussian()));
            calls.survives("without", || a.without(b).and_then(|m| m.gaussian()));
            calls.survives("estimate", || estimate(&fine, &[a.clone(), b.clone()]));
        }
    }
    calls.refuses("no groups", || estimate(&fine, &[]));
    calls.refuses("wide features", || Moments::like(Array2::<f32>::zeros((1, 1 << 24)).view()));
    calls.refuses("wide table", || Components::of(Array2::<f32>::zeros((2, 1 << 24)).view(), 1));
    calls.refuses("long sets", || {
        polynomial_mmd(Array2::<f32>::zeros((1 << 21, 1)).view(), Array2::<f32>::zeros((2, 1)).view())
    });
    calls.finish(200);
}

#[test]
fn files_of_statistics() {
    let mut calls = Calls::new("fm-metrics files");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.npz");
    let fine = Gaussian { mean: array![1.0, 2.0], covariance: Array2::eye(2), count: Some(9) };
    let whole = statistics::write(&fine).unwrap();
    let mut read = |name: &str, bytes: &[u8], refused: bool| {
        std::fs::write(&path, bytes).unwrap();
        if refused {
            calls.refuses(name, || statistics::read(&path));
        } else {
            calls.survives(name, || statistics::read(&path));
        }
    };
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        read(&format!("the first {length} bytes"), &whole[..length], true);
    }
    // One byte of the headers of the archive and of its arrays after the other.
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        for byte in [0, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            read(&format!("{byte} at {at}"), &damaged, false);
        }
    }
    read("text", b"no archive", true);
    read("zeros", &[0; 5000], true);
    for other in [
        Gaussian { covariance: Array2::eye(3), ..fine.clone() },
        Gaussian { mean: array![f64::NAN, 0.0], ..fine.clone() },
        Gaussian { mean: Array1::zeros(0), covariance: Array2::zeros((0, 0)), count: None },
    ] {
        let bytes = statistics::write(&other).unwrap();
        read("broken statistics", &bytes, true);
    }
    calls.refuses("a folder", || statistics::read(dir.path()));
    calls.refuses("nothing", || statistics::read(&dir.path().join("none")));
    calls.refuses("a long name", || statistics::read(&dir.path().join("x".repeat(3000))));
    calls.finish(200);
}
