//! Exact transport between arbitrary masses, and exact partial transport.
//!
//! [`transport`] minimises sum P C over P 1 = a, P^T 1 = b; [`partial`] over P 1 <= a, P^T 1 <= b,
//! sum P = mass, by adding a row and a column that absorb the remaining mass at no cost (Chapel et
//! al., "Partial optimal transport with applications on positive-unlabeled learning", 2020). For
//! equal numbers of equal masses use [`assign`](crate::assignment::assign), which is far faster.
//!
//! The method is successive shortest paths over reduced costs: the search of the assignment solver,
//! with flows instead of pairs. Masses are whole multiples of 2^-52, so that flows add up exactly
//! and the method terminates.
//!
//! ```
//! use fm_ot::{marginals::Marginals, transport::transport};
//! let marginals = Marginals::new(&[0.5, 0.5], &[0.25, 0.75])?;
//! let plan = transport(ndarray::array![[0.0, 1.0], [1.0, 0.0]].view(), &marginals)?;
//! assert_eq!(plan.cost(), 0.25);
//! assert_eq!(plan.dense(), ndarray::array![[0.25, 0.25], [0.0, 0.5]]);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::assignment::scan::relax;
use crate::marginals::Marginals;
use crate::{OtError, pages};
use ndarray::{Array2, ArrayView2, s};

/// An optimal plan, stored as its non-zero entries.
#[derive(Debug, Clone, PartialEq)]
pub struct TransportPlan {
    shape: (usize, usize),
    entries: Vec<(usize, usize, f64)>,
    cost: f64,
}

impl TransportPlan {
    /// Rows and columns of the plan.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// (row, column, mass), sorted by row, then column.
    pub fn entries(&self) -> &[(usize, usize, f64)] {
        &self.entries
    }

    /// sum P C.
    #[doc(alias = "wasserstein")]
    #[doc(alias = "emd2")]
    pub fn cost(&self) -> f64 {
        self.cost
    }

    /// The plan as a matrix.
    pub fn dense(&self) -> Array2<f64> {
        let mut plan = pages::block(self.shape);
        self.entries.iter().for_each(|&(i, j, mass)| plan[(i, j)] = mass);
        plan
    }
}

/// The plan of least cost between two sets of masses.
///
/// # Errors
/// [`OtError::Empty`], [`OtError::Masses`], [`OtError::NotFinite`], [`OtError::TooLarge`] for costs
/// above 1e278, [`OtError::Memory`].
#[doc(alias = "emd")]
pub fn transport(cost: ArrayView2<'_, f64>, marginals: &Marginals) -> Result<TransportPlan, OtError> {
    let (rows, columns) = marginals.of(cost.dim())?;
    crate::check_cost(cost)?;
    Ok(solve(cost, &rows, &columns))
}

/// The plan of least cost that transports this mass, in (0, 1], and takes at most its mass from
/// each point.
///
/// # Errors
/// As [`transport`], and [`OtError::Mass`].
#[doc(alias = "partial_wasserstein")]
pub fn partial(cost: ArrayView2<'_, f64>, marginals: &Marginals, mass: f64) -> Result<TransportPlan, OtError> {
    crate::check_mass(mass)?;
    let (a, b) = marginals.of(cost.dim())?;
    crate::check_cost(cost)?;
    let (rows, columns) = cost.dim();
    let left = 1.0 - mass;
    if left < UNIT {
        return Ok(solve(cost, &a, &b));
    }
    let largest = cost.fold(0.0f64, |m, c| m.max(c.abs()));
    let mut extended = pages::zeros((rows + 1, columns + 1))?;
    extended.slice_mut(s![..rows, ..columns]).assign(&cost);
    // Expensive enough that the added row never sends mass to the added column.
    extended[(rows, columns)] = 1.0 + 2.0 * largest;
    let with_left = |masses: &[f64]| [masses, &[left]].concat();
    let mut plan = solve(extended.view(), &with_left(&a), &with_left(&b));
    plan.shape = (rows, columns);
    plan.entries.retain(|&(i, j, _)| i < rows && j < columns);
    Ok(plan)
}

/// The unit of mass, as a fraction of the total.
const UNIT: f64 = 1.0 / (1u64 << 52) as f64;

/// Masses as whole numbers of units; the rounding remainder is added to the largest.
fn units(masses: &[f64]) -> Vec<u64> {
    let total = (masses.iter().sum::<f64>() / UNIT).round() as u64;
    let mut whole: Vec<u64> = masses.iter().map(|m| (m / UNIT) as u64).collect();
    let sum: u64 = whole.iter().sum();
    if let Some(largest) = whole.iter_mut().max() {
        *largest = (*largest + total).saturating_sub(sum);
    }
    whole
}

