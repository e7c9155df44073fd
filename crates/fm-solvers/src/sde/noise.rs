//! Standard normal noise of stochastic solves, by number and row.

use fm_core::state::RowState;

/// Standard normal noise, as a function of the number of the draw and of the row.
///
/// [`PerStep`] makes it from a function that draws whole batches.
pub trait Noise<S> {
    /// Draw `number` of all rows, shaped as the initial batch.
    fn batch(&self, number: u64) -> S;

    /// Row k of the result is draw `numbers[k]` of row `rows[k]` of the initial batch.
    fn rows(&self, numbers: &[u64], rows: &[usize]) -> S;
}

/// Noise from a function that returns draw i of all rows. For rows with different numbers it draws
/// a whole batch per number; implement [`Noise`] to draw only the needed rows.
///
/// ```
/// use fm_solvers::sde::{Noise, PerStep};
/// use ndarray::{Array2, array};
/// let noise = PerStep(|i: u64| array![[i as f64, 0.0], [10.0 * i as f64, 1.0]]);
/// assert_eq!(noise.rows(&[3, 2], &[1, 0]), array![[30.0, 1.0], [2.0, 0.0]]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PerStep<F>(pub F);

impl<S: RowState, F: Fn(u64) -> S> Noise<S> for PerStep<F> {
    fn batch(&self, number: u64) -> S {
        self.0(number)
    }

    fn rows(&self, numbers: &[u64], rows: &[usize]) -> S {
        let mut each: Vec<u64> = numbers.to_vec();
        each.sort_unstable();
        each.dedup();
        let mut out: Option<S> = None;
        for number in each {
            let (places, from): (Vec<usize>, Vec<usize>) =
                (0..numbers.len()).filter(|k| numbers[*k] == number).map(|k| (k, rows[k])).unzip();
            let drawn = self.0(number);
            if rows.iter().any(|row| *row >= drawn.rows()) {
                // A solver rejects its shape.
                return drawn;
            }
            match &mut out {
                None => {
                    let mut first = drawn.select_rows(rows);
                    first.put_rows(&places, &drawn.select_rows(&from));
                    out = Some(first);
                }
                Some(out) => out.put_rows(&places, &drawn.select_rows(&from)),
            }
        }
        out.unwrap_or_else(|| self.0(0).select_rows(&[]))
    }
}

/// The noise of rows of tensors from a seed: draw i of row r is row `first + r` of
/// [`normal_rows`](fm_core::rng::normal_rows) at step i of
/// [`Stream::Increment`](fm_core::rng::Stream::Increment).
#[cfg(feature = "tch")]
#[derive(Debug, Clone)]
pub struct SeededNoise {
    /// The seed.
    pub seed: u64,
    /// The number of the first row.
    pub first: u64,
    /// Shape of the batch, rows first.
    pub shape: Vec<i64>,
    /// The device of the batch.
    pub device: tch::Device,
}

#[cfg(feature = "tch")]
impl SeededNoise {
    /// The noise of the rows of a batch, which are numbered from `first` on.
    pub fn of(x: &tch::Tensor, seed: u64, first: u64) -> Self {
        Self { seed, first, shape: x.size(), device: x.device() }
    }

    fn dim(&self) -> usize {
        self.shape.iter().skip(1).map(|n| usize::try_from(*n).unwrap_or(0)).product()
    }

    fn key(&self, number: u64) -> fm_core::rng::Key {
        fm_core::rng::Key::new(self.seed, number, fm_core::rng::Stream::Increment).from_row(self.first)
    }
}

#[cfg(feature = "tch")]
impl Noise<tch::Tensor> for SeededNoise {
    fn batch(&self, number: u64) -> tch::Tensor {
        let rows = self.shape.first().map_or(0, |n| usize::try_from(*n).unwrap_or(0));
        fm_core::tensor::upload(
            &fm_core::rng::normal_rows(self.key(number), rows, self.dim()),
            &self.shape,
            self.device,
        )
    }

    fn rows(&self, numbers: &[u64], rows: &[usize]) -> tch::Tensor {
        let dim = self.dim();
        let mut values = vec![0.0; rows.len() * dim];
        for ((out, number), row) in values.chunks_exact_mut(dim.max(1)).zip(numbers).zip(rows) {
            fm_core::rng::fill_normal(&mut self.key(*number).generator(*row), out);
        }
        let sizes = self.shape.iter().skip(1).copied();
        let shape: Vec<i64> = std::iter::once(rows.len() as i64).chain(sizes).collect();
        fm_core::tensor::upload(&values, &shape, self.device)
    }
}

#[cfg(all(test, feature = "tch"))]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_the_batch_and_of_the_seed() {
        let noise = SeededNoise { seed: 4, first: 0, shape: vec![5, 2, 3], device: tch::Device::Cpu };
        let (two, nine) = (noise.batch(2), noise.batch(9));
        let mixed = noise.rows(&[9, 2, 9], &[4, 0, 0]);
        let wanted = tch::Tensor::stack(&[nine.get(4), two.get(0), nine.get(0)], 0);
        assert_eq!(mixed, wanted);
        assert_eq!(PerStep(|i| noise.batch(i)).rows(&[9, 2, 9], &[4, 0, 0]), wanted);
        // A part of the batch from row 3 on.
        let part = SeededNoise { first: 3, shape: vec![2, 2, 3], ..noise };
        assert_eq!(part.batch(2), two.narrow(0, 3, 2));
        assert_eq!(part.rows(&[2], &[1]), two.narrow(0, 4, 1));
        let drawn = fm_core::rng::normal_rows(fm_core::rng::Key::new(4, 2, fm_core::rng::Stream::Increment), 5, 6);
        assert_eq!(Vec::<f32>::try_from(two.view(-1)).unwrap_or_default(), drawn);
    }
}
