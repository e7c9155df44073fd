//! A transformer for sequences: rows of L places with C channels.
//!
//! A place becomes a token by a linear layer, to which the sines and cosines of its position are
//! added. The blocks and the output layer are those of the diffusion transformer
//! ([`dit`](crate::dit)), modulated by the sum of the embeddings of the time, of the class, and of
//! a condition vector. The output layer starts at zero, so a new network predicts v = 0.
//!
//! The network takes x as (B, L C), place by place, or as (B, L, C), and returns v in the same
//! shape. As (B, L', C), it takes sequences of another length L' too: positions are computed for
//! any place. Sequences of different lengths go into different batches, so there is no padding.
//!
//! Parameters: `x_embedder`, `t_embedder.mlp`, `y_embedder.embedding_table` (classes), `c_embedder`
//! (condition vectors), `blocks.K`, `final_layer`. Source of the blocks: Peebles and Xie, "Scalable
//! Diffusion Models with Transformers" (2023).
//!
//! ```
//! use fm_core::tensor::VelocityModel;
//! use fm_models::{ModelConfig, parameter_count, sequence::SequenceConfig};
//! use tch::{Device, Kind, Tensor, nn::VarStore};
//! let store = VarStore::new(Device::Cpu);
//! let config = SequenceConfig { length: 6, channels: 2, width: 8, depth: 1, heads: 2, ..SequenceConfig::default() };
//! let model = ModelConfig::Sequence(config).build(&store.root())?;
//! let linear = |fan_in: usize, out: usize| fan_in * out + out;
//! let time = linear(256, 8) + linear(8, 8);
//! let block = linear(8, 24) + linear(8, 8) + linear(8, 32) + linear(32, 8) + linear(8, 48);
//! assert_eq!(parameter_count(&store), linear(2, 8) + time + block + linear(8, 16) + linear(8, 2));
//! let t = Tensor::from_slice(&[0.5f32]);
//! let v = |shape: &[i64]| model.forward(&Tensor::zeros(shape, (Kind::Float, Device::Cpu)), &t, None).size();
//! assert_eq!((v(&[1, 6, 2]), v(&[1, 12]), v(&[1, 9, 2])), (vec![1, 6, 2], vec![1, 12], vec![1, 9, 2]));
//! # Ok::<(), fm_models::ModelError>(())
//! ```

use crate::adaln::{Block, BlockConfig, FREQUENCIES, Head, small, time_layers, xavier};
use crate::embedding::{TimeEmbedding, table_1d};
use crate::error::{ModelError, require};
use crate::interval::IntervalEmbedding;
use crate::layers::{class_table, look_up};
use crate::network::{Activations, NetworkConfig, check_condition_dim, condition_kind, is_off, is_zero};
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use serde::{Deserialize, Serialize};
use tch::nn::{self, Module, Path};
use tch::{Device, Kind, Tensor};

/// Sizes of the sequence transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SequenceConfig {
    /// Places of a sequence.
    pub length: i64,
    /// Channels of a place.
    pub channels: i64,
    /// Width of a token, even and divisible by the number of heads.
    pub width: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads.
    pub heads: i64,
    /// Number of classes; 0 for a network without.
    pub classes: i64,
    /// Whether there is an additional null class.
    pub null_class: bool,
    /// Values of a condition vector; 0 for a network without. With classes it must be 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub condition_dim: i64,
    /// How t is embedded.
    pub time: TimeEmbedding,
    /// Whether the network takes an interval ([`interval`](crate::interval)).
    #[serde(skip_serializing_if = "is_off")]
    pub interval: bool,
}

impl Default for SequenceConfig {
    /// 64 places of one channel; 128 x 4 with 4 heads.
    fn default() -> Self {
        Self {
            length: 64,
            channels: 1,
            width: 128,
            depth: 4,
            heads: 4,
            classes: 0,
            null_class: false,
            condition_dim: 0,
            time: TimeEmbedding::default(),
            interval: false,
        }
    }
}

impl SequenceConfig {
    fn blocks(&self) -> BlockConfig {
        BlockConfig { width: self.width, heads: self.heads, affine_norm: false, exact_gelu: false }
    }
}

impl NetworkConfig for SequenceConfig {
    fn data_shape(&self) -> Vec<i64> {
        vec![self.length.saturating_mul(self.channels)]
    }

    fn classes(&self) -> i64 {
        self.classes
    }

    fn null_class(&self) -> bool {
        self.null_class
    }

    fn interval(&self) -> bool {
        self.interval
    }

    fn set_interval(&mut self, interval: bool) {
        self.interval = interval;
    }

    fn validate(&self) -> Result<(), ModelError> {
        let check = |good, problem: String, remedy| require(good, "sequence transformer", problem, remedy);
        let sizes = [self.length, self.channels, self.width, self.depth, self.heads];
        let bounded = sizes.iter().all(|s| (1..=1 << 16).contains(s)) && (0..1 << 20).contains(&self.classes);
        check(bounded, format!("sizes {sizes:?}"), "give sizes from 1 to 65536, and at most 2^20 classes")?;
        let divides = self.width % 2 == 0 && self.width % self.heads == 0;
        let problem = format!("width {} with {} heads", self.width, self.heads);
        check(divides, problem, "make the width even and a multiple of the heads")?;
        check_condition_dim("sequence transformer", self.condition_dim, self.classes)?;
        self.time.validate("sequence transformer", self.interval)
    }

    fn parameters(&self) -> i64 {
        let w = self.width;
        let linear = |fan_in: i64| fan_in * w + w;
        let classes = if self.classes > 0 { (self.classes + i64::from(self.null_class)) * w } else { 0 };
        let vectors = if self.condition_dim > 0 { linear(self.condition_dim) + linear(w) } else { 0 };
        let interval = if self.interval { IntervalEmbedding::parameters(FREQUENCIES, w) } else { 0 };
        linear(self.channels) + classes + vectors + interval + self.blocks().parameters(self.depth, self.channels)
    }

