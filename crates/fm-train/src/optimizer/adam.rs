//! Adam.
//!
//! m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; p <- p - lr (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + eps). Decoupled decay multiplies p
//! by 1 - lr decay first; otherwise decay p is added to g. Compared with `torch.optim.AdamW` and `Adam` in the tests.

use super::State;
use tch::Tensor;

pub(super) fn step(s: State<'_>, updates: &Tensor, (beta1, beta2, eps): (f64, f64, f64), decoupled: bool) {
    let State { mut parameters, mut gradient, mut mean, mut square, lr, decay, allowed } = s;
    if decay > 0.0 && decoupled {
        let _ = parameters.g_mul_(&(allowed * (-lr * decay) + 1.0));
    }
    if decay > 0.0 && !decoupled {
        gradient = &gradient + &parameters * decay;
    }
    // Not below a number that divides: before the first update there is nothing to divide.
    let correction = |beta: f64| (Tensor::pow_scalar(beta, updates) * -1.0 + 1.0).clamp_min(1e-30);
    let _ = mean.lerp_tensor_(&gradient, &(allowed * (1.0 - beta1)).to_kind(gradient.kind()));
    let _ = square.lerp_tensor_(&gradient.square(), &(allowed * (1.0 - beta2)).to_kind(gradient.kind()));
    // Not `sqrt`: libtorch shares that out among threads even for few values, who then spin while they wait for the next.
    // The smallest normal number and no less: sums with one below it take a hundred times as long.
    let mut root = &square + f64::from(f32::MIN_POSITIVE);
    root = root.rsqrt() * root;
    let _ = root.g_div_(&correction(beta2).sqrt()).g_add_scalar_(eps);
    let mut step = mean / root;
    let _ = step.g_mul_(&(allowed * lr / correction(beta1)));
    let _ = parameters.g_sub_(&step);
}
