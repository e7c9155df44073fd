//! Training passes of small networks without libtorch's graph.
//!
//! A narrow network's step costs more in calls than in arithmetic. Here a forward pass and the matching backward pass are written out: rows go
//! through all layers in blocks that stay in the cache, on as many threads as libtorch has, with everything between two matrix products in one
//! loop. The [`Tape`] joins them to autograd, so that any loss may follow. The cut into blocks and the order of sums depend on the number of rows
//! alone: results are the same with any number of threads.
//!
//! Sampling and everything that differentiates by x goes through libtorch as ever.

mod functions;
pub(crate) mod gated;
pub(crate) mod plain;
mod product;

use fm_core::tape::Tape;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tch::{Device, Kind, Tensor};

/// Rows that go through the network together: few, so that nobody waits long for one that was interrupted.
const BLOCK: usize = 64;

/// A network that knows its own derivative. Rows are B x dim, times B.
pub(crate) trait FusedNetwork: Send + Sync {
    /// What a backward pass needs of a forward pass.
    type Saved: Send + Sync;

    /// The output rows.
    fn forward(&self, x: &[f32], t: &[f32]) -> (Vec<f32>, Self::Saved);

    /// The gradient of each parameter, in the order in which the network was given them, for that of the output rows.
    fn backward(&self, kept: &Self::Saved, t: &[f32], gradient: &[f32]) -> Vec<Vec<f32>>;
}

/// Whether a training pass may go this way: single precision on the host, rows of `dim` values, and nobody asks for derivatives by x.
pub(crate) fn fits(parameters: &[&Tensor], x: &Tensor, dim: i64) -> bool {
    let here = |t: &&Tensor| t.kind() == Kind::Float && t.device() == Device::Cpu && t.requires_grad();
    parameters.iter().all(here) && x.kind() == Kind::Float && !x.requires_grad() && x.dim() == 2 && x.size()[1] == dim
}

/// The output rows, with the way back on the tape. `network` makes the network of the parameters' values.
pub(crate) fn run<'a, N: FusedNetwork + 'a>(
    tape: &mut Tape<'a>,
    parameters: &[&Tensor],
    network: impl FnOnce(Vec<Vec<f32>>) -> N,
    x: &Tensor,
    t: &Tensor,
) -> Tensor {
    let parameters: Vec<Tensor> = parameters.iter().map(|p| p.shallow_clone()).collect();
    let network = network(parameters.iter().map(values).collect());
    let shape = x.size();
    let (rows, dim) = (shape[0] as usize, shape[1] as usize);
    let (x, t) = (values(x), values(&t.expand([rows as i64], false)));
    let passed = each(rows, |r| network.forward(&x[r.start * dim..r.end * dim], &t[r]));
    let mut output = Vec::with_capacity(rows * dim);
    passed.iter().for_each(|(rows, _)| output.extend_from_slice(rows));
    tape.custom_function(Tensor::from_slice(&output).view(shape.as_slice()), move |gradient| {
        let gradient = values(gradient);
        let part = |r: std::ops::Range<usize>| {
            network.backward(&passed[r.start / BLOCK].1, &t[r.clone()], &gradient[r.start * dim..r.end * dim])
        };
        let sum = each(rows, part).into_iter().reduce(|mut sum, part| {
            sum.iter_mut().zip(part).for_each(|(s, p)| s.iter_mut().zip(p).for_each(|(s, p)| *s += p));
            sum
        });
        parameters.iter().zip(sum.unwrap_or_default()).for_each(|(parameter, g)| add_gradient(parameter, &g));
    })
}

/// The work on each block of rows, in order. This thread takes its share, so that a few blocks do not wait for others to wake up.
fn each<R: Send + Sync>(rows: usize, work: impl Fn(std::ops::Range<usize>) -> R + Sync) -> Vec<R> {
    let block = |k: usize| work(k * BLOCK..rows.min((k + 1) * BLOCK));
    let blocks = rows.div_ceil(BLOCK);
    let helpers = (tch::get_num_threads().max(1) as usize).min(blocks) - usize::from(blocks > 0);
    if helpers == 0 {
        return (0..blocks).map(block).collect();
    }
    let done: Vec<OnceLock<R>> = (0..blocks).map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let take = || {
        loop {
            let k = next.fetch_add(1, Ordering::Relaxed);
            let Some(place) = done.get(k) else { break };
            let _ = place.set(block(k));
        }
    };
    rayon::in_place_scope(|scope| {
        (0..helpers).for_each(|_| scope.spawn(|_| take()));
        take();
    });
    done.into_iter().filter_map(OnceLock::into_inner).collect()
}

/// The values of a tensor on the host. A call or two, where copying by libtorch's means takes half a dozen: a network has many parameters.
fn values(tensor: &Tensor) -> Vec<f32> {
    let tensor = if tensor.is_contiguous() { tensor.shallow_clone() } else { tensor.contiguous() };
    assert_eq!((tensor.kind(), tensor.device()), (Kind::Float, Device::Cpu));
    if tensor.numel() == 0 {
        // Its data pointer is null.
        return Vec::new();
    }
    // SAFETY: `data_ptr` points to `numel()` contiguous f32 values, and nothing writes to them while they are copied.
    #[allow(unsafe_code)]
    unsafe {
        std::slice::from_raw_parts(tensor.data_ptr() as *const f32, tensor.numel()).to_vec()
    }
}

/// Adds to what autograd has collected for a parameter.
fn add_gradient(parameter: &Tensor, gradient: &[f32]) {
    let gradient = Tensor::from_slice(gradient).view(parameter.size().as_slice());
    let added = fm_torch::gradients::add(parameter, &gradient);
    debug_assert!(added.is_ok(), "{added:?}");
}
