//! Initial prices by an auction (Bertsekas 1988), in single precision: only the prices are kept,
//! and any prices are valid.
//!
//! Each row without a column bids for its cheapest one. The price falls until that column costs as
//! much as the row's second choice, less an increment; a displaced row bids again. A large
//! increment settles fast but roughly, and each level starts from the prices of the previous one.

use multiversion::multiversion;

const LANES: usize = 32;
/// The factor by which the increment is divided from level to level.
const FALL: f32 = 8.0;
/// Bids per row and level after which a level is abandoned; a well-behaved problem needs half of
/// them.
const PATIENCE: usize = 20;
const NONE: u32 = u32::MAX;

/// Prices near the optimum of a square problem, from its costs and the least cost of each column.
pub(super) fn warm_prices(cost: &[f64], minima: &[f64]) -> Vec<f64> {
    let n = minima.len();
    let stride = n.next_multiple_of(LANES);
    let largest = cost.chunks_exact(n).map(|row| largest_reduced(row, minima)).fold(0.0, f64::max);
    // The reciprocal of a subnormal number is infinite.
    if n < 2 || largest < f64::MIN_POSITIVE || !largest.is_finite() {
        return minima.to_vec();
    }
    // Padding columns are never the cheapest.
    let mut costs = vec![f32::INFINITY; n * stride];
    for (to, from) in costs.chunks_exact_mut(stride).zip(cost.chunks_exact(n)) {
        reduce(to, from, minima, 1.0 / largest);
    }
    let prices = auction(&costs, n, stride);
    prices.iter().zip(minima).map(|(p, m)| m + f64::from(*p) * largest).collect()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn largest_reduced(row: &[f64], minima: &[f64]) -> f64 {
    let mut largest = [0.0; LANES];
    for (c, m) in row.chunks(LANES).zip(minima.chunks(LANES)) {
        for ((l, c), m) in largest.iter_mut().zip(c).zip(m) {
            *l = if c - m > *l { c - m } else { *l };
        }
    }
    largest.into_iter().fold(0.0, f64::max)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn reduce(to: &mut [f32], row: &[f64], minima: &[f64], scale: f64) {
    to.iter_mut().zip(row).zip(minima).for_each(|((to, c), m)| *to = ((c - m) * scale) as f32);
}

fn auction(costs: &[f32], n: usize, stride: usize) -> Vec<f32> {
    let row = |i: u32| &costs[i as usize * stride..(i as usize + 1) * stride];
    let mut prices = vec![0.0; stride];
    // The typical gap between a row's first and second choice sets the scale: prices of n columns
    // move by up to about n gaps.
    let mut gaps: Vec<f32> = (0..n as u32).map(|i| cheapest(row(i), &prices)).map(|(_, a, b)| b - a).collect();
    let typical = *gaps.select_nth_unstable_by(n / 2, f32::total_cmp).1;
    let mut increment = typical * n as f32 / 16.0;
    let mut owner = vec![NONE; n];
    let mut waiting: Vec<u32> = Vec::with_capacity(n);
    while increment > 0.4 * typical {
        owner.fill(NONE);
        waiting.clear();
        waiting.extend(0..n as u32);
        for _ in 0..PATIENCE * n {
            let Some(i) = waiting.pop() else { break };
            let (j, first, second) = cheapest(row(i), &prices);
            prices[j] -= second - first + increment;
            let displaced = std::mem::replace(&mut owner[j], i);
            if displaced != NONE {
                waiting.push(displaced);
            }
        }
        increment /= FALL;
    }
    prices.truncate(n);
    prices
}

/// The cheapest column of a row, its reduced cost and the second least reduced cost.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn cheapest(costs: &[f32], prices: &[f32]) -> (usize, f32, f32) {
    let (mut first, mut second) = ([f32::INFINITY; LANES], [f32::INFINITY; LANES]);
    let mut place = [0u32; LANES];
    let prices = &prices[..costs.len()];
    for (k, (c, p)) in costs.chunks_exact(LANES).zip(prices.chunks_exact(LANES)).enumerate() {
        for l in 0..LANES {
            let r = c[l] - p[l];
            let loser = if r > first[l] { r } else { first[l] };
            second[l] = if loser < second[l] { loser } else { second[l] };
            place[l] = if r < first[l] { k as u32 } else { place[l] };
            first[l] = if r < first[l] { r } else { first[l] };
        }
    }
    let least = least_of(first);
    let mut lanes = [LANES as u32; LANES];
    for l in 0..LANES {
        lanes[l] = if first[l] == least { l as u32 } else { lanes[l] };
    }
    let lane = least_of(lanes);
    // The second least is the second of its own lane or the first of another lane.
    for l in 0..LANES {
        first[l] = if l as u32 == lane { second[l] } else { first[l] };
    }
    ((place[lane as usize % LANES] * LANES as u32 + lane) as usize, least, least_of(first))
}

#[inline(always)]
fn least_of<T: PartialOrd + Copy>(mut lanes: [T; LANES]) -> T {
    macro_rules! halve {
        ($($width:literal)*) => { $(for l in 0..$width {
            lanes[l] = if lanes[l + $width] < lanes[l] { lanes[l + $width] } else { lanes[l] };
        })* };
    }
    halve!(16 8 4 2 1);
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::super::{matching::Matching, reduction::reduce_rows};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_cheapest_is_what_a_plain_loop_finds(
            mut costs in prop::collection::vec(prop_oneof![0.0..1.0f32, (0u8..4).prop_map(f32::from)], 2..150),
        ) {
            let mut sorted = costs.clone();
            sorted.sort_by(f32::total_cmp);
            costs.resize(costs.len().next_multiple_of(LANES), f32::INFINITY);
            let (column, first, second) = cheapest(&costs, &vec![0.0; costs.len()]);
            prop_assert_eq!((costs[column], first, second), (sorted[0], sorted[0], sorted[1]));
        }
    }

    /// The purpose of the auction: it leaves almost no rows to the searches.
    #[test]
    fn prices_leave_little_to_search_for() {
        let n = 512;
        let place = |k: usize| (((k * 7919) % 1009) as f64, ((k * k * 31 + 17 * k) % 1013) as f64);
        let apart = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2);
        let cost: Vec<f64> = (0..n * n).map(|k| apart(place(k / n), place(5000 + k % n))).collect();
        let minima = super::super::column_minima(&cost, n);
        let left = |v: Vec<f64>| {
            let none = super::super::matching::NONE;
            let (column_of, row_of) = (vec![none; n], vec![none; n]);
            reduce_rows(&mut Matching { cost: &cost, rows: n, column_of, row_of, v }).len()
        };
        let (before, after) = (left(minima.clone()), left(warm_prices(&cost, &minima)));
        assert!(before > 8 && after <= before / 4, "{before} rows are left without the auction, {after} with it");
    }
}
