//! The random bits of JAX: Threefry-2x32 with 20 rounds, in the layout that JAX has used by default
//! since version 0.5 (`jax_threefry_partitionable`).
//!
//! Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).

/// A key of JAX.
pub(super) type Words = [u32; 2];

/// Rotations of the rounds.
const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];

fn threefry(key: Words, counter: Words) -> Words {
    let keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD1_1BDA];
    let [mut a, mut b] = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for block in 0..5u32 {
        for rotation in ROTATIONS[block as usize % 2] {
            a = a.wrapping_add(b);
            b = b.rotate_left(rotation) ^ a;
        }
        let next = block as usize + 1;
        a = a.wrapping_add(keys[next % 3]);
        b = b.wrapping_add(keys[(next + 1) % 3]).wrapping_add(block + 1);
    }
    [a, b]
}

fn halves(n: u64) -> Words {
    [(n >> 32) as u32, n as u32]
}

/// `jax.random.PRNGKey`.
pub(super) fn key(seed: u64) -> Words {
    halves(seed)
}

/// Key `i` of `jax.random.split`.
pub(super) fn split(key: Words, i: u64) -> Words {
    threefry(key, halves(i))
}

/// `jax.random.uniform(key, (n,))`: f32 values on [0, 1).
pub(super) fn uniform(key: Words, n: usize) -> impl Iterator<Item = f32> {
    (0..n as u64).map(move |i| {
        let [a, b] = threefry(key, halves(i));
        f32::from_bits(((a ^ b) >> 9) | 0x3F80_0000) - 1.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `jax.random.split(jax.random.PRNGKey(41), 3)` of jax 0.10, and uniform draws of two keys.
    #[test]
    fn keys_and_draws_are_those_of_jax() {
        let keys: Vec<Words> = (0..3).map(|i| split(key(41), i)).collect();
        let want = [[2_509_499_953, 2_017_747_067], [1_303_325_659, 1_250_539_528], [2_477_087_706, 3_564_385_719]];
        assert_eq!(keys, want);
        let drawn: Vec<f32> = uniform(keys[0], 4).collect();
        assert_eq!(drawn, [0.443_924_55, 0.336_154_94, 0.421_710_73, 0.112_547_99]);
    }
}
