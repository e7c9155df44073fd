//! A data set and a network of your own: trained, stopped, resumed, loaded, sampled and evaluated.

#![allow(clippy::print_stdout, reason = "an example prints its result")]
use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;

/// Points on a Lissajous curve, computed when a batch needs them.
struct Lissajous(usize);

impl Dataset for Lissajous {
    fn len(&self) -> usize {
        self.0
    }
    fn dim(&self) -> usize {
        2
    }
    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        let angle = std::f32::consts::TAU * pick.row as f32 / self.0 as f32;
        out.copy_from_slice(&[(2.0 * angle).sin(), (3.0 * angle).cos()]);
        Ok(())
    }
}

#[derive(Debug)]
struct Net(nn::Sequential);

impl VelocityModel for Net {
    fn forward(&self, x: &Tensor, t: &Tensor, _condition: Option<&Tensor>) -> Tensor {
        Tensor::cat(&[x, &t.unsqueeze(1).expand([x.size()[0], 1], false)], 1).apply(&self.0)
    }
    fn row_shape(&self) -> Option<Vec<i64>> {
        Some(vec![2])
    }
}

fn network(width: i64) -> (nn::VarStore, Net) {
    let store = nn::VarStore::new(Device::Cpu);
    let linear = |name: &str, from, to| nn::linear(store.root() / name, from, to, Default::default());
    let net = nn::seq().add(linear("1", 3, width)).add_fn(Tensor::silu).add(linear("2", width, 2));
    (store, Net(net))
}

pub(crate) fn distance() -> Result<f64, Box<dyn std::error::Error>> {
    let (directory, data, flow) = (tempfile::tempdir()?, Lissajous(10_000), FlowMatching::default());
    for steps in [500, 1_000] {
        let (store, net) = network(128);
        let trainer = TrainerConfig { lr: 5e-3, ema_decay: Some(0.99), ..Default::default() };
        let options = RunOptions { steps, trainer, ..Default::default() };
        Run::open(directory.path(), &128)?.options(options).train(&flow, &net, &store, &data, &mut ())?;
    }
    let (store, net) = network(Run::config(directory.path())?);
    Run::load_weights(directory.path(), &store, Weights::Ema)?;
    let samples = Sampler::midpoint(20).sample(&net, &flow, 1_000, 1)?.rows()?;
    let fresh = Array2::from_shape_vec((1_000, 2), flow.batches(&data, 1_000)?.next().ok_or("no batch")??.x1)?;
    Ok(energy_distance(samples.view(), fresh.view())?)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    distance().map(|distance| println!("energy distance to the data: {distance:.4}"))
}
