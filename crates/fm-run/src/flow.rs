//! Builds the flow of a run from its configuration.

use crate::objective_args::FlowConfig;
use fm_core::FlowMatching;
use fm_core::source::Source;
use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use fm_ot::CouplingKind;
use fm_ot::Reports;
use fm_train::flow_map::{FlowMapTask, TaskKind, follow_average};
use fm_train::task::{FlowTask, Task};
use fm_train::train::TrainState;
use tch::nn::VarStore;

impl FlowConfig {
    /// The flow of a run, for a model with or without classes. Its coupling adds a report of each
    /// plan to `reports`. For a semidiscrete one see [`potentials`](crate::potentials).
    ///
    /// # Errors
    /// A coupling that does not fit the path or the model.
    pub fn flow(
        &self,
        source: Source,
        seed: u64,
        conditional: bool,
        reports: &Reports,
    ) -> anyhow::Result<FlowMatching> {
        anyhow::ensure!((1..=1024).contains(&self.ot_batch), "ot_batch is {}; choose 1 to 1024", self.ot_batch);
        anyhow::ensure!(
            self.task == TaskKind::Flow || !self.excess_loss,
            "the least loss of a flow map is not known; drop --excess-loss, or take --task flow"
        );
        let coupling = match self.coupling {
            CouplingKind::Independent | CouplingKind::Semidiscrete { .. } => None,
            kind => {
                let (cost, pairing, path) = (self.cost, self.pairing, self.objective.path);
                Some(kind.build_reporting(cost, pairing, path, conditional, reports)?.into())
            }
        };
        let flow = FlowMatching::from(self.objective.clone());
        Ok(FlowMatching { source, coupling, coupled_steps: self.ot_batch, seed, ..flow })
    }
}

impl FlowConfig {
    /// The task of a run, from its flow matching.
    pub fn task_of<'m>(&self, flow: FlowTask<'m>, averaged: Option<&'m Averaged>) -> Box<dyn Task + 'm> {
        match self.task {
            TaskKind::Flow => Box::new(flow),
            kind => Box::new(FlowMapTask { flow, kind, average: averaged.map(|averaged| averaged.network.as_ref()) }),
        }
    }
}

/// A second network with the averaged weights of the trained one, for tasks whose targets come from
/// these.
#[derive(Debug)]
pub struct Averaged {
    network: Box<dyn VelocityModel>,
    _store: VarStore,
}

impl Averaged {
    /// The network, if the task needs it. It reads the averages of `state`.
    ///
    /// # Errors
    /// An invalid network.
    pub fn of(config: &FlowConfig, network: &ModelConfig, state: &TrainState) -> anyhow::Result<Option<Self>> {
        if !matches!(config.task, TaskKind::Shortcut { .. }) {
            return Ok(None);
        }
        let store = VarStore::new(state.params.device());
        let network = network.build(&store.root())?;
        follow_average(&store, state)?;
        Ok(Some(Self { network, _store: store }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::data::Classes;
    use fm_core::rng::{Key, Stream, normal_rows};
    use fm_ot::pairs::PairSampling;
    use fm_train::batch::{Batch, BatchSource};
    use fm_train::batches::{BatchOptions, FlowBatches};
    use ndarray::{Array2, ArrayView2};

    const DIM: usize = 2;

    fn data() -> Classes {
        let x1 = normal_rows(Key::new(9, 0, Stream::Data), 128, DIM);
        // The class follows from the row, so that a test can check it.
        let classes = x1.chunks(DIM).map(|x| i64::from(x[0] > 0.0)).collect();
        Classes::new(Array2::from_shape_vec((128, DIM), x1).unwrap(), classes).unwrap()
    }

    fn flow(coupling: CouplingKind, pairs: PairSampling, ot_batch: usize) -> FlowMatching {
        let config = FlowConfig { coupling, pairing: pairs, ot_batch, ..FlowConfig::default() };
        config.flow(Source::default(), 5, true, &Reports::default()).unwrap()
    }

    fn batches<'a>(flow: &'a FlowMatching, data: &'a Classes) -> FlowBatches<'a> {
        FlowBatches::new(flow, data, BatchOptions { rows: 16, conditional: true, ..BatchOptions::default() }).unwrap()
    }

    /// The first batches of a coupling.
    fn take(coupling: CouplingKind, pairs: PairSampling, ot_batch: usize, steps: usize) -> Vec<Batch> {
        let (flow, data) = (flow(coupling, pairs, ot_batch), data());
        batches(&flow, &data).take(steps).map(Result::unwrap).collect()
    }

    fn cost(batches: &[Batch]) -> f64 {
        let each = |b: &Batch| b.x0.iter().zip(&b.x1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        batches.iter().map(each).sum()
    }

    #[test]
    fn the_gain_is_the_cost_over_that_of_the_rows_as_drawn() {
        let take = |coupling| take(coupling, PairSampling::Permutation, 2, 2);
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
        let take = |coupling, ot_batch| take(coupling, PairSampling::Permutation, ot_batch, 8);
        let independent = take(CouplingKind::Independent, 4);
        assert_eq!(independent, take(CouplingKind::Independent, 1));
        let [one, four] = [1, 4].map(|k| take(CouplingKind::Exact, k));
        assert!(cost(&four) < cost(&one) && cost(&one) < cost(&independent));
        for batches in [&one, &four] {
            assert_eq!(sorted(batches, |b| &b.x0), sorted(&independent, |b| &b.x0));
            assert!(batches.iter().zip(&independent).all(|(a, b)| (&a.x1, &a.classes) == (&b.x1, &b.classes)));
        }
        // Four steps together are one assignment over four times the rows.
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
        let (flow, data) = (flow(CouplingKind::Exact, PairSampling::Permutation, 3), data());
        let want: Vec<Batch> = batches(&flow, &data).take(12).map(Result::unwrap).collect();
        let shared = batches(&flow, &data);
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let (shared, want) = (&shared, &want);
                scope.spawn(move || {
                    for s in (worker..12).step_by(3) {
                        assert_eq!(shared.batch(s as u64).unwrap(), want[s]);
                    }
                });
            }
        });
        // A run that resumes within a group of steps, and steps in any order.
        let resumed = batches(&flow, &data);
        assert!([4, 11, 8, 5, 0].into_iter().all(|s| resumed.batch(s).unwrap() == want[s as usize]));
    }

    #[test]
    fn drawn_pairs_keep_rows_and_classes_together() {
        let batches = take(CouplingKind::Sinkhorn { epsilon: 0.05 }, PairSampling::Drawn, 2, 4);
        for batch in &batches {
            assert!(batch.x1.chunks(DIM).zip(&batch.classes).all(|(x, class)| i64::from(x[0] > 0.0) == *class));
        }
        let drawn = take(CouplingKind::Independent, PairSampling::Permutation, 1, 4);
        assert_ne!(sorted(&batches, |b| &b.x1), sorted(&drawn, |b| &b.x1), "nothing was drawn twice or dropped");
    }

    #[test]
    fn couplings_that_do_not_fit_are_told_at_once() {
        let told = |config: FlowConfig, conditional| {
            config.flow(Source::default(), 0, conditional, &Reports::default()).unwrap_err().to_string()
        };
        let with = |coupling| FlowConfig { coupling, ..FlowConfig::default() };
        assert!(told(with(CouplingKind::C2ot { weight: 1.0 }), false).contains("this model has none"));
        assert!(told(with(CouplingKind::SchroedingerBridge), true).contains("path schroedinger-bridge"));
        assert!(told(FlowConfig { ot_batch: 0, ..FlowConfig::default() }, true).contains("choose 1 to 1024"));
    }
}
