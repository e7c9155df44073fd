//! The device of a program.

use anyhow::Context;
use fm_dist::place::Rendezvous;
use fm_torch::TorchError;
use fm_torch::device::{DeviceChoice, cuda_devices};
use tch::Device;

/// The device that `--device` names: `auto`, `cpu`, `cuda` or `cuda:N`. Several processes on one machine take a GPU each where no N is given.
/// Call it before anything that asks libtorch about CUDA (see [`fm_torch::device`]).
///
/// # Errors
/// An unknown name, and CUDA that was asked for and does not work; never another device instead.
pub fn select(name: &str) -> anyhow::Result<Device> {
    let choice: DeviceChoice = name.parse()?;
    let rank = Rendezvous::from_env()?.map_or(0, |place| place.local_rank);
    let device = choice.open(rank).with_context(|| format!("--device {name} does not work here; --device cpu does"))?;
    // A CPU build is what it is; a CUDA build that does not work is worth a word.
    if choice == DeviceChoice::Auto
        && let Err(problem) = cuda_devices()
        && !matches!(problem, TorchError::NoCudaHalf { .. })
        && rank == 0
    {
        eprintln!("warning: using the CPU: {problem}");
    }
    Ok(device)
}
