//! The pairing of a run, from what its configuration names.

use crate::couplings::CouplingKind;
use crate::objective_args::FlowConfig;
use fm_core::source::Source;
use fm_train::pairing::Pairing;

impl FlowConfig {
    /// The pairing of a run, for a model that is or is not told classes.
    ///
    /// # Errors
    /// A coupling that does not fit the path or the model.
    pub fn pairing(&self, source: Source, seed: u64, conditional: bool) -> anyhow::Result<Pairing> {
        anyhow::ensure!((1..=1024).contains(&self.ot_batch), "ot_batch is {}: choose 1 to 1024", self.ot_batch);
        let coupling = match self.coupling {
            CouplingKind::Independent => None,
            kind => Some(kind.build(self.cost, self.pairing, self.objective.path, conditional)?),
        };
        Ok(Pairing::new(source, coupling, seed, self.ot_batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::rng::{Stream, normal_rows};
    use fm_ot::pairs::PairSampling;
    use fm_train::batch::Batch;
    use fm_train::collective::Shard;
    use fm_train::pairing::Rows;
    use ndarray::ArrayView2;

    const DIM: usize = 2;

    fn rows(step: u64, _: Shard) -> Rows {
        let x1 = normal_rows(9, step, Stream::Data, 0, 16, DIM);
        // The class is where the row is, so that it can be checked afterwards.
        let classes = x1.chunks(DIM).map(|x| i64::from(x[0] > 0.0)).collect();
        Rows { x1, classes, ..Rows::default() }
    }

    fn pairing(coupling: CouplingKind, pairs: PairSampling, ot_batch: usize) -> Pairing {
        let config = FlowConfig { coupling, pairing: pairs, ot_batch, ..FlowConfig::default() };
        config.pairing(Source::default(), 5, true).unwrap()
    }

    fn cost(batches: &[Batch]) -> f64 {
        let each = |b: &Batch| b.x0.iter().zip(&b.x1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        batches.iter().map(each).sum()
    }

    #[test]
    fn the_gain_is_the_cost_over_that_of_the_rows_as_drawn() {
        let take = |coupling| -> Vec<Batch> {
            let p = pairing(coupling, PairSampling::Permutation, 2);
            (0..2).map(|s| p.batch(s, DIM, rows).unwrap()).collect()
        };
        let (drawn, paired) = (take(CouplingKind::Independent), take(CouplingKind::Exact));
        assert!(drawn.iter().all(|b| b.coupling_gain.is_none()));
        let want = cost(&paired) / cost(&drawn);
        assert!(want < 0.9 && paired.iter().all(|b| (b.coupling_gain.unwrap() / want - 1.0).abs() < 1e-9));
    }

    fn sorted(batches: &[Batch], part: fn(&Batch) -> &[f32]) -> Vec<u32> {
        let mut bits: Vec<u32> = batches.iter().flat_map(part).map(|v| v.to_bits()).collect();
        bits.sort_unstable();
        bits
    }

    #[test]
    fn steps_paired_together_cost_less_and_lose_nothing() {
        let take = |coupling, ot_batch| -> Vec<Batch> {
            let p = pairing(coupling, PairSampling::Permutation, ot_batch);
            (0..8).map(|s| p.batch(s, DIM, rows).unwrap()).collect()
        };
        let independent = take(CouplingKind::Independent, 4);
        assert_eq!(independent, take(CouplingKind::Independent, 1));
        let [one, four] = [1, 4].map(|k| take(CouplingKind::Exact, k));
        assert!(cost(&four) < cost(&one) && cost(&one) < cost(&independent));
        for batches in [&one, &four] {
            assert_eq!(sorted(batches, |b| &b.x0), sorted(&independent, |b| &b.x0));
            assert!(batches.iter().zip(&independent).all(|(a, b)| (&a.x1, &a.classes) == (&b.x1, &b.classes)));
        }
        // Four steps at once are the assignment of four times the rows.
        let whole =
            |batches: &[Batch], part: fn(&Batch) -> &[f32]| batches[..4].iter().flat_map(part).copied().collect();
        let (x0, x1): (Vec<f32>, Vec<f32>) = (whole(&independent, |b| &b.x0), whole(&independent, |b| &b.x1));
        let view = |x| ArrayView2::from_shape((64, DIM), x).unwrap();
        let matrix = fm_ot::cost::Metric::SquaredEuclidean.matrix(view(&x1), view(&x0)).unwrap();
        let best = fm_ot::assignment::assign(matrix.view()).unwrap().cost;
        assert!((cost(&four[..4]) / best - 1.0).abs() < 1e-5);
    }

    #[test]
    fn workers_and_resumption_change_nothing() {
        let inline = pairing(CouplingKind::Exact, PairSampling::Permutation, 3);
        let want: Vec<Batch> = (0..12).map(|s| inline.batch(s, DIM, rows).unwrap()).collect();
        let shared = pairing(CouplingKind::Exact, PairSampling::Permutation, 3);
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let (shared, want) = (&shared, &want);
                scope.spawn(move || {
                    for s in (worker..12).step_by(3) {
                        assert_eq!(shared.batch(s as u64, DIM, rows).unwrap(), want[s]);
                    }
                });
            }
        });
        // A run that goes on in the middle of a group, and one that comes back to a group long forgotten.
        let resumed = pairing(CouplingKind::Exact, PairSampling::Permutation, 3);
        assert!([4, 11, 8, 5, 0].into_iter().all(|s| resumed.batch(s, DIM, rows).unwrap() == want[s as usize]));
    }

    #[test]
    fn drawn_pairs_keep_rows_and_classes_together() {
        let p = pairing(CouplingKind::Sinkhorn { epsilon: 0.05 }, PairSampling::Drawn, 2);
        let batches: Vec<Batch> = (0..4).map(|s| p.batch(s, DIM, rows).unwrap()).collect();
        for batch in &batches {
            assert!(batch.x1.chunks(DIM).zip(&batch.classes).all(|(x, class)| i64::from(x[0] > 0.0) == *class));
        }
        let drawn: Vec<Batch> = (0..4)
            .map(|step| rows(step, Shard::default()))
            .map(|Rows { x1, .. }| Batch { x1, ..Batch::default() })
            .collect();
        assert_ne!(sorted(&batches, |b| &b.x1), sorted(&drawn, |b| &b.x1), "nothing was drawn twice or dropped");
    }

    #[test]
    fn couplings_that_do_not_fit_are_told_at_once() {
        let told = |config: FlowConfig, conditional| {
            config.pairing(Source::default(), 0, conditional).unwrap_err().to_string()
        };
        let with = |coupling| FlowConfig { coupling, ..FlowConfig::default() };
        assert!(told(with(CouplingKind::C2ot { weight: 1.0 }), false).contains("is not told any"));
        assert!(told(with(CouplingKind::SchroedingerBridge), true).contains("--path schroedinger-bridge"));
        assert!(told(FlowConfig { ot_batch: 0, ..FlowConfig::default() }, true).contains("choose 1 to 1024"));
    }
}
