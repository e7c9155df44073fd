//! The U-Net of the guided-diffusion family, with the parameter names of torchcfm's
//! `UNetModelWrapper`.
//!
//! The downward path has stages of residual blocks at decreasing resolution, with self-attention at
//! selected ones. The upward path mirrors it, with skip connections. The class embedding is added
//! to the time embedding, and the sum is added in every residual block (or scales and shifts
//! there). Output convolutions start at zero, so a new network predicts v = 0. Sources: Ho et al.
//! 2020; Dhariwal and Nichol 2021.
//!
//! ```
//! use fm_models::{parameter_count, unet::UNetConfig, ModelConfig};
//! use tch::{Device, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! ModelConfig::Unet(UNetConfig::default()).build(&store.root())?;
//! assert_eq!(parameter_count(&store), 35_746_307); // the CIFAR-10 network of the flow-matching papers
//! # Ok::<(), fm_models::ModelError>(())
//! ```

mod attention;
mod blocks;
mod build;
mod config;
mod memory;

use crate::interval::IntervalEmbedding;
use crate::layers::{GroupNorm, channels_last, look_up};
use crate::network::{condition_kind, velocity_of, with_score};
use blocks::Block;
pub use config::UNetConfig;
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

#[derive(Debug)]
pub(crate) struct UNet {
    config: UNetConfig,
    time: [nn::Linear; 2],
    interval: Option<IntervalEmbedding>,
    label_emb: Option<nn::Embedding>,
    input_blocks: Vec<Vec<Block>>,
    middle_block: Vec<Block>,
    output_blocks: Vec<Vec<Block>>,
    out_norm: GroupNorm,
    out_conv: nn::Conv2D,
}

/// Time, interval and condition of a forward pass.
#[derive(Debug, Clone, Copy)]
struct Context<'t> {
    t: &'t Tensor,
    /// The interval, if the network takes one.
    h: Option<&'t Tensor>,
    condition: Option<&'t Tensor>,
}

impl UNet {
    /// SiLU of the time, interval and class embedding, the input of every residual block.
    fn embed(&self, t: &Tensor, h: Option<&Tensor>, condition: Option<&Tensor>) -> Tensor {
        let [first, second] = &self.time;
        let e = self.config.time.embed(t, self.config.channels).to_kind(first.ws.kind());
        let e = second.forward(&self.config.time_activation.forward(&first.forward(&e)));
        let e = IntervalEmbedding::add(self.interval.as_ref(), e, t, h);
        let null = self.config.null_class.then_some(self.config.classes);
        match self.label_emb.as_ref().and_then(|table| look_up(table, condition, null, t)) {
            Some(rows) => (e + rows).silu(),
            None => e.silu(),
        }
    }

    fn run<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, at: Context<'_>, train: bool) -> Tensor {
        let emb = {
            // A shared time is repeated, so that its products round like those of separate times.
            let each = |time: &Tensor| time.expand([x.size()[0]], false);
            let (t, h, condition) = (each(at.t), at.h.map(each), at.condition.map(Tensor::shallow_clone));
            tape.run(&[], move |_| self.embed(&t, h.as_ref(), condition.as_ref()))
        };
        // A stage takes the embedding and the outputs before it, concatenated along the channels.
        let stage = |blocks: &'a [Block]| {
            move |inputs: &[Tensor]| {
                let (emb, before) = (&inputs[0], &inputs[1..]);
                let h = if before.len() == 1 { before[0].shallow_clone() } else { Tensor::cat(before, 1) };
                blocks.iter().fold(h, |h, block| block.forward(&h, emb, train))
            }
        };
        let mut h = x.to_kind(emb.kind());
        if self.config.channels_last {
            h = channels_last(&h);
        }
        let mut skips = Vec::with_capacity(self.input_blocks.len());
        for blocks in &self.input_blocks {
            h = tape.run(&[&emb, &h], stage(blocks));
            skips.push(h.shallow_clone());
        }
        h = tape.run(&[&emb, &h], stage(&self.middle_block));
        for blocks in &self.output_blocks {
            let skip = skips.pop().unwrap_or_default();
            h = tape.run(&[&emb, &h, &skip], stage(blocks));
        }
        let out = tape.run(&[&h], |h| self.out_conv.forward(&self.out_norm.silu(&h[0])));
        let wanted = if self.config.score { out } else { out.narrow(1, 0, self.config.image_channels) };
        wanted.to_kind(Kind::Float)
    }

    /// All outputs.
    fn output<'a>(
        &'a self,
        tape: Option<&mut Tape<'a>>,
        x: &Tensor,
        t: &Tensor,
        condition: Option<&Tensor>,
        train: bool,
    ) -> Tensor {
        self.run(tape.unwrap_or(&mut Tape::off()), x, Context { t, h: None, condition }, train)
    }
}

impl VelocityModel for UNet {
    fn device(&self) -> Device {
        self.out_conv.ws.device()
    }

    fn null_class(&self) -> Option<i64> {
        (self.config.classes > 0 && self.config.null_class).then_some(self.config.classes)
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        Some(condition_kind(self.config.classes, self.config.null_class, 0))
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        Some(vec![self.config.image_channels, self.config.image_size[0], self.config.image_size[1]])
    }

    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        self.forward_t(x, t, condition, false)
    }

    fn forward_t(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>, train: bool) -> Tensor {
        velocity_of(self.output(None, x, t, condition, train), self.config.score)
    }

    fn takes_intervals(&self) -> bool {
        self.interval.is_some()
    }

    fn mean_velocity(
        &self,
        x: &Tensor,
        t: &Tensor,
        h: &Tensor,
        condition: Option<&Tensor>,
        train: bool,
    ) -> Option<Tensor> {
        let run = || self.run(&mut Tape::off(), x, Context { t, h: Some(h), condition }, train);
        self.interval.is_some().then(run)
    }

    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        velocity_of(self.output(Some(tape), x, t, condition, true), self.config.score)
    }

    with_score!(config.score);
}
