//! A Brownian path that does not depend on the times at which it is evaluated: a virtual Brownian
//! tree.
//!
//! W(0) = 0 and W(1) is standard normal. Between two neighbouring times l < r of a level, the value
//! in the middle is given by Lévy's bridge,
//!
//! W((l + r) / 2) = (W(l) + W(r)) / 2 + sqrt(r - l) / 2 Z,
//!
//! with Z standard normal. Draw 0 is W(1), draw 1 belongs to 1/2, draws 2 and 3 to 1/4 and 3/4, and
//! so on: a value is a function of (time, row), whatever was evaluated before. So a solver may
//! reject a step and try a smaller one without a bias, and a row does not depend on its batch.
//!
//! Times are whole multiples of 2^-48, so no value is interpolated. An evaluation costs one draw
//! per level, and [`round_step`] chooses the ends of steps from few levels.
//!
//! Sources: Gaines and Lyons, "Variable step size control in the numerical solution of stochastic
//! differential equations" (1997); Li et al., "Scalable gradients for stochastic differential
//! equations" (2020), section 4.
//!
//! ```
//! use fm_solvers::sde::{PerStep, brownian};
//! use ndarray::{Array2, array};
//! let draws = PerStep(|i: u64| array![[[1.0, -0.5, 2.0, 0.0][i as usize]]]);
//! let at = |u: f64| brownian::evaluate(&draws, &[u], &[0])[[0, 0]];
//! assert_eq!((at(0.0), at(1.0)), (0.0, 1.0));
//! assert_eq!(at(0.5), 0.5 * 1.0 + 0.5 * -0.5);
//! assert_eq!(at(0.25), 0.5 * at(0.5) + 0.5 * 0.5f64.sqrt() * 2.0);
//! ```

use super::noise::Noise;
use fm_core::state::{OdeState, RowState};

/// The number of levels of the tree.
const LEVELS: i32 = 48;

/// W at time `u[k]` in [0, 1] of row `rows[k]`, for each k. Times are rounded to multiples of
/// 2^-48.
///
/// # Panics
/// When `u` and `rows` have different lengths, or the shape of the noise changes between draws.
pub fn evaluate<S: OdeState + RowState>(noise: &(impl Noise<S> + ?Sized), u: &[f64], rows: &[usize]) -> S {
    let whole = 1u64 << LEVELS;
    let ticks: Vec<u64> = u.iter().map(|u| (u.clamp(0.0, 1.0) * whole as f64).round() as u64).collect();
    let mut right = noise.rows(&vec![0; u.len()], rows);
    if right.rows() != u.len() {
        // A solver rejects its shape.
        return right;
    }
    let mut left = S::linear_combination(&[(0.0, &right)]);
    let mut out = S::linear_combination(&[(1.0, &right)]);
    // Rows whose time lies inside of the interval (low, low + size) of their level.
    let at_start: Vec<usize> = (0..ticks.len()).filter(|k| ticks[*k] == 0).collect();
    out.put_rows(&at_start, &left.select_rows(&at_start));
    let mut inside: Vec<(usize, u64)> =
        (0..ticks.len()).filter(|k| ticks[*k] > 0 && ticks[*k] < whole).map(|k| (k, 0)).collect();
    let keep = |state: &S, places: &[usize]| state.select_rows(places);
    let places: Vec<usize> = inside.iter().map(|(k, _)| *k).collect();
    (left, right) = (keep(&left, &places), keep(&right, &places));
    let mut size = whole;
    while !inside.is_empty() {
        let number = |low: u64| whole / size + low / size;
        let (numbers, of): (Vec<u64>, Vec<usize>) = inside.iter().map(|(k, low)| (number(*low), rows[*k])).unzip();
        let spread = 0.5 * (size as f64 / whole as f64).sqrt();
        let middle = S::linear_combination(&[(0.5, &left), (0.5, &right), (spread, &noise.rows(&numbers, &of))]);
        size /= 2;
        let (mut stay, mut reached) = (Vec::new(), Vec::new());
        let (mut from_middle, mut to_middle) = (vec![0.0; inside.len()], vec![0.0; inside.len()]);
        for (i, (k, low)) in inside.iter_mut().enumerate() {
            let centre = *low + size;
            if ticks[*k] == centre {
                reached.push((i, *k));
                continue;
            }
            stay.push(i);
            if ticks[*k] > centre {
                (*low, from_middle[i]) = (centre, 1.0);
            } else {
                to_middle[i] = 1.0;
            }
        }
        let (from, to): (Vec<usize>, Vec<usize>) = reached.into_iter().unzip();
        out.put_rows(&to, &middle.select_rows(&from));
        let rest = |moved: &[f64]| moved.iter().map(|m| 1.0 - m).collect::<Vec<f64>>();
        left = S::row_combination(&[(&rest(&from_middle), &left), (&from_middle, &middle)]).select_rows(&stay);
        right = S::row_combination(&[(&rest(&to_middle), &right), (&to_middle, &middle)]).select_rows(&stay);
        inside = stay.into_iter().map(|i| inside[i]).collect();
    }
    out
}

/// The end of a step from `u` of a size of at most `h`, at least 7/8 of it: a multiple of the
/// largest power of two that is at most h / 8, so that it lies on one of the first levels of the
/// tree. `None` if the tree is not fine enough.
///
/// ```
/// use fm_solvers::sde::brownian::round_step;
/// assert_eq!(round_step(0.25, 0.1), Some(0.25 + 12.0 / 128.0)); // 0.1 / 8 lies between 1/128 and 1/64
/// assert_eq!(round_step(0.25, 1e-16), None);
/// ```
pub fn round_step(u: f64, h: f64) -> Option<f64> {
    let level = (-(h / 8.0).log2().floor()).clamp(0.0, f64::from(LEVELS));
    let parts = level.exp2();
    let end = ((u + h) * parts).floor() / parts;
    (end > u).then_some(end)
}
