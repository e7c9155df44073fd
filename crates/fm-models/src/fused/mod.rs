//! Training passes of small networks without libtorch's graph.
//!
//! A training step of a narrow network costs more in calls than in arithmetic. This module
//! implements the forward and backward pass directly: blocks of rows that fit into the cache go
//! through all layers, on as many threads as libtorch uses, and everything between two matrix
//! products is one loop. The [`Tape`] connects the passes to autograd, so the loss can be any
//! function of the output. The blocks and the order of sums depend only on the number of rows, so
//! results are the same with any number of threads.
//!
//! Sampling and derivatives with respect to x use libtorch.

mod functions;
pub(crate) mod gated;
pub(crate) mod plain;
mod product;

use fm_core::tape::Tape;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tch::{Device, Kind, Tensor};

/// Rows per block: few, so that other threads do not wait long for one that was interrupted.
const BLOCK: usize = 64;

/// A network with its own backward pass. Rows are B x dim, times B.
pub(crate) trait FusedNetwork: Send + Sync {
    /// Values of a forward pass that the backward pass needs.
    type Saved: Send + Sync;

    /// The output rows.
    fn forward(&self, x: &[f32], t: &[f32]) -> (Vec<f32>, Self::Saved);

    /// The gradient of each parameter, in the order of the network's parameters, from the gradient
    /// of the output rows.
    fn backward(&self, kept: &Self::Saved, t: &[f32], gradient: &[f32]) -> Vec<Vec<f32>>;
}

/// Whether the fused pass is usable: f32 on the CPU, rows of `dim` values, and no gradient with
/// respect to x.
pub(crate) fn fits(parameters: &[&Tensor], x: &Tensor, dim: i64) -> bool {
    let here = |t: &&Tensor| t.kind() == Kind::Float && t.device() == Device::Cpu && t.requires_grad();
    parameters.iter().all(here) && x.kind() == Kind::Float && !x.requires_grad() && x.dim() == 2 && x.size()[1] == dim
}

/// Runs the network, with its backward pass on the tape, and returns the output rows. `network`
/// builds it from the values of the parameters.
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
    // The output can be wider than x: a velocity and a score.
    let dim = output.len().checked_div(rows).unwrap_or(dim);
    tape.custom_function(Tensor::from_slice(&output).view([rows as i64, dim as i64]), move |gradient| {
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

/// Runs `work` on each block of rows, and returns the results in order. This thread works too, so
/// that a few blocks do not wait for other threads to wake up.
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

/// Copies the values of a tensor on the host. This takes one or two calls; libtorch's copy takes
/// about six, and a network has many parameters.
fn values(tensor: &Tensor) -> Vec<f32> {
    let tensor = if tensor.is_contiguous() { tensor.shallow_clone() } else { tensor.contiguous() };
    assert_eq!((tensor.kind(), tensor.device()), (Kind::Float, Device::Cpu));
    if tensor.numel() == 0 {
        // The data pointer of an empty tensor is null.
        return Vec::new();
    }
    // SAFETY: `data_ptr` points to `numel()` contiguous f32 values, and nothing writes to them
    // while they are copied.
    #[allow(unsafe_code)]
    unsafe {
        std::slice::from_raw_parts(tensor.data_ptr() as *const f32, tensor.numel()).to_vec()
    }
}

/// Adds to the gradient that autograd has collected for a parameter.
fn add_gradient(parameter: &Tensor, gradient: &[f32]) {
    let gradient = Tensor::from_slice(gradient).view(parameter.size().as_slice());
    let added = fm_torch::gradients::add(parameter, &gradient);
    debug_assert!(added.is_ok(), "{added:?}");
}
