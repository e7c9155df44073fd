//! Training batches of images: a pure function of the step, made on worker threads.

use crate::config::Config;
use crate::latent::Latents;
use fm_app::batches::Pairing;
use fm_core::rng::{self, Stream};
use fm_core::source::Source;
use fm_data::{ImageSet, order::Order};
use fm_train::batch::{Batch, BatchSource};
use rand::Rng;

/// Draws rows and dropped labels, and has them paired with the source.
pub(crate) struct ImageBatches<'a> {
    set: &'a ImageSet,
    latents: Option<&'a Latents>,
    order: Order,
    pairing: Pairing,
    seed: u64,
    rows: usize,
    flip: bool,
    conditional: bool,
    label_drop: f64,
    null_class: Option<i64>,
}

impl<'a> ImageBatches<'a> {
    pub(crate) fn new(
        set: &'a ImageSet,
        latents: Option<&'a Latents>,
        source: Source,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let conditional = config.model.classes() > 0;
        Ok(Self {
            set,
            latents,
            order: Order::new(config.seed, set.len()),
            pairing: Pairing::new(&config.flow, source, config.seed, conditional)?,
            seed: config.seed,
            rows: config.batch_size,
            flip: config.horizontal_flip,
            conditional,
            label_drop: config.label_drop,
            null_class: config.model.null_class(),
        })
    }

    fn images(&self, step: u64, rows: &[usize]) -> Vec<f32> {
        let dim = self.dim();
        let mut x1 = vec![0.0; rows.len() * dim];
        for (i, (row, out)) in rows.iter().zip(x1.chunks_exact_mut(dim)).enumerate() {
            let flip = self.flip && rng::stream(self.seed, step, Stream::Augment, i as u64).random();
            match self.latents {
                Some(latents) => latents.write(*row, flip, out),
                None => self.set.write_normalised(*row, flip, out),
            }
        }
        x1
    }

    /// Values of a row.
    fn dim(&self) -> usize {
        self.latents.map_or_else(|| self.set.dim(), |latents| latents.plain.ncols())
    }

    fn classes(&self, step: u64, rows: &[usize]) -> Vec<i64> {
        let class = |(i, row): (usize, &usize)| {
            let drop = |_: &i64| rng::stream(self.seed, step, Stream::LabelDrop, i as u64).random_bool(self.label_drop);
            self.null_class.filter(drop).unwrap_or_else(|| i64::from(self.set.labels[*row]))
        };
        if self.conditional { rows.iter().enumerate().map(class).collect() } else { Vec::new() }
    }
}

impl BatchSource for ImageBatches<'_> {
    fn batch(&self, step: u64) -> Result<Batch, String> {
        let rows = |step| {
            let rows = self.order.batch(step, self.rows);
            (self.images(step, &rows), self.classes(step, &rows))
        };
        self.pairing.batch(step, self.dim(), rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets;
    use fm_app::couplings::CouplingKind;

    fn batches<'a>(set: &'a ImageSet, config: &mut Config) -> ImageBatches<'a> {
        config.model.fit_to_images(set.shape, set.classes.len(), true);
        ImageBatches::new(set, None, Source::default(), config).unwrap()
    }

    #[test]
    fn labels_are_dropped_row_by_row_at_the_asked_rate() {
        let set = fm_data::digits::load();
        let mut config = presets::preset("quickstart").unwrap();
        (config.batch_size, config.label_drop) = (1000, 0.1);
        let source = batches(&set, &mut config);
        let dropped =
            (0..20).map(|s| source.batch(s).unwrap().classes.iter().filter(|c| **c == 10).count()).collect::<Vec<_>>();
        let total: usize = dropped.iter().sum();
        assert!((total as f64 - 2000.0).abs() < 4.0 * 1800f64.sqrt(), "{total}");
        assert!(dropped.iter().all(|d| (50..150).contains(d)), "whole batches were dropped: {dropped:?}");
    }

    #[test]
    fn exact_coupling_moves_noise_only_and_lowers_the_cost() {
        let set = fm_data::digits::load();
        let mut config = presets::preset("quickstart").unwrap();
        let independent = batches(&set, &mut config).batch(3).unwrap();
        config.flow.coupling = CouplingKind::Exact;
        let exact = batches(&set, &mut config).batch(3).unwrap();
        assert_eq!((&independent.x1, &independent.classes), (&exact.x1, &exact.classes));
        let cost = |b: &Batch| b.x0.iter().zip(&b.x1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        assert!(cost(&exact) < 0.97 * cost(&independent), "{} against {}", cost(&exact), cost(&independent));
        let sorted = |b: &Batch| {
            let mut bits: Vec<u32> = b.x0.iter().map(|v| v.to_bits()).collect();
            bits.sort_unstable();
            bits
        };
        assert_eq!(sorted(&independent), sorted(&exact), "noise was duplicated or dropped");
    }
}
