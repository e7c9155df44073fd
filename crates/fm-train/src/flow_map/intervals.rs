//! The intervals of a step's rows.

use super::kind::TaskKind;
use fm_core::Error;
use fm_core::loss::RowLoss;
use fm_core::objective::Objective;
use fm_core::path::ProbPath;
use fm_core::rng::{Key, Stream};
use fm_core::time::{SampledTimes, TimeDistribution, Times};
use fm_core::weighting::TimeWeight;
use rand::Rng;

/// The field of a block with the intervals h, (rows).
pub(crate) const INTERVAL: &str = "interval";
/// The field with the shares l at which an interval is split, (rows).
pub(crate) const SPLIT: &str = "split";

/// Number of interval lengths of `shortcut`: 1, 1/2, ..., 1/128 of the range of times.
const LENGTHS: u32 = 8;

/// Intervals and the shares at which they are split, one per row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Intervals {
    pub(crate) lengths: Vec<f64>,
    pub(crate) splits: Vec<f64>,
}

/// Draws the intervals of a whole batch, whose first times have been drawn, and moves these to the
/// starts of the intervals. Row i depends on the key and on i alone. `None` for a flow.
pub(crate) fn draw<P: ProbPath, T: TimeDistribution, W: TimeWeight, L: RowLoss>(
    task: TaskKind,
    objective: &Objective<P, T, W, L>,
    key: Key,
    drawn: &mut SampledTimes,
) -> Result<Option<Intervals>, Error> {
    if task == TaskKind::Flow {
        return Ok(None);
    }
    let key = key.with_stream(Stream::Interval);
    let (mut lengths, mut splits) = (Vec::new(), Vec::new());
    for (i, (time, weight)) in drawn.times.iter_mut().zip(&mut drawn.weights).enumerate() {
        let mut rng = key.generator(i);
        let [kind, position, split] = [0; 3].map(|_| rng.random::<f64>());
        let (start, length) = if kind < task.flow_share() {
            (*time, 0.0)
        } else if matches!(task, TaskKind::Shortcut { .. }) {
            dyadic(objective.times.range(), position, split)
        } else {
            let other = second(&objective.times, position);
            (time.min(other), (*time - other).abs())
        };
        if start != *time {
            (*time, *weight) = (start, objective.weight(start)?);
        }
        lengths.push(length);
        splits.push(if matches!(task, TaskKind::Shortcut { .. }) { 0.5 } else { split });
    }
    Ok(Some(Intervals { lengths, splits }))
}

/// The second of the two times between which the interval of a row lies, for u in [0, 1).
fn second<T: TimeDistribution>(times: &Times<T>, u: f64) -> f64 {
    // u = 0 may be at infinity for the underlying distribution.
    times.quantile(u.max(f64::EPSILON))
}

/// The shortest interval of `shortcut`.
pub(crate) fn shortest((low, high): (f64, f64)) -> f64 {
    (high - low) / 2f64.powi(LENGTHS as i32 - 1)
}

/// Start and length of an interval of a power of 1/2 of the range, from two uniform numbers.
fn dyadic((low, high): (f64, f64), u: f64, v: f64) -> (f64, f64) {
    let power = (u * f64::from(LENGTHS)) as i32;
    let count = 2f64.powi(power);
    let length = (high - low) / count;
    (low + (v * count).floor() * length, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(task: &str, rows: usize) -> (SampledTimes, Intervals) {
        let objective: Objective = Objective::default();
        let key = Key::new(3, 5, Stream::Time);
        let mut times = objective.draw(key, rows, None).unwrap();
        let intervals = draw(task.parse().unwrap(), &objective, key, &mut times).unwrap().unwrap();
        (times, intervals)
    }

    #[test]
    fn intervals_lie_between_two_times_and_zero_ones_have_the_given_share() {
        let (times, intervals) = drawn("meanflow:flow=0.25", 20_000);
        let none = intervals.lengths.iter().filter(|h| **h == 0.0).count() as f64 / 20_000.0;
        assert!((none - 0.25).abs() < 0.02, "{none}");
        assert!(times.times.iter().zip(&intervals.lengths).all(|(t, h)| *t >= 0.0 && t + h <= 1.0));
        // The mean distance of two uniform numbers is 1/3.
        let mean = intervals.lengths.iter().sum::<f64>() / (0.75 * 20_000.0);
        assert!((mean - 1.0 / 3.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn shortcuts_are_powers_of_a_half_from_their_multiples() {
        let (times, intervals) = drawn("shortcut:flow=0", 4096);
        let mut seen = [0; LENGTHS as usize];
        for (t, h) in times.times.iter().zip(&intervals.lengths) {
            let power = -h.log2();
            assert!(power.fract() == 0.0 && (t / h).fract() == 0.0 && t + h <= 1.0, "{t} {h}");
            seen[power as usize] += 1;
        }
        assert!(seen.iter().all(|n| (400..=620).contains(n)), "{seen:?}");
        assert!(intervals.splits.iter().all(|l| *l == 0.5));
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        let ((few, a), (many, b)) = (drawn("split", 10), drawn("split", 100));
        assert_eq!((few.times[..10].to_vec(), a.lengths), (many.times[..10].to_vec(), b.lengths[..10].to_vec()));
    }
}
