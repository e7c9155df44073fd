//! `counts NAME`: one piece of work on fixed inputs, on one thread. It prints the allocations;
//! callgrind counts the instructions between entering and leaving `perform`. `cargo xtask counts`
//! compares both with stored values: a check for slowdowns that does not measure time.

#![allow(unsafe_code, reason = "an allocator that counts")]
use fm_benches::{cost_matrix, points};
use fm_core::coupling::{Conditions, Coupling, CouplingInput};
use fm_core::exact::{ExactField, Mixture};
use fm_core::interpolate::{coefficients, interpolate};
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::time::Times;
use fm_metrics::energy::energy_distance;
use fm_metrics::manifold::manifold;
use fm_metrics::moments::Moments;
use fm_metrics::nearest::nearest;
use fm_ot::assignment::assign;
use fm_ot::cost::Metric;
use fm_ot::coupling::OtCoupling;
use fm_ot::entropic::{SinkhornOptions, sinkhorn};
use fm_ot::marginals::Marginals;
use fm_solvers::tableau::{DOPRI5, TSIT5};
use fm_solvers::{AdaptiveOptions, SaveAt, adaptive, per_sample};
use fm_terminal::println;
use ndarray::array;
use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Relaxed);
    BYTES.fetch_add(bytes as u64, Relaxed);
}

// SAFETY: forwards every call to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Work = Box<dyn FnMut() -> Result<f64, Box<dyn Error>> + Send>;

/// Work by name: the inputs, then the counted part.
fn work(name: &str) -> Result<Work, Box<dyn Error>> {
    Ok(match name {
        "cost-matrix" => {
            let (x, y) = (points(256, 64, 1), points(256, 64, 2));
            Box::new(move || Ok(Metric::SquaredEuclidean.matrix(x.view(), y.view())?.sum()))
        }
        "assignment" => {
            let cost = cost_matrix(256, 2, 1);
            Box::new(move || Ok(assign(cost.view())?.cost))
        }
        "sinkhorn" => {
            let (cost, marginals) = (cost_matrix(128, 2, 1), Marginals::uniform(128, 128));
            Box::new(move || Ok(sinkhorn(cost.view(), &marginals, &SinkhornOptions::default())?.cost))
        }
        "coupling" => {
            let (x, y) = (points(128, 64, 1), points(128, 64, 2));
            Box::new(move || {
                let batch = CouplingInput { x0: x.view(), x1: y.view(), conditions: Conditions::None };
                let pairing =
                    OtCoupling::default().couple(&batch, &mut Key::new(0, 0, Stream::Coupling).generator(0))?;
                let rows: Vec<usize> = (0..128).collect();
                Ok(pairing.sources(&rows, 1)[0] as f64)
            })
        }
        "interpolation" => {
            let (x0, x1) = (points(512, 64, 1), points(512, 64, 2));
            let drawn = Times::default().draw(Key::new(0, 0, Stream::Time), 512, None)?;
            Box::new(move || {
                let c = coefficients(&PathKind::Linear, &drawn.times)?;
                Ok(interpolate(&c, Prediction::Velocity, &x0, &x1, None)?.x_t.sum().into())
            })
        }
        "times" => Box::new(|| Ok(Times::default().draw(Key::new(0, 0, Stream::Time), 4096, None)?.times.iter().sum())),
        "noise" => {
            Box::new(|| Ok(normal_rows(Key::new(0, 0, Stream::Noise), 128, 3072).iter().map(|v| f64::from(*v)).sum()))
        }
        "digits-batch" => {
            let (digits, mut batch) = (fm_data::digits::load(), vec![0f32; 512 * 64]);
            Box::new(move || {
                batch.chunks_exact_mut(64).enumerate().for_each(|(i, row)| digits.write_normalised(i, i % 2 == 0, row));
                Ok(batch.iter().map(|v| f64::from(*v)).sum())
            })
        }
        "dopri5" => Box::new(|| {
            #[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
            fn turn(x: &Vec<f64>, _t: f64) -> Vec<f64> {
                vec![x[1], -x[0]]
            }
            let options = AdaptiveOptions::with_tolerance(1e-9);
            Ok(adaptive::solve(&turn, vec![1.0, 0.0], (0.0, 10.0), &DOPRI5, &options, SaveAt::End)?.x[0])
        }),
        "tsit5-per-sample" => {
            let means = array![[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]];
            let mixture = Mixture::isotropic(&[0.5, 0.3, 0.2], means.view(), &[0.09, 0.04, 0.16])?;
            let noise = points(128, 2, 1).mapv(f64::from);
            Box::new(move || {
                let field = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0))?;
                let options = AdaptiveOptions::with_tolerance(1e-5);
                let found = per_sample::solve(&field, noise.clone(), (0.0, 1.0), &TSIT5, &options, SaveAt::End)?;
                Ok(found.x.sum())
            })
        }
        "energy-distance" => {
            let (x, y) = (points(1000, 16, 1), points(1000, 16, 2));
            Box::new(move || Ok(energy_distance(x.view(), y.view())?))
        }
        "moments" => {
            let x = points(1000, 64, 1);
            Box::new(move || {
                let mut moments = Moments::like(x.view())?;
                moments.add(x.view())?;
                Ok(moments.gaussian()?.covariance.sum())
            })
        }
        "manifold" => {
            let (x, y) = (points(500, 64, 1), points(500, 64, 2));
            Box::new(move || Ok(manifold(x.view(), y.view(), 5)?.density.value))
        }
        "nearest" => {
            let (x, y) = (points(300, 64, 1), points(600, 64, 2));
            Box::new(move || Ok(nearest(x.view(), y.view())?.iter().map(|n| n.distance).sum()))
        }
        other => return Err(format!("no work is called {other}; there is {}", NAMES.join(", ")).into()),
    })
}

const NAMES: [&str; 14] = [
    "cost-matrix",
    "assignment",
    "sinkhorn",
    "coupling",
    "interpolation",
    "times",
    "noise",
    "digits-batch",
    "dopri5",
    "tsit5-per-sample",
    "energy-distance",
    "moments",
    "manifold",
    "nearest",
];

/// The part that callgrind counts.
#[inline(never)]
fn perform(work: &mut Work) -> Result<f64, Box<dyn Error>> {
    work()
}

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_default();
    if name == "list" {
        println!("{}", NAMES.join("\n"));
        return Ok(());
    }
    // One thread, the pool's own, so that no work moves to a thread that callgrind does not follow.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut work = work(&name)?;
    let (value, allocations, bytes) = pool.install(move || {
        // One uncounted run first: the initialisation of libraries at first use depends on the
        // machine.
        let _ = work();
        let before = (ALLOCATIONS.load(Relaxed), BYTES.load(Relaxed));
        let value = perform(&mut work).map_err(|e| e.to_string());
        (value, ALLOCATIONS.load(Relaxed) - before.0, BYTES.load(Relaxed) - before.1)
    });
    println!(r#"{{"value": {:e}, "allocations": {allocations}, "bytes": {bytes}}}"#, value?);
    Ok(())
}
