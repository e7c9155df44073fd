//! Activation checkpointing: a block's activations are discarded after the forward pass and
//! recomputed in the backward pass.
//!
//! A network runs its blocks through a [`Tape`]. When off, the tape only calls them. When on, it
//! runs each block without gradients and keeps its inputs and its output, which becomes a leaf of
//! the graph. [`Tape::backward`] then goes through the blocks from the last to the first, runs each
//! again with gradients, and backpropagates sum(y g), where y is the block's output and g the
//! gradient with respect to it. Memory falls from the activations of all blocks to those of one
//! block plus all outputs, at the cost of one more forward pass per step. A block that draws random
//! numbers (dropout) gets the same seed both times.
//!
//! Every tensor that a block depends on must be one of its inputs: gradients of a captured tensor
//! that was computed outside any block would be backpropagated once per block that captured it.
//!
//! ```
//! use fm_core::tape::Tape;
//! use tch::{Kind, Tensor};
//! let w = Tensor::from_slice(&[3f64]).set_requires_grad(true);
//! let mut tape = Tape::on(7);
//! let h = tape.run(&[&Tensor::from_slice(&[2f64])], |x| (&x[0] * &w).square()); // (2 w)^2
//! let y = tape.run(&[&h], |h| h[0].square() * &w); // 16 w^5
//! tape.backward(&y.sum(Kind::Double))?;
//! assert_eq!(w.grad().double_value(&[0]), 80.0 * 81.0); // 80 w^4
//! # Ok::<(), tch::TchError>(())
//! ```
//!
//! The loss of a tape must be backpropagated by [`Tape::backward`]: `loss.backward()` alone stops
//! at the blocks' outputs. Dropping a tape with such pending gradients panics, because they would
//! be lost silently.

use tch::{Kind, TchError, Tensor, no_grad_guard};

/// Records the blocks of one forward pass.
#[derive(Default)]
#[doc(alias = "checkpoint_sequential")]
pub struct Tape<'a> {
    /// Seed of the blocks; if `None`, nothing is recorded.
    seed: Option<i64>,
    records: Vec<Record<'a>>,
}

type Block<'a> = Box<dyn Fn(&[Tensor]) -> Tensor + 'a>;

struct Record<'a> {
    output: Tensor,
    way: Way<'a>,
}

/// How to propagate the gradient of a record's output to its inputs.
enum Way<'a> {
    /// Run the block again.
    Again { block: Block<'a>, inputs: Vec<Tensor>, seed: i64 },
    /// A custom backward function.
    Own(Box<dyn FnOnce(&Tensor) + 'a>),
}

impl std::fmt::Debug for Tape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("seed", &self.seed).field("blocks", &self.records.len()).finish()
    }
}

impl<'a> Tape<'a> {
    /// A tape that only calls the blocks: the ordinary forward pass.
    pub fn off() -> Self {
        Self::default()
    }

    /// A tape that records the blocks. `seed` determines their random draws.
    pub fn on(seed: i64) -> Self {
        Self { seed: Some(seed), records: Vec::new() }
    }

    /// Whether blocks are recorded.
    pub fn is_on(&self) -> bool {
        self.seed.is_some()
    }

    /// Whether nothing has been recorded, so that the ordinary backward pass gives every gradient.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Runs a block and returns its output.
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

    /// A value computed outside the graph with its own backward function (libtorch calls this a
    /// custom function). `backward` receives the gradient of the value and adds to the gradients of
    /// its parameters. Works whether or not the tape records blocks.
    ///
    /// ```
    /// use fm_core::tape::Tape;
    /// use tch::{Kind, Tensor};
    /// let mut tape = Tape::off();
    /// let mut arrived = 0.0;
    /// let y = tape.custom_function(Tensor::from_slice(&[3f64]), |gradient| arrived = gradient.double_value(&[0]));
    /// tape.backward(&y.square().sum(Kind::Double))?;
    /// assert_eq!(arrived, 6.0);
    /// # Ok::<(), tch::TchError>(())
    /// ```
    pub fn custom_function(&mut self, value: Tensor, backward: impl FnOnce(&Tensor) + 'a) -> Tensor {
        let output = value.detach().set_requires_grad(true);
        self.records.push(Record { output: output.shallow_clone(), way: Way::Own(Box::new(backward)) });
        output
    }

    /// Backpropagates the loss, and then through the recorded blocks from the last to the first.
    ///
    /// # Errors
    /// Errors of libtorch.
    pub fn backward(mut self, loss: &Tensor) -> Result<(), TchError> {
        let records = std::mem::take(&mut self.records);
        loss.f_backward()?;
        for record in records.into_iter().rev() {
            let gradient = record.output.grad();
            match record.way {
                _ if !gradient.defined() => {}
                Way::Again { block, inputs, seed } => {
                    tch::manual_seed(seed);
                    (block(&inputs) * gradient).f_sum(Kind::Float)?.f_backward()?;
                }
                Way::Own(backward) => backward(&gradient),
            }
        }
        Ok(())
    }
}

impl Drop for Tape<'_> {
    /// # Panics
    /// If recorded blocks have gradients that would be lost: `loss.backward()` was called instead
    /// of [`Tape::backward`].
    fn drop(&mut self) {
        let lost = self.records.iter().filter(|record| record.output.grad().defined()).count();
        assert!(
            lost == 0 || std::thread::panicking(),
            "the gradients of {lost} blocks were not carried on; call tape.backward(&loss) instead of loss.backward()"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_that_would_be_lost_are_told() {
        let (x, w) = (Tensor::from_slice(&[2f64]), Tensor::from_slice(&[3f64]).set_requires_grad(true));
        let drop_after = |backward: bool| {
            let mut tape = Tape::on(0);
            let y = tape.run(&[&x], |x| &x[0] * &w);
            if backward {
                y.square().sum(Kind::Double).backward();
            }
        };
        drop_after(false);
        let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop_after(true))).unwrap_err();
        let words = lost.downcast_ref::<String>().map_or("", String::as_str);
        assert!(words.contains("call tape.backward(&loss) instead of loss.backward()"), "{words}");
    }

    #[test]
    fn a_loss_without_a_gradient_is_an_error() {
        let mut tape = Tape::on(0);
        let _ = tape.run(&[&Tensor::from_slice(&[2f64])], |x| x[0].square());
        assert!(tape.backward(&Tensor::from(1.0)).is_err());
    }
}
