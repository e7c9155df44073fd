//! Activation checkpointing: a block's intermediate values are thrown away after the forward pass and computed again on the way back.
//!
//! A network runs its blocks through a [`Tape`]. Switched off, the tape only calls them. Switched on, it runs each without gradients and
//! keeps its inputs and its output, which becomes a leaf of the graph; [`Tape::backward`] then goes through the blocks from the last to
//! the first, runs each again with gradients and back-propagates (y g) summed, where g is the gradient that has arrived at its output.
//! Memory falls from all activations to one block's and the outputs of all; a step costs one more forward pass. A block that draws
//! (dropout) is given the same seed both times.
//!
//! What a block computes from must reach it as an input: a tensor that needs a gradient and was made outside of any block would be
//! back-propagated once for each block that captured it.
//!
//! ```
//! use fm_core::tape::Tape;
//! use tch::{Kind, Tensor};
//! let w = Tensor::from_slice(&[3f64]).set_requires_grad(true);
//! let mut tape = Tape::on(7);
//! let h = tape.run(&[&Tensor::from_slice(&[2f64])], |x| (&x[0] * &w).square()); // (2 w)^2
//! let y = tape.run(&[&h], |h| h[0].square() * &w); // 16 w^5
//! y.sum(Kind::Double).backward();
//! tape.backward();
//! assert_eq!(w.grad().double_value(&[0]), 80.0 * 81.0); // 80 w^4
//! ```

use tch::{Kind, Tensor, no_grad_guard};

/// What happens to the blocks of one forward pass.
#[derive(Default)]
#[doc(alias = "checkpoint_sequential")]
pub struct Tape<'a> {
    /// Seeds the blocks; without it nothing is recorded.
    seed: Option<i64>,
    records: Vec<Record<'a>>,
}

type Block<'a> = Box<dyn Fn(&[Tensor]) -> Tensor + 'a>;

struct Record<'a> {
    output: Tensor,
    way: Way<'a>,
}

/// How a gradient gets from a record's output to what it was computed from.
enum Way<'a> {
    /// The block is run again.
    Again { block: Block<'a>, inputs: Vec<Tensor>, seed: i64 },
    /// The caller's own.
    Own(Box<dyn FnOnce(&Tensor) + 'a>),
}

impl std::fmt::Debug for Tape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("seed", &self.seed).field("blocks", &self.records.len()).finish()
    }
}

impl<'a> Tape<'a> {
    /// Blocks are called and nothing else: the ordinary forward pass.
    pub fn off() -> Self {
        Self::default()
    }

    /// Blocks are recorded. `seed` decides what they draw.
    pub fn on(seed: i64) -> Self {
        Self { seed: Some(seed), records: Vec::new() }
    }

    /// Whether blocks are recorded.
    pub fn is_on(&self) -> bool {
        self.seed.is_some()
    }

    /// Whether nothing has been recorded, so that the graph's own backward pass gives every gradient.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The output of a block.
    pub fn run(&mut self, inputs: &[&Tensor], block: impl Fn(&[Tensor]) -> Tensor + 'a) -> Tensor {
        let inputs: Vec<Tensor> = inputs.iter().map(|t| t.shallow_clone()).collect();
        let Some(first) = self.seed else { return block(&inputs) };
        let seed = first.wrapping_add(self.records.len() as i64);
        tch::manual_seed(seed);
        let output = {
            let _guard = no_grad_guard();
            block(&inputs)
        };
        let output = output.detach().set_requires_grad(true);
        let kept = output.shallow_clone();
        self.records.push(Record { output: kept, way: Way::Again { block: Box::new(block), inputs, seed } });
        output
    }

    /// A value that was computed outside of the graph, by someone who also knows the way back: `backward` is given the gradient of the value and
    /// adds to those of its parameters. Works whether or not the tape records blocks, and is what libtorch calls a custom function.
    ///
    /// ```
    /// use fm_core::tape::Tape;
    /// use tch::{Kind, Tensor};
    /// let mut tape = Tape::off();
    /// let mut arrived = 0.0;
    /// let y = tape.custom_function(Tensor::from_slice(&[3f64]), |gradient| arrived = gradient.double_value(&[0]));
    /// y.square().sum(Kind::Double).backward();
    /// tape.backward();
    /// assert_eq!(arrived, 6.0);
    /// ```
    pub fn custom_function(&mut self, value: Tensor, backward: impl FnOnce(&Tensor) + 'a) -> Tensor {
        let output = value.detach().set_requires_grad(true);
        self.records.push(Record { output: output.shallow_clone(), way: Way::Own(Box::new(backward)) });
        output
    }

    /// After `backward` on the loss: carries the gradients through the recorded blocks.
    pub fn backward(self) {
        for record in self.records.into_iter().rev() {
            let gradient = record.output.grad();
            match record.way {
                _ if !gradient.defined() => {}
                Way::Again { block, inputs, seed } => {
                    tch::manual_seed(seed);
                    (block(&inputs) * gradient).sum(Kind::Float).backward();
                }
                Way::Own(backward) => backward(&gradient),
            }
        }
    }
}
