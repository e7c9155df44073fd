//! Samples with the settings of a configuration.

use crate::config::Config;
use fm_core::source::Source;
use fm_images::sampling::{BATCH, Request};
use fm_run::guidance::Guide;
use fm_solvers::Sampler;

impl Config {
    /// Samples with the settings of this configuration, class `i % classes` for sample i.
    pub(crate) fn request(&self, source: &Source, shape: &[i64], count: usize, seed: u64) -> Request {
        let (classes, null_class) = (self.model.classes(), self.model.null_class());
        Request {
            sampler: Sampler::fixed(self.sampling.solver, self.sampling.num_steps),
            objective: self.flow.objective.clone(),
            source: source.clone(),
            guide: if null_class.is_some() { self.sampling.guide() } else { Guide::of_scale(1.0) },
            seed,
            shape: shape.to_vec(),
            count,
            classes: if classes > 0 { (0..count).map(|i| i as i64 % classes).collect() } else { Vec::new() },
            null_class,
            batch_size: BATCH,
        }
    }
}
