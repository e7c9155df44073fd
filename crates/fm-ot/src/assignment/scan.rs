//! Passes over a row of reduced costs C_ij - v_j, written so that the compiler vectorises them.
//! They are compiled for several instruction sets, and the best one is chosen at run time. All give
//! bit-identical results.

use multiversion::multiversion;

const LANES: usize = 16;
type Lanes = [f64; LANES];

/// The cheapest column of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cheapest {
    /// The first column with the least reduced cost.
    pub(super) column: usize,
    /// The least reduced cost.
    pub(super) first: f64,
    /// The second least; equal to the first on a tie, infinite for a single column.
    pub(super) second: f64,
}

/// The two least reduced costs of a row.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn cheapest(costs: &[f64], v: &[f64]) -> Cheapest {
    let (mut first, mut second): (Lanes, Lanes) = ([f64::INFINITY; LANES], [f64::INFINITY; LANES]);
    let mut place = [0u64; LANES];
    let n = costs.len();
    let (v, whole) = (&v[..n], n - n % LANES);
    for at in (0..whole).step_by(LANES) {
        let (c, v) = (&costs[at..at + LANES], &v[at..at + LANES]);
        for l in 0..LANES {
            let r = c[l] - v[l];
            let loser = if r > first[l] { r } else { first[l] };
            second[l] = if loser < second[l] { loser } else { second[l] };
            place[l] = if r < first[l] { at as u64 } else { place[l] };
            first[l] = if r < first[l] { r } else { first[l] };
        }
    }
    for j in whole..n {
        let (r, l) = (costs[j] - v[j], j - whole);
        if r < first[l] {
            (second[l], first[l], place[l]) = (first[l], r, whole as u64);
        } else if r < second[l] {
            second[l] = r;
        }
    }
    let least = least_of(first);
    // On ties the first column, as in a plain loop.
    for l in 0..LANES {
        place[l] = if first[l] == least { place[l] + l as u64 } else { u64::MAX };
    }
    let column = least_of(place);
    // The second least is the second of its own lane or the first of another lane.
    let lane = column % LANES as u64;
    for l in 0..LANES {
        first[l] = if l as u64 == lane { second[l] } else { first[l] };
    }
    Cheapest { column: (column as usize).min(n - 1), first: least, second: least_of(first) }
}

#[inline(always)]
fn least_of<T: PartialOrd + Copy>(mut lanes: [T; LANES]) -> T {
    macro_rules! halve {
        ($($width:literal)*) => { $(for l in 0..$width {
            lanes[l] = if lanes[l + $width] < lanes[l] { lanes[l + $width] } else { lanes[l] };
        })* };
    }
    halve!(8 4 2 1);
    lanes[0]
}

/// v_j = min_i C_ij over the rows so far.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn lower(v: &mut [f64], row: &[f64]) {
    v.iter_mut().zip(row).for_each(|(v, &c)| *v = if c < *v { c } else { *v });
}

/// The first column, starting at `from`, whose reduced cost is `value`.
#[inline(always)]
pub(super) fn position(costs: &[f64], v: &[f64], value: f64, from: usize) -> Option<usize> {
    let (mut at, n) = (from, costs.len());
    while at + LANES <= n {
        let (c, v) = (&costs[at..at + LANES], &v[at..at + LANES]);
        // Counting without an early exit lets the compiler compare whole vectors.
        if (0..LANES).map(|l| u64::from(c[l] - v[l] == value)).sum::<u64>() > 0 {
            break;
        }
        at += LANES;
    }
    (at..n).find(|&j| costs[j] - v[j] == value)
}

/// Lowers distances to those of paths through `row`, which are the row's reduced costs less
/// `offset`, and stores `row` where they fall. Returns the least distance. A settled column has the
/// distance NaN, which is neither lowered nor least.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub(crate) fn relax(
    costs: &[f64],
    v: &[f64],
    offset: f64,
    row: u64,
    distance: &mut [f64],
    previous: &mut [u64],
) -> f64 {
    let mut least = [f64::INFINITY; LANES];
    let n = costs.len();
    let (v, distance, previous) = (&v[..n], &mut distance[..n], &mut previous[..n]);
    let whole = n - n % LANES;
    for at in (0..whole).step_by(LANES) {
        let (c, v) = (&costs[at..at + LANES], &v[at..at + LANES]);
        let (d, p) = (&mut distance[at..at + LANES], &mut previous[at..at + LANES]);
        for l in 0..LANES {
            let through = c[l] - v[l] - offset;
            let lower = through < d[l];
            d[l] = if lower { through } else { d[l] };
            p[l] = if lower { row } else { p[l] };
            least[l] = if d[l] < least[l] { d[l] } else { least[l] };
        }
    }
    for j in whole..n {
        let through = costs[j] - v[j] - offset;
        if through < distance[j] {
            (distance[j], previous[j]) = (through, row);
        }
        least[0] = if distance[j] < least[0] { distance[j] } else { least[0] };
    }
    least_of(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_cheapest_is_what_a_plain_loop_finds(
            pairs in prop::collection::vec((prop_oneof![0.0..1.0f64, (0u8..4).prop_map(f64::from)], 0.0..0.01f64), 1..80),
            equal_prices: bool,
        ) {
            let (costs, mut v): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            if equal_prices {
                v.fill(0.0);
            }
            let reduced: Vec<f64> = costs.iter().zip(&v).map(|(c, v)| c - v).collect();
            let mut sorted = reduced.clone();
            sorted.sort_by(f64::total_cmp);
            let found = cheapest(&costs, &v);
            prop_assert_eq!(found.first, sorted[0]);
            prop_assert_eq!(found.second, sorted.get(1).copied().unwrap_or(f64::INFINITY));
            prop_assert_eq!(Some(found.column), reduced.iter().position(|r| *r == sorted[0]));
            prop_assert_eq!(position(&costs, &v, sorted[0], found.column + 1),
                reduced.iter().skip(found.column + 1).position(|r| *r == sorted[0]).map(|j| j + found.column + 1));
        }
    }
}
