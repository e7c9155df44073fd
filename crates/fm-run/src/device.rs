//! The device that a program computes on.

use anyhow::Context;
use fm_dist::place::Rendezvous;
use fm_terminal::eprintln;
use fm_torch::TorchError;
use fm_torch::device::{DeviceChoice, cuda_devices};
use tch::Device;

/// The device that `--device` names: `auto`, `cpu`, `cuda` or `cuda:N`. Without an N, each process
/// of a machine takes the GPU of its local rank. Call this before any other function that queries
/// CUDA (see [`fm_torch::device`]).
///
/// # Errors
/// An unknown name, and a CUDA device that does not work; a named device is never replaced by
/// another one.
pub fn select(name: &str) -> anyhow::Result<Device> {
    let choice: DeviceChoice = name.parse()?;
    let rank = Rendezvous::from_env()?.map_or(0, |place| place.local_rank);
    let device = choice.open(rank).with_context(|| format!("cannot use --device {name} (--device cpu works)"))?;
    // A build without CUDA is expected to use the CPU; a CUDA build that cannot use a GPU prints a
    // warning.
    if choice == DeviceChoice::Auto
        && let Err(problem) = cuda_devices()
        && !matches!(problem, TorchError::NoCudaHalf { .. })
        && rank == 0
    {
        eprintln!("warning: using the CPU: {problem}");
    }
    Ok(device)
}
