//! Settings of libtorch for a run: precision of f32 products, deterministic kernels, and a profile
//! of a few steps.

use fm_core::choice;
use fm_torch::TorchError;
use fm_torch::context::{self, MatmulPrecision};
use fm_torch::profile::Profile;
use fm_train::TrainError;
use fm_train::callbacks::Callback;
use fm_train::record::LogRecord;
use fm_train::train::TrainState;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::PathBuf;
use tch::Device;

choice! {
    /// The precision of matrix products and convolutions of f32 tensors.
    #[derive(Default, Eq)]
    pub enum Products("precision of f32 products") {
        /// f32.
        #[default]
        Highest = "highest",
        /// TF32 on GPUs that have it: 11 bits of mantissa, faster.
        High = "high",
    }
}

fm_cli::options! {
    /// Settings of libtorch.
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    pub struct RuntimeConfig, flags RuntimeArgs {
        "Hardware" {
            @choice("Precision of f32 matrix products and convolutions on a GPU; high is TF32")
            matmul_precision: Products = Products::default(), arg(value_name = "PRECISION", hide = true);
            /// Use deterministic kernels only, so that a run on a GPU repeats bit for bit; slower.
            deterministic: bool = false, arg(value_name = "BOOL", hide = true);
        }
    }
}

impl RuntimeConfig {
    /// Applies the settings to libtorch, for training on this device.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn apply(self, device: Device) -> Result<(), TorchError> {
        context::set_matmul_precision(match self.matmul_precision {
            Products::Highest => MatmulPrecision::Highest,
            Products::High => MatmulPrecision::High,
        })?;
        context::set_deterministic(self.deterministic);
        context::set_cudnn_benchmark(device.is_cuda() && !self.deterministic);
        Ok(())
    }
}

/// Steps before a profile starts; the first steps allocate memory and choose algorithms.
const WARM_UP: u64 = 5;
/// Steps of a profile.
const PROFILED: u64 = 3;

/// Profiles three steps of a run.
#[derive(Debug)]
pub struct Profiler {
    path: PathBuf,
    device: Device,
    start: u64,
    running: Option<Profile>,
}

impl Profiler {
    /// Profiles a run from step `first` to `total` into a file.
    pub fn new(path: PathBuf, device: Device, (first, total): (u64, u64)) -> Self {
        // In a short run, the profile starts earlier.
        Self { path, device, start: (first + WARM_UP).min(total.saturating_sub(PROFILED)), running: None }
    }

    fn finish(&mut self) -> Result<(), TrainError> {
        self.running.take().map_or(Ok(()), |profile| fm_train::files::output(&self.path, &profile.finish()?))
    }
}

impl Callback for Profiler {
    fn after_step(&mut self, state: &mut TrainState, _: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        if state.step == self.start {
            self.running = Some(Profile::start(self.device)?);
        } else if state.step == self.start + PROFILED {
            self.finish()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn at_end(&mut self, _: &mut TrainState) -> Result<(), TrainError> {
        self.finish()
    }
}
