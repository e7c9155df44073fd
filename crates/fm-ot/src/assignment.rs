//! The linear assignment problem: the permutation p that minimises sum_i C[i, p(i)].
//!
//! For uniform marginals of equal size this *is* optimal transport. The method is Jonker and Volgenant's shortest augmenting
//! path ("A shortest augmenting path algorithm for dense and sparse linear assignment problems", Computing 38, 1987):
//! column reduction, reduction transfer and two rounds of augmenting row reduction assign most rows cheaply; a Dijkstra
//! search over reduced costs places each row that is left. O(n^3) at worst, close to O(n^2) on typical batches.
//!
//! The answer carries its own proof: potentials u, v with u_i + v_j <= C_ij and sum u + sum v = cost.
//!
//! ```
//! use fm_ot::assignment::assign;
//! use ndarray::array;
//! let plan = assign(array![[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]].view())?;
//! assert_eq!((plan.columns, plan.cost), (vec![1, 0, 2], 5.0));
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::OtError;
use ndarray::ArrayView2;

/// An optimal assignment and its certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The column of each row.
    pub columns: Vec<usize>,
    /// The sum over rows i of `C[i, columns[i]]`.
    pub cost: f64,
    /// Row potentials u.
    pub u: Vec<f64>,
    /// Column potentials v.
    pub v: Vec<f64>,
}

/// Solves the assignment problem for a square matrix of finite costs of any sign.
///
/// # Errors
/// [`OtError::NotSquare`] and [`OtError::NotFinite`].
pub fn assign(cost: ArrayView2<'_, f64>) -> Result<Assignment, OtError> {
    let (rows, columns) = cost.dim();
    if rows != columns {
        return Err(OtError::NotSquare { rows, columns });
    }
    if let Some(((row, column), _)) = cost.indexed_iter().find(|(_, c)| !c.is_finite()) {
        return Err(OtError::NotFinite { row, column });
    }
    let standard = cost.as_standard_layout();
    let mut search = Search::new(standard.as_slice().unwrap_or(&[]), rows);
    if rows > 0 {
        search.reduce_columns();
        search.transfer_reduction();
        let mut free: Vec<usize> = (0..rows).filter(|&i| search.column_of[i] == NONE).collect();
        for _ in 0..2 {
            free = search.reduce_rows(free);
        }
        let mut dijkstra = Dijkstra::new(rows);
        free.into_iter().for_each(|i| search.augment(i, &mut dijkstra));
    }
    Ok(search.finish())
}

const NONE: usize = usize::MAX;

struct Search<'a> {
    cost: &'a [f64],
    n: usize,
    column_of: Vec<usize>,
    row_of: Vec<usize>,
    v: Vec<f64>,
}

/// Scratch of one shortest-path search, kept between searches.
struct Dijkstra {
    distance: Vec<f64>,
    previous: Vec<usize>,
    /// Columns in three runs: settled, at the current distance and waiting, beyond it.
    columns: Vec<usize>,
}

impl Dijkstra {
    fn new(n: usize) -> Self {
        Self { distance: vec![0.0; n], previous: vec![0; n], columns: (0..n).collect() }
    }
}

impl<'a> Search<'a> {
    fn new(cost: &'a [f64], n: usize) -> Self {
        Self { cost, n, column_of: vec![NONE; n], row_of: vec![NONE; n], v: vec![f64::INFINITY; n] }
    }

