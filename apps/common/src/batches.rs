//! Batches as training takes them: data rows from the app, source rows and the path's noise, paired.

use crate::flow::FlowConfig;
use fm_core::coupling::{Conditions, Coupling, Unpaired};
use fm_core::objective::Objective;
use fm_core::rng::{self, Stream};
use fm_core::source::Source;
use fm_train::batch::Batch;
use ndarray::ArrayView2;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The data of one step: rows, and their classes if the model is told them.
pub type Rows = (Vec<f32>, Vec<i64>);

/// Batches that were paired together, or why they could not be.
type Group = Arc<OnceLock<Result<Vec<Batch>, String>>>;

/// Groups that are kept: one that some worker still reads, one that it makes, and one ahead.
const KEPT: usize = 3;

/// Makes whole batches of data rows. The rows of `ot_batch` consecutive steps are paired together, once, by whichever worker comes first.
pub struct Pairing {
    source: Source,
    coupling: Box<dyn Coupling>,
    objective: Objective,
    seed: u64,
    /// Steps that are paired together.
    steps: u64,
    recent: Mutex<VecDeque<(u64, Group)>>,
}

impl std::fmt::Debug for Pairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pairing").field("objective", &self.objective).field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Pairing {
    /// The pairing of a run, for a model that is or is not told classes.
    ///
    /// # Errors
    /// A coupling that does not fit the path or the model.
    pub fn new(config: &FlowConfig, source: Source, seed: u64, conditional: bool) -> anyhow::Result<Self> {
        anyhow::ensure!((1..=1024).contains(&config.ot_batch), "ot_batch is {}: choose 1 to 1024", config.ot_batch);
        let coupling = config.coupling.build(config.cost, config.pairs, config.objective.path, conditional)?;
        let (objective, steps) = (config.objective.clone(), config.ot_batch as u64);
        Ok(Self { source, coupling, objective, seed, steps, recent: Mutex::default() })
    }

    /// The batch of one step; `rows` gives the data of any step, in rows of `dim` values.
    ///
    /// # Errors
    /// Rows that cannot be paired.
    pub fn batch(&self, step: u64, dim: usize, rows: impl Fn(u64) -> Rows) -> Result<Batch, String> {
        let first = step - step % self.steps;
        let place = (step - first) as usize;
        let mut batch = if self.steps == 1 {
            self.pair(first, dim, rows)?.swap_remove(place)
        } else {
            // Another worker that is at it already is waited for; none holds the list while it works.
            let group = self.group(first);
            let made = group.get_or_init(|| self.pair(first, dim, rows));
            made.as_ref().map_err(Clone::clone)?[place].clone()
        };
        batch.noise = self.objective.path_noise(self.seed, step, batch.x1.len() / dim.max(1), dim);
        Ok(batch)
    }

    fn group(&self, first: u64) -> Group {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, group)) = recent.iter().find(|(at, _)| *at == first) {
            return group.clone();
        }
        let group = Group::default();
        recent.push_back((first, group.clone()));
        if recent.len() > KEPT {
            recent.pop_front();
        }
        group
    }

    /// The batches of all steps that are paired with `first`, without the path's noise.
    fn pair(&self, first: u64, dim: usize, rows: impl Fn(u64) -> Rows) -> Result<Vec<Batch>, String> {
        let (mut x0, mut x1, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for step in first..first + self.steps {
            let (data, labels) = rows(step);
            x0.extend(self.source.sample(self.seed, step, Stream::Noise, 0, data.len() / dim.max(1), dim));
            x1.extend(data);
            classes.extend(labels);
        }
        let n = x1.len() / dim.max(1);
        let view = |x| ArrayView2::from_shape((n, dim), x).map_err(|e| e.to_string());
        let conditions = if classes.is_empty() { Conditions::None } else { Conditions::Classes(&classes) };
        let mut draws = rng::stream(self.seed, first, Stream::Coupling, 0);
        let unpaired = Unpaired { x0: view(&x0)?, x1: view(&x1)?, conditions };
        let pairing = self.coupling.couple(&unpaired, &mut draws).map_err(|e| e.to_string())?;
        let drawn = cost(&x0, &x1);
        let (x0, x1) = (pairing.sources(&x0, dim), pairing.targets(&x1, dim));
        let gain = (pairing != fm_core::coupling::Pairing::Identity && drawn > 0.0).then(|| cost(&x0, &x1) / drawn);
        let classes = if classes.is_empty() { classes } else { pairing.targets(&classes, 1) };
        let each = n / self.steps as usize;
        let part = |k: usize| Batch {
            x0: x0[k * each * dim..(k + 1) * each * dim].to_vec(),
            x1: x1[k * each * dim..(k + 1) * each * dim].to_vec(),
            classes: if classes.is_empty() { Vec::new() } else { classes[k * each..(k + 1) * each].to_vec() },
            noise: None,
            coupling_gain: gain,
        };
        Ok((0..self.steps as usize).map(part).collect())
    }
}

