//! Over-relaxation of the potentials.
//!
//! Near its limit, Sinkhorn's iteration is a Gauss-Seidel iteration on a linear system. If theta is
//! the factor by which it reduces the error, the factor omega = 2 / (1 + sqrt(1 - theta)) on each
//! logarithmic step gives the fastest convergence, by a factor omega - 1 per iteration. Theta is
//! estimated from the observed decline rho of the error under the current omega, where (rho +
//! omega - 1)^2 = rho omega^2 theta.

/// Above this value, rounding errors would be amplified more than any problem gains.
const LARGEST: f64 = 1.999;

#[derive(Debug, Clone)]
pub(super) struct Relaxation {
    allowed: bool,
    omega: f64,
    /// The upper limit of omega; reduced if the error has grown.
    cap: f64,
    seen: usize,
    error: f64,
}

impl Relaxation {
    /// A relaxation that adapts to the rate of the iteration; if not `allowed`, omega stays at 1.
    pub(super) fn new(allowed: bool) -> Self {
        Self { allowed, omega: 1.0, cap: LARGEST, seen: 0, error: f64::INFINITY }
    }

    pub(super) fn omega(&self) -> f64 {
        self.omega
    }

    /// Number of iterations over which the decline is measured: an error that shrinks by omega - 1
    /// per iteration shrinks by e^4, so that its oscillations do not matter. Half as many
    /// iterations are skipped before.
    fn window(&self) -> usize {
        (4.0 / (2.0 - self.omega)).clamp(8.0, 500.0) as usize
    }

    /// Records the error of an iteration.
    pub(super) fn observe(&mut self, error: f64) {
        self.seen += 1;
        let window = self.window();
        if self.seen == window / 2 {
            self.error = error;
        }
        if !self.allowed || self.seen < window / 2 + window {
            return;
        }
        self.seen = 0;
        let rho = (error / self.error).powf(1.0 / window as f64);
        if rho < 1.0 {
            let theta = (rho + self.omega - 1.0).powi(2) / (rho * self.omega.powi(2));
            self.omega = (2.0 / (1.0 + (1.0 - theta).max(0.0).sqrt())).min(self.cap);
            self.cap = (1.0 + 1.1 * (self.cap - 1.0)).min(LARGEST);
        } else if self.omega > 1.0 {
            // The iteration is still too far from its limit for the linear model.
            self.cap = (1.0 + 0.75 * (self.omega - 1.0)).max(1.3);
            self.omega = 1.0;
        }
    }
}
