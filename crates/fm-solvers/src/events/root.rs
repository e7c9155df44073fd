//! Root finding between two times at which a function has opposite signs.
//!
//! Chandrupatla's method: inverse quadratic interpolation where the inverse parabola through three
//! points is monotonic, otherwise bisection. The bracket shrinks until its ends are adjacent up to
//! rounding.
//!
//! Source: Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of a
//! nonlinear function without using derivatives", Advances in Engineering Software 28 (1997).

/// A time and the function value there.
#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) t: f64,
    pub(super) g: f64,
}

/// Bisection alone needs at most about 1,100 halvings between any two finite times.
const MAX_ITERATIONS: usize = 1200;

/// A zero of `g` between `a` and `b`, where its signs differ.
///
/// # Errors
/// Errors of `g`.
pub(super) fn bracketed<E>(a: Point, b: Point, g: impl Fn(f64) -> Result<f64, E>) -> Result<f64, E> {
    // The bracket is from `new` to `old`; `last` is the point most recently removed from it.
    let (mut new, mut old, mut share) = (b, a, 0.5);
    for _ in 0..MAX_ITERATIONS {
        let t = new.t + share * (old.t - new.t);
        let point = Point { t, g: g(t)? };
        let last = if (point.g > 0.0) == (new.g > 0.0) { new } else { std::mem::replace(&mut old, new) };
        new = point;
        let best = if new.g.abs() < old.g.abs() { new } else { old };
        let limit = 2.0 * f64::EPSILON * best.t.abs() + f64::MIN_POSITIVE;
        let smallest = limit / (old.t - new.t).abs();
        if best.g == 0.0 || smallest > 0.5 {
            return Ok(best.t);
        }
        share = quadratic(new, old, last).clamp(smallest, 1.0 - smallest);
    }
    Ok(new.t)
}

/// The fraction of the way from `new` to `old` at which the inverse parabola through the three
/// points is zero, or 1/2.
fn quadratic(new: Point, old: Point, last: Point) -> f64 {
    let xi = (new.t - old.t) / (last.t - old.t);
    let phi = (new.g - old.g) / (last.g - old.g);
    if phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi {
        let ahead = new.g / (old.g - new.g) * (last.g / (old.g - last.g));
        let beside = (last.t - new.t) / (old.t - new.t) * (new.g / (last.g - new.g)) * (old.g / (last.g - old.g));
        return ahead + beside;
    }
    0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[track_caller]
    fn check(g: impl Fn(f64) -> f64, (from, to): (f64, f64), root: f64, most: usize) {
        let calls = Cell::new(0);
        let counting = |t| {
            calls.set(calls.get() + 1);
            Ok::<_, ()>(g(t))
        };
        for (from, to) in [(from, to), (to, from)] {
            calls.set(0);
            let point = |t| Point { t, g: g(t) };
            let found = bracketed(point(from), point(to), counting).unwrap();
            assert!((found - root).abs() <= 4.0 * f64::EPSILON * root.abs(), "{found} {root}");
            assert!(calls.get() <= most, "{} evaluations", calls.get());
        }
    }

    #[test]
    fn zeros_are_found_to_rounding_in_few_evaluations() {
        check(f64::cos, (0.0, 3.0), std::f64::consts::FRAC_PI_2, 9);
        check(|t| t.exp() - 1e5, (-50.0, 50.0), 1e5f64.ln(), 20);
        check(|t| (t - 0.3).powi(9), (0.0, 1.0), 0.3, 120);
        // Jumps and values that cannot be interpolated are bisected.
        check(|t| if t < 0.7 { -1.0 } else { 1.0 }, (0.0, 1.0), 0.7, 60);
        check(|t| if t < 0.7 { f64::NEG_INFINITY } else { 1.0 }, (0.0, 1.0), 0.7, 60);
        check(|t| t, (-1e300, 1.0), 0.0, 1200);
    }
}
