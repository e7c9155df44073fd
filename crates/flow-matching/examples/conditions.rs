//! A network of your own with a condition vector per row: points near the unit circle, given their
//! angle as (cos a, sin a). It is trained with dropped conditions and sampled with guidance.
//!
//! `cargo run -p flow-matching --features torch --example conditions`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use flow_matching::prelude::*;

/// A fully connected network over [x, t, condition]; zeros stand for "no condition".
#[derive(Debug)]
struct Net(nn::Sequential);

impl VelocityModel for Net {
    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        let t = t.unsqueeze(1).expand([x.size()[0], 1], false);
        let condition = condition.map_or_else(|| x.zeros_like(), Tensor::shallow_clone);
        Tensor::cat(&[x, &t, &condition], 1).apply(&self.0)
    }
    fn row_shape(&self) -> Option<Vec<i64>> {
        Some(vec![2])
    }
    fn condition_kind(&self) -> Option<ConditionKind> {
        Some(ConditionKind::Vectors { dim: 2 })
    }
}

/// Mean distances of samples to the points at their angles, without guidance and with scale 2.
pub(crate) fn distances() -> Result<[f32; 2], Box<dyn std::error::Error>> {
    tch::manual_seed(0);
    let angles = Array2::from_shape_fn((5_000, 2), |(i, k)| {
        let angle = std::f32::consts::TAU * i as f32 / 5_000.0;
        [angle.cos(), angle.sin()][k]
    });
    let noise = Array2::from_shape_vec((5_000, 2), normal_rows(Key::new(0, 0, Stream::Data), 5_000, 2))?;
    let data = Conditions::new(&angles + &(noise * 0.2), angles.clone())?;
    let store = nn::VarStore::new(Device::Cpu);
    let linear = |name: &str, from, to| nn::linear(store.root() / name, from, to, Default::default());
    let net = nn::seq().add(linear("1", 5, 64)).add_fn(Tensor::silu).add(linear("2", 64, 64)).add_fn(Tensor::silu);
    let (net, flow) = (Net(net.add(linear("3", 64, 2))), FlowMatching::default());
    let mut trainer = Trainer::new(&store, &TrainerConfig { lr: 3e-3, ema_decay: Some(0.99), ..Default::default() })?;
    let options = BatchOptions { rows: 256, conditional: true, dropped: Some((0, 0.1)), ..Default::default() };
    for batch in FlowBatches::new(&flow, &data, options)?.take(1_000) {
        trainer.step(&flow.loss(&net, &batch?)?)?;
    }
    let mut distance = |scale| -> Result<f32, Box<dyn std::error::Error>> {
        let guidance = Guidance { scale, ..Guidance::default() };
        let sample = || Sampler::midpoint(20).sample_vectors(&net, &flow, angles.view(), guidance, 1);
        let away = trainer.with_ema(sample)?.rows()? - &angles;
        Ok(away.rows().into_iter().map(|row| row.dot(&row).sqrt()).sum::<f32>() / 5_000.0)
    };
    Ok([distance(1.0)?, distance(2.0)?])
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    distances().map(|[plain, guided]| println!("mean distance to the points: {plain:.3}, with guidance {guided:.3}"))
}
