//! Configuration of an autoencoder run: plain values with defaults.

use fm_cli::every::Every;
use fm_models::vqvae::VqVaeConfig;
use serde::{Deserialize, Serialize};

fm_cli::options! {
    /// All settings that affect the results of a run.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Config, flags ConfigArgs {
        "Data" {
            /// Training images, as for `train --data`: digits, cifar10, cifar10:DIR, folder:DIR,
            /// ...
            data: String = "digits".into();
            /// Height and width to which images are resized and cropped: those of folder:DIR, and
            /// with this flag, or as NAME@PIXELS, all others.
            image_size: u32 = 32, arg(value_name = "PIXELS");
            /// Mirror images left to right at random.
            horizontal_flip: bool = false, arg(value_name = "BOOL");
        }
        "Optimization" {
            /// Total number of training steps.
            steps: u64 = 2000, arg(conflicts_with = "epochs");
            /// Images per step.
            batch_size: usize = 64;
            /// Peak learning rate; it then follows a cosine to 0.
            lr: f64 = 1e-3;
            /// Steps of linear warm-up to the peak learning rate.
            warmup_steps: u64 = 100, arg(value_name = "STEPS");
        }
        "Run" {
            /// Random seed.
            seed: u64 = 0;
        }
        "Hardware" {
            /// Threads that prefetch batches; 0 does so in the training loop. The results are
            /// identical.
            num_workers: usize = 1, arg(value_name = "N", hide = true);
            /// Device: auto (CUDA if it works, else the CPU), cpu, cuda or cuda:N.
            device: String = "auto".into();
        }
        "Output" {
            /// Steps between checkpoints, or epochs (10e); 0 saves only at the end.
            save_every: Every = Every::Steps(500), arg(value_name = "STEPS");
            /// Steps between pictures of reconstructions; 0 draws none.
            sample_every: Every = Every::Steps(500), arg(value_name = "STEPS");
            /// Steps between lines of metrics.jsonl.
            log_every: Every = Every::Steps(50), arg(value_name = "STEPS", hide = true);
        }
        nested {
            /// The network.
            model: VqVaeConfig, ModelArgs = VqVaeConfig::default();
        }
    }
}

fm_cli::options! {
    pub flags ModelArgs of VqVaeConfig {
        "Network" {
            /// Number of codes in the codebook.
            codes: i64 as "model.codebook.codes", arg(value_name = "K");
            /// Dimension of a code, which is the number of latent channels.
            code_dim: i64 as "model.codebook.dim", arg(value_name = "N");
            /// Base width of the network, a multiple of 32.
            channels: i64 as "model.channels", arg(value_name = "N");
            /// Width multiplier of each stage; every stage except the last halves the image size.
            channel_mult: Vec<i64> as "model.channel_mult", arg(value_name = "N,...", value_delimiter = ',');
        }
        "Optimization" {
            /// Weight of the commitment loss.
            commitment: f64 as "model.commitment", arg(value_name = "BETA");
        }
    }
}
