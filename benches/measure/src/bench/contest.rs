//! One case of a comparison: our code and the peers do the same work in turn.

use super::places;
use super::worker::{Answer, Worker};
use anyhow::{Context, ensure};
use std::time::{Duration, Instant};

/// The agreement that a peer's result needs before its time counts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Agreement {
    /// The same value, to a relative 1e-9.
    Optimum,
    /// The same value, to single precision.
    Single,
    /// The same value, to this relative error.
    Within(f64),
    /// An L1 error of the marginals of at most this.
    Error(f64),
}

/// Times of all rounds: ours, then each peer's.
pub(super) struct Times {
    ours: Vec<f64>,
    peers: Vec<Option<Vec<f64>>>,
}

/// After this time, a case stops after the minimum number of rounds.
const PATIENCE: Duration = Duration::from_secs(60);
const FEWEST: usize = 3;

/// Runs our request and each peer's in turn; a peer that finds no result has no times.
pub(super) fn contest(
    (ours, theirs): (&mut Worker, &mut Worker),
    request: &str,
    peers: &[String],
    agreement: Agreement,
    rounds: u32,
) -> anyhow::Result<Times> {
    let mut times = Times { ours: Vec::new(), peers: vec![Some(Vec::new()); peers.len()] };
    let order = places::order(request, &peers.iter().map(String::as_str).collect::<Vec<_>>());
    let started = Instant::now();
    for round in 0..=rounds as usize {
        let mut answers = vec![None; peers.len() + 1];
        for who in &order {
            answers[*who] = match who.checked_sub(1) {
                None => Some(ours.solve(request)?),
                Some(peer) if times.peers[peer].is_some() => Some(theirs.solve(&peers[peer])?),
                Some(_) => None,
            };
        }
        let own = answers[0].context("ours takes part in every round")?;
        check(request, own, own, agreement)?;
        // The first round warms caches, allocators and compilers.
        if round > 0 {
            times.ours.push(own.seconds);
        }
        for ((peer, seconds), found) in peers.iter().zip(&mut times.peers).zip(&answers[1..]) {
            let (Some(seen), Some(found)) = (seconds.as_mut(), *found) else { continue };
            if found.value.is_nan() {
                *seconds = None;
                continue;
            }
            check(peer, found, own, agreement)?;
            if round > 0 {
                seen.push(found.seconds);
            }
        }
        if round >= FEWEST && started.elapsed() > PATIENCE {
            break;
        }
    }
    Ok(times)
}

fn check(who: &str, found: Answer, own: Answer, agreement: Agreement) -> anyhow::Result<()> {
    let off = (found.value - own.value).abs() / own.value.abs();
    let agrees = match agreement {
        Agreement::Optimum => off <= 1e-9,
        Agreement::Single => off <= 1e-4,
        Agreement::Within(most) => off <= most,
        Agreement::Error(most) => found.error <= most,
    };
    ensure!(agrees, "`{who}` finds {found:?}, ours {own:?}: no times are compared ({agreement:?})");
    Ok(())
}

impl Times {
    pub(super) fn rounds(&self) -> usize {
        self.ours.len()
    }

    /// Our milliseconds, as a table cell.
    pub(super) fn ours(&self) -> String {
        cell(1e3 * median(&self.ours))
    }

    /// A peer's milliseconds, as a table cell.
    pub(super) fn peer(&self, k: usize) -> String {
        self.peers[k].as_ref().map_or("nothing".into(), |seconds| cell(1e3 * median(seconds)))
    }

    /// The ratio of a peer's time to ours within a round, for the fastest of these peers in that
    /// round: median and extremes.
    pub(super) fn ratio(&self, peers: &[usize]) -> String {
        let ratios = self.ratios(peers);
        if ratios.iter().any(|r| r.is_infinite()) {
            return "no peer".into();
        }
        spread(&ratios, 2)
    }

    fn ratios(&self, peers: &[usize]) -> Vec<f64> {
        let fastest = |round: usize| {
            let each = peers.iter().filter_map(|k| self.peers[*k].as_ref().map(|seconds| seconds[round]));
            each.fold(f64::INFINITY, f64::min)
        };
        (0..self.rounds()).map(|r| fastest(r) / self.ours[r]).collect()
    }

    /// The median of these ratios.
    pub(super) fn median_ratio(&self, peers: &[usize]) -> f64 {
        median(&self.ratios(peers))
    }
}

/// The median and the extremes, as a table cell.
pub(super) fn spread(values: &[f64], places: usize) -> String {
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    format!("**{:.places$}** ({low:.places$} to {high:.places$})", median(values))
}

/// Ratios, round by round.
pub(super) fn over(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(a, b)| a / b).collect()
}

/// A number with three significant digits.
pub(super) fn cell(value: f64) -> String {
    let places = (2 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 4) as usize;
    format!("{value:.places$}")
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { f64::NAN } else { 0.5 * (values[(n - 1) / 2] + values[n / 2]) }
}

#[cfg(test)]
mod tests {
    use super::{Times, cell, median, over, spread};

    #[test]
    fn the_median_of_even_and_odd_counts() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
        assert_eq!([0.01234, 1.234, 123.4, 1234.0].map(cell), ["0.0123", "1.23", "123", "1234"]);
    }

    #[test]
    fn ratios_are_taken_within_a_round_against_the_fastest() {
        let times = Times {
            ours: vec![1.0, 2.0, 1.0],
            peers: vec![Some(vec![3.0, 4.0, 9.0]), Some(vec![5.0, 2.0, 8.0]), None],
        };
        assert_eq!(times.ratio(&[0]), "**3.00** (2.00 to 9.00)");
        assert_eq!(times.ratio(&[0, 1]), "**3.00** (1.00 to 8.00)");
        assert_eq!(times.median_ratio(&[0, 1]), 3.0);
        assert_eq!((times.ratio(&[2]), times.peer(2)), ("no peer".into(), "nothing".into()));
        assert_eq!(spread(&over(&[3.0, 2.0, 1.0], &[1.0, 4.0, 1.0]), 1), "**1.0** (0.5 to 3.0)");
    }
}