const NONE: usize = usize::MAX;

struct Flows<'a> {
    cost: &'a [f64],
    columns: usize,
    supply: Vec<u64>,
    demand: Vec<u64>,
    v: Vec<f64>,
    /// For each column, the rows that send mass to it, and how much.
    into: Vec<Vec<(usize, u64)>>,
    distance: Vec<f64>,
    previous: Vec<u64>,
    /// The column through which a search reached a row.
    parent: Vec<usize>,
}

fn solve(cost: ArrayView2<'_, f64>, a: &[f64], b: &[f64]) -> TransportPlan {
    let (rows, columns) = cost.dim();
    let standard = cost.as_standard_layout();
    let values = standard.as_slice().unwrap_or(&[]);
    let (supply, mut demand) = (units(a), units(b));
    // The sums of both sides may differ in the last digits; make them equal to the unit.
    let (out, into): (u64, u64) = (supply.iter().sum(), demand.iter().sum());
    if let Some(largest) = demand.iter_mut().max() {
        *largest = (*largest + out).saturating_sub(into);
    }
    let mut flows = Flows {
        cost: values,
        columns,
        v: (0..columns).map(|j| (0..rows).map(|i| values[i * columns + j]).fold(f64::INFINITY, f64::min)).collect(),
        into: vec![Vec::new(); columns],
        distance: vec![0.0; columns],
        previous: vec![0; columns],
        parent: vec![NONE; rows],
        supply,
        demand,
    };
    for row in 0..rows {
        while flows.supply[row] > 0 && flows.augment(row) {}
    }
    let mut entries: Vec<(usize, usize, f64)> = Vec::new();
    for (j, rows) in flows.into.iter().enumerate() {
        entries.extend(rows.iter().filter(|(_, mass)| *mass > 0).map(|&(i, mass)| (i, j, mass as f64 * UNIT)));
    }
    entries.sort_unstable_by_key(|&(i, j, _)| (i, j));
    let spent = entries.iter().map(|&(i, j, mass)| mass * cost[(i, j)]).sum();
    TransportPlan { shape: (rows, columns), entries, cost: spent }
}

impl Flows<'_> {
    fn relax(&mut self, row: usize, offset: f64) {
        let costs = &self.cost[row * self.columns..(row + 1) * self.columns];
        relax(costs, &self.v, offset, row as u64, &mut self.distance, &mut self.previous);
    }

    /// Sends mass along one cheapest path from a row to a column with demand; returns whether there
    /// was one.
    fn augment(&mut self, start: usize) -> bool {
        self.distance.fill(f64::INFINITY);
        self.parent.fill(NONE);
        let mut settled = Vec::new();
        self.relax(start, 0.0);
        let (end, shortest) = loop {
            let open = self.distance.iter().copied().enumerate().filter(|(_, d)| !d.is_nan());
            let Some((column, shortest)) = open.min_by(|a, b| a.1.total_cmp(&b.1)) else { return false };
            if self.demand[column] > 0 {
                break (column, shortest);
            }
            self.distance[column] = f64::NAN;
            settled.push((column, shortest));
            for k in 0..self.into[column].len() {
                let (row, mass) = self.into[column][k];
                if mass > 0 && row != start && self.parent[row] == NONE {
                    self.parent[row] = column;
                    let tight = self.cost[row * self.columns + column] - self.v[column];
                    self.relax(row, tight - shortest);
                }
            }
        };
        for (column, distance) in settled {
            self.v[column] -= (shortest - distance).max(0.0);
        }
        self.send(start, end);
        true
    }

    fn send(&mut self, start: usize, end: usize) {
        let mut amount = self.supply[start].min(self.demand[end]);
        let mut path = Vec::new();
        let mut column = end;
        loop {
            let row = self.previous[column] as usize;
            path.push((row, column));
            if row == start {
                break;
            }
            column = self.parent[row];
            amount = amount.min(self.flow(row, column).map_or(0, |flow| *flow));
        }
        self.supply[start] -= amount;
        self.demand[end] -= amount;
        for (row, column) in path {
            match self.flow(row, column) {
                Some(flow) => *flow += amount,
                None => self.into[column].push((row, amount)),
            }
            if row != start {
                let parent = self.parent[row];
                if let Some(flow) = self.flow(row, parent) {
                    *flow -= amount;
                }
                self.into[parent].retain(|(_, mass)| *mass > 0);
            }
        }
    }

    fn flow(&mut self, row: usize, column: usize) -> Option<&mut u64> {
        self.into[column].iter_mut().find(|(i, _)| *i == row).map(|(_, mass)| mass)
    }
}