/// The mean squared distance of rows paired as they lie, up to a factor.
fn cost(x0: &[f32], x1: &[f32]) -> f64 {
    x0.iter().zip(x1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / x1.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::couplings::CouplingKind;
    use fm_core::rng::normal_rows;
    use fm_ot::pairs::Pairs;

    const DIM: usize = 2;

    fn rows(step: u64) -> Rows {
        let x1 = normal_rows(9, step, Stream::Data, 0, 16, DIM);
        // The class is where the row is, so that it can be checked afterwards.
        let classes = x1.chunks(DIM).map(|x| i64::from(x[0] > 0.0)).collect();
        (x1, classes)
    }

    fn pairing(coupling: CouplingKind, pairs: Pairs, ot_batch: usize) -> Pairing {
        let config = FlowConfig { coupling, pairs, ot_batch, ..FlowConfig::default() };
        Pairing::new(&config, Source::default(), 5, true).unwrap()
    }

    fn cost(batches: &[Batch]) -> f64 {
        let each = |b: &Batch| b.x0.iter().zip(&b.x1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        batches.iter().map(each).sum()
    }

    #[test]
    fn the_gain_is_the_cost_over_that_of_the_rows_as_drawn() {
        let take = |coupling| -> Vec<Batch> {
            let p = pairing(coupling, Pairs::Permutation, 2);
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
            let p = pairing(coupling, Pairs::Permutation, ot_batch);
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
        let inline = pairing(CouplingKind::Exact, Pairs::Permutation, 3);
        let want: Vec<Batch> = (0..12).map(|s| inline.batch(s, DIM, rows).unwrap()).collect();
        let shared = pairing(CouplingKind::Exact, Pairs::Permutation, 3);
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
        let resumed = pairing(CouplingKind::Exact, Pairs::Permutation, 3);
        assert!([4, 11, 8, 5, 0].into_iter().all(|s| resumed.batch(s, DIM, rows).unwrap() == want[s as usize]));
    }

    #[test]
    fn drawn_pairs_keep_rows_and_classes_together() {
        let p = pairing(CouplingKind::Sinkhorn { epsilon: 0.05 }, Pairs::Drawn, 2);
        let batches: Vec<Batch> = (0..4).map(|s| p.batch(s, DIM, rows).unwrap()).collect();
        for batch in &batches {
            assert!(batch.x1.chunks(DIM).zip(&batch.classes).all(|(x, class)| i64::from(x[0] > 0.0) == *class));
        }
        let drawn: Vec<Batch> = (0..4).map(rows).map(|(x1, _)| Batch { x1, ..Batch::default() }).collect();
        assert_ne!(sorted(&batches, |b| &b.x1), sorted(&drawn, |b| &b.x1), "nothing was drawn twice or dropped");
    }

    #[test]
    fn couplings_that_do_not_fit_are_told_at_once() {
        let told = |config: FlowConfig, conditional| {
            Pairing::new(&config, Source::default(), 0, conditional).unwrap_err().to_string()
        };
        let with = |coupling| FlowConfig { coupling, ..FlowConfig::default() };
        assert!(told(with(CouplingKind::C2ot { weight: 1.0 }), false).contains("is not told any"));
        assert!(told(with(CouplingKind::SchroedingerBridge), true).contains("--path schroedinger-bridge"));
        assert!(told(FlowConfig { ot_batch: 0, ..FlowConfig::default() }, true).contains("choose 1 to 1024"));
    }
}
