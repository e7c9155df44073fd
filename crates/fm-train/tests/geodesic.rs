//! A conditional flow of your own: great circles of the unit sphere, through batches and trainer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::FlowMatching;
use fm_core::conditional::{Affine, ConditionalFlow};
use fm_core::path::PathKind;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::source::Source;
use fm_models::ModelConfig;
use fm_models::mlp::MlpConfig;
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::task::{FlowTask, FlowTraining, PackContext, Task};
use fm_train::trainer::{Trainer, TrainerConfig};
use ndarray::Array2;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// x_t = (sin((1 - t) a) x0 + sin(t a) x1) / sin(a), with a the angle between x0 and x1.
struct GreatCircle;

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

impl ConditionalFlow for GreatCircle {
    fn at(&self, [x0, x1]: [&[f32]; 2], t: f64, x: &mut [f32], u: &mut [f32]) {
        let angle = dot(x0, x1).clamp(-1.0, 1.0).acos();
        let of = |s: f64, f: fn(f64) -> f64| f(s * angle) / angle.sin();
        for (k, (x, u)) in x.iter_mut().zip(u).enumerate() {
            let (a, b) = (f64::from(x0[k]), f64::from(x1[k]));
            *x = (of(1.0 - t, f64::sin) * a + of(t, f64::sin) * b) as f32;
            *u = (angle * (of(t, f64::cos) * b - of(1.0 - t, f64::cos) * a)) as f32;
        }
    }
}

/// Points of the sphere, around a pole if it is given.
fn on_sphere(seed: u64, count: usize, pole: Option<[f32; 3]>) -> Array2<f32> {
    let normal = normal_rows(Key::new(seed, 0, Stream::Data), count, 3);
    let mut rows = Array2::from_shape_vec((count, 3), normal).unwrap();
    for mut row in rows.rows_mut() {
        if let Some(pole) = pole {
            row.iter_mut().zip(pole).for_each(|(x, p)| *x = p + 0.2 * *x);
        }
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.mapv_inplace(|x| x / norm);
    }
    rows
}

fn flow() -> FlowMatching {
    FlowMatching::default().along(GreatCircle).source(Source::Rows(on_sphere(1, 4000, None))).seed(3)
}

#[test]
fn batches_move_on_great_circles() {
    let (flow, data) = (flow(), on_sphere(2, 500, Some([0.0, 0.0, 1.0])));
    let store = VarStore::new(Device::Cpu);
    let config = MlpConfig { dim: 3, ..MlpConfig::default() };
    let net = ModelConfig::Mlp(config).build(&store.root()).unwrap();
    let mut batches = FlowBatches::new(&flow, &data, BatchOptions { rows: 200, ..BatchOptions::default() }).unwrap();
    let batch = batches.next().unwrap().unwrap();
    let task = FlowTask::new(net.as_ref(), &flow);
    let inputs = task.packer().pack(&batch, &PackContext::on(Device::Cpu)).unwrap().upload(Device::Cpu);
    let points = task.points(&inputs, &(0..200)).unwrap();
    let rows = |x: &Tensor| Vec::<f32>::try_from(x.reshape([-1])).unwrap();
    let (x, u, t) = (rows(&points.x), rows(&points.target), rows(&points.t));
    let ends = batch.x0.chunks_exact(3).zip(batch.x1.chunks_exact(3));
    for ((x, u), ((x0, x1), t)) in x.chunks_exact(3).zip(u.chunks_exact(3)).zip(ends.zip(&t)) {
        let angle = dot(x0, x1).acos();
        // On the sphere, along it, at the constant speed of the angle, and t of the way from x0.
        assert!((dot(x, x) - 1.0).abs() < 1e-5 && dot(x, u).abs() < 1e-5, "{x:?} {u:?}");
        assert!((dot(u, u).sqrt() - angle).abs() < 1e-4, "{angle}");
        assert!((dot(x, x0).clamp(-1.0, 1.0).acos() - f64::from(*t) * angle).abs() < 2e-3);
    }
}

#[test]
fn a_network_learns_the_flow_on_the_sphere() {
    let (flow, data) = (flow(), on_sphere(2, 4000, Some([0.0, 0.0, 1.0])));
    tch::manual_seed(5);
    let store = VarStore::new(Device::Cpu);
    let net = ModelConfig::Mlp(MlpConfig { dim: 3, ..MlpConfig::default() }).build(&store.root()).unwrap();
    let mut trainer = Trainer::new(&store, &TrainerConfig { lr: 3e-3, ..TrainerConfig::default() }).unwrap();
    let batches = FlowBatches::new(&flow, &data, BatchOptions { rows: 256, ..BatchOptions::default() }).unwrap();
    for batch in batches.take(600) {
        let batch = batch.unwrap();
        trainer.step(&flow.loss(net.as_ref(), &batch).unwrap()).unwrap();
    }
    let starts: Vec<f32> = on_sphere(9, 300, None).into_iter().collect();
    let mut x = Tensor::from_slice(&starts).view([300, 3]);
    tch::no_grad(|| {
        for step in 0..20 {
            let t = Tensor::from_slice(&[step as f32 / 20.0]);
            x = &x + net.forward_t(&x, &t, None, false) / 20.0;
        }
    });
    let norm = x.square().sum_dim_intlist(1, false, Kind::Float).sqrt();
    let off = (norm - 1.0).abs().mean(Kind::Float).double_value(&[]);
    let height = x.select(1, 2).mean(Kind::Float).double_value(&[]);
    let want = f64::from(data.column(2).mean().unwrap());
    // Straight lines cut through the ball: half way, their points have a norm of about 0.7.
    assert!(off < 0.05 && (height - want).abs() < 0.05, "norms off by {off}, mean height {height} of {want}");
}

#[test]
fn an_affine_path_gives_the_same_batches_as_a_conditional_flow() {
    let data = on_sphere(2, 100, None);
    let store = VarStore::new(Device::Cpu);
    let net = ModelConfig::Mlp(MlpConfig { dim: 3, ..MlpConfig::default() }).build(&store.root()).unwrap();
    let loss = |flow: FlowMatching| {
        let mut batches = FlowBatches::new(&flow, &data, BatchOptions { rows: 64, ..BatchOptions::default() }).unwrap();
        let batch = batches.next().unwrap().unwrap();
        flow.loss(net.as_ref(), &batch).unwrap().double_value(&[])
    };
    let path = PathKind::Trigonometric;
    let (affine, general) = (loss(FlowMatching::new(path)), loss(FlowMatching::default().along(Affine(path))));
    assert!((affine - general).abs() < 1e-6 * affine, "{affine} {general}");
}