    fn row(&self, i: usize) -> &'a [f64] {
        &self.cost[i * self.n..(i + 1) * self.n]
    }

    /// v_j = min_i C_ij, found row by row so that memory is read in order; the first row that attains it takes the column.
    fn reduce_columns(&mut self) {
        let mut argmin = vec![0; self.n];
        for i in 0..self.n {
            let row = self.row(i);
            for ((v, at), &c) in self.v.iter_mut().zip(&mut argmin).zip(row) {
                if c < *v {
                    (*v, *at) = (c, i);
                }
            }
        }
        for (j, &i) in argmin.iter().enumerate() {
            if self.column_of[i] == NONE {
                (self.column_of[i], self.row_of[j]) = (j, i);
            }
        }
    }

    /// Lowers the price of an assigned column by the slack of its row, which makes it dearer to give up.
    fn transfer_reduction(&mut self) {
        for i in 0..self.n {
            let j = self.column_of[i];
            if j == NONE {
                continue;
            }
            let others = self.row(i).iter().zip(&self.v).enumerate().filter(|(k, _)| *k != j);
            let slack = others.map(|(_, (c, v))| c - v).fold(f64::INFINITY, f64::min);
            if slack.is_finite() {
                self.v[j] -= slack - (self.row(i)[j] - self.v[j]);
            }
        }
    }

    /// Each free row takes its cheapest column, lowering its price to the second cheapest; a displaced row goes on at once if
    /// the price fell, and waits for the next stage otherwise. Returns the rows that are still free.
    fn reduce_rows(&mut self, free: Vec<usize>) -> Vec<usize> {
        let mut waiting = Vec::new();
        for start in free {
            let mut i = start;
            // Rounding could let two rows trade one column for ever; the shortest paths finish what is cut short here.
            for _ in 0..self.n {
                let (first, second) = self.two_cheapest(i);
                let (mut j, cheapest) = first;
                let price = self.v[j] - (second.1 - cheapest);
                let falls = price < self.v[j];
                if falls {
                    self.v[j] = price;
                } else if self.row_of[j] != NONE && second.0 != NONE {
                    j = second.0;
                }
                let displaced = std::mem::replace(&mut self.row_of[j], i);
                self.column_of[i] = j;
                i = displaced;
                if i == NONE {
                    break;
                }
                self.column_of[i] = NONE;
                if !falls {
                    break;
                }
            }
            if i != NONE {
                waiting.push(i);
            }
        }
        waiting
    }

    /// The two smallest reduced costs of a row, with their columns.
    fn two_cheapest(&self, i: usize) -> ((usize, f64), (usize, f64)) {
        let (mut first, mut second) = ((NONE, f64::INFINITY), (NONE, f64::INFINITY));
        for (j, (c, v)) in self.row(i).iter().zip(&self.v).enumerate() {
            let reduced = c - v;
            if reduced < second.1 {
                if reduced < first.1 {
                    second = first;
                    first = (j, reduced);
                } else {
                    second = (j, reduced);
                }
            }
        }
        if second.0 == NONE {
            second.1 = first.1;
        }
        (first, second)
    }

    /// Finds the cheapest alternating path from a free row to a free column, updates prices along it and flips it.
    fn augment(&mut self, start: usize, scratch: &mut Dijkstra) {
        let Dijkstra { distance, previous, columns } = scratch;
        for (j, (c, v)) in self.row(start).iter().zip(&self.v).enumerate() {
            distance[j] = c - v;
        }
        previous.fill(start);
        let (mut settled, mut frontier) = (0, 0);
        let (end, shortest) = 'search: loop {
            if settled == frontier {
                // The frontier is empty: it becomes every remaining column at the new smallest distance.
                let shortest = columns[settled..].iter().map(|&j| distance[j]).fold(f64::INFINITY, f64::min);
                for k in settled..self.n {
                    let j = columns[k];
                    if distance[j] <= shortest {
                        if self.row_of[j] == NONE {
                            break 'search (j, shortest);
                        }
                        columns.swap(k, frontier);
                        frontier += 1;
                    }
                }
            }
            let through = columns[settled];
            settled += 1;
            let shortest = distance[through];
            let i = self.row_of[through];
            let row = self.row(i);
            let base = row[through] - self.v[through] - shortest;
            let beyond = frontier;
            for k in beyond..self.n {
                let j = columns[k];
                let candidate = row[j] - self.v[j] - base;
                if candidate < distance[j] {
                    (distance[j], previous[j]) = (candidate, i);
                    if candidate <= shortest {
                        // Rounding may put it a hair below the frontier; it belongs to it.
                        distance[j] = shortest;
                        if self.row_of[j] == NONE {
                            break 'search (j, shortest);
                        }
                        columns.swap(k, frontier);
                        frontier += 1;
                    }
                }
            }
        };
        for &j in &columns[..settled] {
            self.v[j] += distance[j] - shortest;
        }
        let mut j = end;
        loop {
            let i = previous[j];
            self.row_of[j] = i;
            std::mem::swap(&mut self.column_of[i], &mut j);
            if i == start {
                return;
            }
        }
    }

    fn finish(self) -> Assignment {
        let of = |i: usize| self.row(i)[self.column_of[i]];
        let u = (0..self.n).map(|i| of(i) - self.v[self.column_of[i]]).collect();
        let cost = (0..self.n).map(of).sum();
        Assignment { cost, u, columns: self.column_of, v: self.v }
    }
}

#[cfg(test)]
#[path = "assignment_tests.rs"]
mod tests;