    fn activations(&self) -> Activations {
        self.blocks().activations(self.depth, self.length)
    }

    fn ends(&self) -> [String; 2] {
        ["x_embedder.".into(), "final_layer.linear.".into()]
    }

    fn build(&self, path: &Path<'_>) -> Result<Box<dyn VelocityModel>, ModelError> {
        self.validate()?;
        Ok(Box::new(Sequence::new(path, self)?))
    }
}

#[derive(Debug)]
struct Sequence {
    config: SequenceConfig,
    tokens: nn::Linear,
    positions: Tensor,
    time: [nn::Linear; 2],
    interval: Option<IntervalEmbedding>,
    classes: Option<nn::Embedding>,
    vectors: Option<[nn::Linear; 2]>,
    blocks: Vec<Block>,
    head: Head,
}

impl Sequence {
    fn new(p: &Path<'_>, c: &SequenceConfig) -> Result<Self, ModelError> {
        let w = c.width;
        let table = p / "y_embedder" / "embedding_table";
        let (vector, h) = (p / "c_embedder", p / "h_embedder" / "mlp");
        let interval = || IntervalEmbedding::new(&h, small(&h / 0, FREQUENCIES, w), w, c.time);
        Ok(Self {
            config: c.clone(),
            tokens: xavier(p / "x_embedder", c.channels, w),
            positions: table_1d(c.length, w, p.device()),
            time: time_layers(&(p / "t_embedder" / "mlp"), w),
            interval: c.interval.then(interval),
            classes: (c.classes > 0).then(|| class_table(table, c.classes, c.null_class, w, 0.02)),
            vectors: (c.condition_dim > 0).then(|| [small(&vector / 0, c.condition_dim, w), small(&vector / 2, w, w)]),
            blocks: (0..c.depth).map(|i| Block::new(&(p / "blocks" / i), c.blocks())).collect(),
            head: Head::new(&(p / "final_layer"), c.blocks(), c.channels),
        })
    }

    fn conditions(&self) -> ConditionKind {
        condition_kind(self.config.classes, self.config.null_class, self.config.condition_dim)
    }

    /// SiLU of the sum of all embeddings, (B, width).
    fn embed(&self, t: &Tensor, h: Option<&Tensor>, condition: Option<&Tensor>) -> Tensor {
        let [first, second] = &self.time;
        let kind = first.ws.kind();
        let c = second.forward(&first.forward(&self.config.time.embed(t, FREQUENCIES).to_kind(kind)).silu());
        let c = IntervalEmbedding::add(self.interval.as_ref(), c, t, h);
        if let Some([first, second]) = &self.vectors {
            // Without a condition, the vector is zero.
            let zeros = || Tensor::zeros([t.size()[0], self.config.condition_dim], (kind, t.device()));
            let vectors = condition.map_or_else(zeros, |vectors| vectors.to_kind(kind));
            return (c + second.forward(&first.forward(&vectors).silu())).silu();
        }
        let null = self.config.null_class.then_some(self.config.classes);
        match self.classes.as_ref().and_then(|table| look_up(table, condition, null, t)) {
            Some(rows) => (c + rows).silu(),
            None => c.silu(),
        }
    }

    /// The positions of a sequence of this length.
    fn positions(&self, length: i64) -> Tensor {
        if length == self.config.length {
            return self.positions.shallow_clone();
        }
        table_1d(length, self.config.width, self.head.device())
    }

    fn run<'a>(
        &'a self,
        tape: &mut Tape<'a>,
        x: &Tensor,
        t: &Tensor,
        h: Option<&Tensor>,
        condition: Option<&Tensor>,
    ) -> Tensor {
        let [h, condition] = [h, condition].map(|given| given.map(Tensor::shallow_clone));
        let (shape, t) = (x.size(), t.shallow_clone());
        let c = tape.run(&[], move |_| self.embed(&t, h.as_ref(), condition.as_ref()));
        let x = x.to_kind(c.kind()).reshape([shape[0], -1, self.config.channels]);
        let positions = self.positions(x.size()[1]);
        let mut tokens = tape.run(&[], move |_| self.tokens.forward(&x) + positions.to_kind(x.kind()));
        for block in &self.blocks {
            tokens = tape.run(&[&tokens, &c], |inputs| block.forward(&inputs[0], &inputs[1]));
        }
        let out = tape.run(&[&tokens, &c], |inputs| self.head.forward(&inputs[0], &inputs[1]));
        out.reshape(shape).to_kind(Kind::Float)
    }
}

impl VelocityModel for Sequence {
    fn device(&self) -> Device {
        self.head.device()
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        Some(vec![self.config.length * self.config.channels])
    }

    fn takes(&self, row: &[i64]) -> bool {
        match row {
            [values] => *values == self.config.length * self.config.channels,
            [length, channels] => *length > 0 && *channels == self.config.channels,
            _ => false,
        }
    }

    fn null_class(&self) -> Option<i64> {
        (self.config.classes > 0 && self.config.null_class).then_some(self.config.classes)
    }

    fn condition_kind(&self) -> Option<ConditionKind> {
        Some(self.conditions())
    }

    fn forward(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        self.run(&mut Tape::off(), x, t, None, condition)
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
        _train: bool,
    ) -> Option<Tensor> {
        self.interval.is_some().then(|| self.run(&mut Tape::off(), x, t, Some(h), condition))
    }

    fn forward_taped<'a>(&'a self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        self.run(tape, x, t, None, condition)
    }
}
