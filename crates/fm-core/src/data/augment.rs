//! Augmentation: random transformations of the rows of a batch.

use rand::RngCore;

/// A random transformation of a data row, such as a rotation of an image. Each row of each step has
/// its own generator, so the result is a function of (seed, step, row).
pub trait Augment: Sync {
    /// Transforms a row in place; its values are in the network's units.
    fn apply(&self, row: &mut [f32], rng: &mut dyn RngCore);
}
