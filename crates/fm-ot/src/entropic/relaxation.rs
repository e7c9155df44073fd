//! How far beyond its fit a potential is moved.
//!
//! Near its limit Sinkhorn's iteration is Gauss-Seidel's on a linear system: with theta the factor by which it shrinks the error, the factor
//! omega = 2 / (1 + sqrt(1 - theta)) in front of each logarithmic step shrinks it fastest, by omega - 1 each time. Theta is read off the
//! error's own decline rho under the present omega, where (rho + omega - 1)^2 = rho omega^2 theta.

/// Beyond it the least error of rounding would be blown up more than any problem gains.
const LARGEST: f64 = 1.999;

#[derive(Debug, Clone)]
pub(super) struct Relaxation {
    allowed: bool,
    omega: f64,
    /// No step goes further; falls where the error has grown.
    cap: f64,
    seen: usize,
    error: f64,
}

impl Relaxation {
    /// A relaxation that waits for the iteration's own rate; one that is not allowed stays at 1.
    pub(super) fn new(allowed: bool) -> Self {
        Self { allowed, omega: 1.0, cap: LARGEST, seen: 0, error: f64::INFINITY }
    }

    pub(super) fn omega(&self) -> f64 {
        self.omega
    }

    /// Iterations over which the decline is measured: enough for an error that shrinks by omega - 1 each time to shrink by e^4, so that
    /// its oscillations do not matter. Half as many are let pass before.
    fn window(&self) -> usize {
        (4.0 / (2.0 - self.omega)).clamp(8.0, 500.0) as usize
    }

    /// Takes note of the error of an iteration.
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
            // Still too far from the limit for the linear picture.
            self.cap = (1.0 + 0.75 * (self.omega - 1.0)).max(1.3);
            self.omega = 1.0;
        }
    }
}
