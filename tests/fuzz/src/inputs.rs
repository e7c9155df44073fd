//! The inputs of a target: first its seeds, then changes of them.

use crate::mutate::mutated;
use crate::random::Random;
use crate::target::Target;

/// The inputs of a target for one seed of the generator.
#[derive(Debug)]
pub struct Inputs {
    target: &'static Target,
    seed: u64,
    seeds: Vec<Vec<u8>>,
}

impl Inputs {
    /// The inputs of a target.
    pub fn of(target: &'static Target, seed: u64) -> Self {
        Self { target, seed, seeds: (target.seeds)() }
    }

    /// The number of inputs, from the first, that are seeds without changes.
    pub fn unchanged(&self) -> u64 {
        self.seeds.len() as u64
    }

    /// The input of a number. With a finish, half of the inputs are changed before it and half
    /// after it.
    pub fn input(&self, number: u64) -> Vec<u8> {
        let finish = |bytes| self.target.finish.apply(bytes);
        if let Some(seed) = usize::try_from(number).ok().and_then(|number| self.seeds.get(number)) {
            return finish(seed.clone());
        }
        let mut random = Random::new(self.target.name, self.seed, number);
        let start = random.of(&self.seeds).clone();
        if random.below(2) == 0 {
            finish(mutated(start, &self.seeds, self.target.words, &mut random))
        } else {
            mutated(finish(start), &self.seeds, self.target.words, &mut random)
        }
    }
}
