//! Weights of a step: of the state, and of the stored values, newest first.

/// A point of the grid on a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathPoint {
    pub(super) alpha: f64,
    pub(super) sigma: f64,
    /// log(alpha / sigma).
    pub(super) log_snr: f64,
}

impl PathPoint {
    pub(super) fn new(alpha: f64, sigma: f64) -> Self {
        Self { alpha, sigma, log_snr: (alpha / sigma).ln() }
    }

    /// The start of a path, before the point `next`. Where its data has no weight, the log-SNR is
    /// that of alpha = 1e-6, as in diffusers' UniPC, or lower if the next point is close.
    pub(super) fn bounded(self, next: Self) -> Self {
        let log_snr = if self.alpha > 0.0 { self.log_snr } else { 1e-6f64.ln().min(next.log_snr - 1.0) };
        Self { log_snr, ..self }
    }
}

/// x' = state x + sum values_k y_k.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StepWeights {
    pub(super) state: f64,
    pub(super) values: Vec<f64>,
}

/// Integrates the polynomial through velocities at `nodes` from t to t + h.
pub(super) fn adams(t: f64, h: f64, nodes: &[f64]) -> StepWeights {
    let c: Vec<f64> = nodes.iter().map(|node| (node - t) / h).collect();
    let weight = |i: usize| {
        // Coefficients of the Lagrange polynomial of node i, lowest power first.
        let mut basis = vec![1.0];
        for (_, other) in c.iter().enumerate().filter(|(j, _)| *j != i) {
            let (scale, mut next) = (1.0 / (c[i] - other), vec![0.0; basis.len() + 1]);
            for (power, b) in basis.iter().enumerate() {
                next[power] -= other * b * scale;
                next[power + 1] += b * scale;
            }
            basis = next;
        }
        h * basis.iter().enumerate().map(|(power, b)| b / (power + 1) as f64).sum::<f64>()
    };
    StepWeights { state: 1.0, values: (0..c.len()).map(weight).collect() }
}

/// The step of DPM-Solver++(2M) from `from` to `to`, with the point before it.
pub(super) fn dpm_solver_2m(from: PathPoint, to: PathPoint, before: Option<PathPoint>) -> StepWeights {
    let (state, gain) = (to.sigma / from.sigma, gain(from, to));
    let Some(before) = before else { return StepWeights { state, values: vec![gain] } };
    let half = 0.5 * (to.log_snr - from.log_snr) / (from.log_snr - before.log_snr);
    StepWeights { state, values: vec![gain * (1.0 + half), -gain * half] }
}

/// a' (1 - e^(-h)), where h is the step in log-SNR, finite at both ends of a path.
fn gain(from: PathPoint, to: PathPoint) -> f64 {
    to.alpha - from.alpha * to.sigma / from.sigma
}

/// The prediction of UniPC from `from` to `to`, with earlier points, newest first.
pub(super) fn uni_p(from: PathPoint, to: PathPoint, before: &[PathPoint]) -> StepWeights {
    let h = to.log_snr - from.log_snr;
    let ratios: Vec<f64> = before.iter().map(|p| (p.log_snr - from.log_snr) / h).collect();
    let rho = match ratios.len() {
        0 => Vec::new(),
        // The published value for order 2, which does not depend on the step.
        1 => vec![0.5],
        n => solve(&ratios, &moments(h, n)),
    };
    let (gain, scale) = (gain(from, to), to.alpha * -(-h).exp_m1());
    let others: Vec<f64> = rho.iter().zip(&ratios).map(|(rho, ratio)| scale * rho / ratio).collect();
    let values = std::iter::once(gain - others.iter().sum::<f64>()).chain(others).collect();
    StepWeights { state: to.sigma / from.sigma, values }
}

