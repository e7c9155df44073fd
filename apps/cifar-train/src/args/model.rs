//! Flags that several commands share: a model, and how it is sampled.

use clap::Args;
use fm_run::guidance::GuidanceArgs;
use fm_run::process_group::GroupArgs;
use fm_run::solvers::SolveArgs;
use fm_run::weights::{FileArgs, WhichWeights};
use std::path::PathBuf;
use std::str::FromStr;

/// The model of a command.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// Model: a checkpoint, a run directory (its newest intact checkpoint), or a file of weights
    /// (.safetensors, .pt, .pth).
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// The weights of a model, and their device.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Which {
    #[command(flatten)]
    pub(crate) weights: WhichWeights,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// Device: auto (CUDA if it works, else the CPU), cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", help_heading = "Hardware")]
    pub(crate) device: String,
}

impl Which {
    /// The same, for a command with another flag for a setting of the model: if that is given, the
    /// setting is not assumed.
    pub(crate) fn given(&self, setting: &'static str, given: bool) -> Self {
        let mut which = self.clone();
        which.file.given.extend(given.then_some(setting));
        which
    }
}

/// Guidance, solver and noise of every command that draws samples.
#[derive(Debug, Args)]
pub(crate) struct SolverArgs {
    /// Scale of guidance; 1 is the class-conditional model without guidance (default: the run's
    /// `sampling.cfg_scale`).
    #[arg(long, value_name = "S", help_heading = "Sampling")]
    pub(crate) cfg_scale: Option<f64>,
    #[command(flatten)]
    pub(crate) guidance: GuidanceArgs,
    #[command(flatten)]
    pub(crate) solve: SolveArgs,
    /// Random seed of the noise; sample i does not depend on the number of samples.
    #[arg(long, default_value_t = 0, help_heading = "Sampling")]
    pub(crate) seed: u64,
    /// Images per batch; changes memory and speed, and the samples only with --pace per-batch.
    #[arg(long, default_value_t = 250, value_name = "N", help_heading = "Sampling")]
    pub(crate) batch_size: usize,
    #[command(flatten)]
    pub(crate) group: GroupArgs,
}

/// Height and width of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImageSize(pub(crate) [i64; 2]);

impl FromStr for ImageSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (height, width) = text.split_once(['x', 'X']).unwrap_or((text, text));
        let side = |text: &str| text.trim().parse::<u16>().ok().filter(|side| *side > 0).map(i64::from);
        match (side(height), side(width)) {
            (Some(height), Some(width)) => Ok(Self([height, width])),
            _ => Err("give a height and a width from 1 to 65535, such as 32x48, or one side"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_two_sides_or_one() {
        assert_eq!("8x12".parse(), Ok(ImageSize([8, 12])));
        assert_eq!("16".parse(), Ok(ImageSize([16, 16])));
        for wrong in ["", "x", "8x", "0x8", "-8", "8x8x8", "1e3", "70000"] {
            assert!(wrong.parse::<ImageSize>().unwrap_err().contains("such as 32x48"), "{wrong}");
        }
    }
}