/// The correction of UniPC from `from` to `to` with the value at `to`, which comes first in the
/// weights, then that at `from`.
pub(super) fn uni_c(from: PathPoint, to: PathPoint, before: &[PathPoint]) -> StepWeights {
    let h = to.log_snr - from.log_snr;
    let ratios: Vec<f64> = before.iter().map(|p| (p.log_snr - from.log_snr) / h).chain([1.0]).collect();
    let rho = if before.is_empty() { vec![0.5] } else { solve(&ratios, &moments(h, ratios.len())) };
    let (gain, scale) = (gain(from, to), to.alpha * -(-h).exp_m1());
    let mut others: Vec<f64> = rho.iter().zip(&ratios).map(|(rho, ratio)| scale * rho / ratio).collect();
    let at_start = gain - others.iter().sum::<f64>();
    let ahead = others.pop().unwrap_or(0.0);
    StepWeights { state: to.sigma / from.sigma, values: [vec![ahead, at_start], others].concat() }
}

/// The right-hand sides b_1, ..., b_n of UniPC with B(h) = e^(-h) - 1.
fn moments(h: f64, n: usize) -> Vec<f64> {
    let (h, mut factorial) = (-h, 1.0);
    let scale = h.exp_m1();
    let mut phi = scale / h - 1.0;
    let step = |i: usize| {
        let b = phi * factorial / scale;
        factorial *= (i + 1) as f64;
        phi = phi / h - 1.0 / factorial;
        b
    };
    (1..=n).map(step).collect()
}

/// Solves sum_k r_k^(i - 1) rho_k = b_i, i = 1, ..., n, for different r.
fn solve(r: &[f64], b: &[f64]) -> Vec<f64> {
    let n = r.len();
    let mut rows: Vec<Vec<f64>> = (0..n).map(|i| r.iter().map(|r| r.powi(i as i32)).chain([b[i]]).collect()).collect();
    for (k, r) in r.iter().enumerate() {
        // Subtracting r_k times the row above leaves r_j^(i - 1) (r_j - r_k): no pivot is zero.
        for i in (k + 1..n).rev() {
            let above = rows[i - 1].clone();
            rows[i].iter_mut().zip(above).for_each(|(a, above)| *a -= r * above);
        }
    }
    let mut rho = vec![0.0; n];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| rows[k][j] * rho[j]).sum();
        rho[k] = (rows[k][n] - known) / rows[k][k];
    }
    rho
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &[f64], want: &[f64]) -> bool {
        got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-13)
    }

    #[test]
    fn adams_weights_are_the_closed_forms_on_even_and_uneven_steps() {
        let even = adams(0.2, 0.1, &[0.2, 0.1, 0.0]).values;
        assert!(close(&even, &[0.1 * 23.0 / 12.0, -0.1 * 16.0 / 12.0, 0.1 * 5.0 / 12.0]), "{even:?}");
        let moulton = adams(0.2, 0.1, &[0.3, 0.2, 0.1]).values;
        assert!(close(&moulton, &[0.1 * 5.0 / 12.0, 0.1 * 8.0 / 12.0, -0.1 / 12.0]), "{moulton:?}");
        // h (v + r / 2 (v - v_before)), r = h / h_before.
        let (h, before) = (0.3, 0.2);
        let uneven = adams(0.5, h, &[0.5, 0.5 - before]).values;
        let half = 0.5 * h / before;
        assert!(close(&uneven, &[h * (1.0 + half), -h * half]), "{uneven:?}");
        // Any quadratic is integrated exactly: 3 t^2 from 0.7 to 1.2, backwards too.
        for (t, h, nodes) in [(0.7, 0.5, [0.7, 0.4, 0.35]), (0.7, -0.5, [0.7, 0.8, 1.1])] {
            let weights = adams(t, h, &nodes).values;
            let integral: f64 = weights.iter().zip(nodes).map(|(w, t)| w * 3.0 * t * t).sum();
            assert!((integral - ((t + h).powi(3) - t.powi(3))).abs() < 1e-13);
        }
    }

    #[test]
    fn the_systems_of_unipc_are_solved() {
        let (r, b) = ([-1.5, -0.5, 1.0], [0.3, -0.2, 0.7]);
        let rho = solve(&r, &b);
        for (i, b) in b.iter().enumerate() {
            let sum: f64 = r.iter().zip(&rho).map(|(r, rho)| r.powi(i as i32) * rho).sum();
            assert!((sum - b).abs() < 1e-14);
        }
    }
}
