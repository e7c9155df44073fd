//! The nonlinear functions, in single precision and without branches, so that compilers make vector code of loops over them.
//!
//! No product is fused with a sum, so the results are the same with every instruction set. `tests/reference/fit.py` made the polynomials.

/// The upper tail of the normal distribution times exp(a^2 / 2) for a in [0, 10], in (a - 4) / (a + 4); relative error 4e-9.
const TAIL: [f32; 10] = [
    0.094_410_64,
    -0.170_397_71,
    0.124_379_29,
    -0.071_707_29,
    0.030_864_136,
    -0.008_493_921,
    0.000_511_418_7,
    0.000_651_505_37,
    -0.000_188_497_75,
    -0.000_075_580_04,
];

/// tanh(x) / x for |x| up to 0.625, in x^2; relative error 1e-8.
const TANH: [f32; 6] = [1.0, -0.333_332_6, 0.133_310_91, -0.053_718_485, 0.020_583_488, -0.005_652_355];

/// 1 / n!.
const EXP: [f32; 8] = [1.0, 1.0, 0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0];

#[inline(always)]
fn polynomial<const N: usize>(c: &[f32; N], x: f32) -> f32 {
    let mut sum = c[N - 1];
    let mut k = N - 1;
    while k > 0 {
        k -= 1;
        sum = sum * x + c[k];
    }
    sum
}

/// e^x, to 2e-7 relative, for x in [-87, 88]; 0 below, and above as at 88.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding and taking away 1.5 2^23 rounds to the nearest whole number, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first of few bits, so that its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -0.000_212_194_44];
    let inside = x.clamp(-87.0, 88.0);
    let shifted = inside * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (inside - whole * LN_2[0]) - whole * LN_2[1];
    let power = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23);
    if x < -87.0 { 0.0 } else { polynomial(&EXP, rest) * power }
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let small = x * polynomial(&TANH, x * x);
    let large = (1.0 - 2.0 / (exp(2.0 * a) + 1.0)).copysign(x);
    if a < 0.625 { small } else { large }
}

/// GELU, x Phi(x), and its derivative, Phi(x) + x phi(x).
#[inline(always)]
pub(super) fn gelu(x: f32) -> (f32, f32) {
    const DENSITY: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
    let a = x.abs().min(10.0);
    let bell = exp(-0.5 * x * x);
    let tail = bell * polynomial(&TAIL, (a - 4.0) / (a + 4.0));
    let phi = if x < 0.0 { tail } else { 1.0 - tail };
    (x * phi, phi + x * DENSITY * bell)
}

/// SELU and its derivative.
#[inline(always)]
pub(super) fn selu(x: f32) -> (f32, f32) {
    const SCALE: f32 = 1.050_701;
    const SCALED_ALPHA: f32 = 1.758_099_3;
    let below = SCALED_ALPHA * exp(x.min(0.0));
    if x > 0.0 { (SCALE * x, SCALE) } else { (below - SCALED_ALPHA, below) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    /// libtorch's functions in double precision, by errors relative to 0.1 and more.
    #[test]
    fn functions_are_those_of_libtorch_to_single_precision() {
        let x: Vec<f32> = (-12_000..=12_000).map(|k| k as f32 * 1e-3).collect();
        let exact = Tensor::from_slice(&x).to_kind(Kind::Double);
        let check = |name: &str, got: &dyn Fn(f32) -> f32, want: Tensor, bound: f64| {
            let want = Vec::<f64>::try_from(want).unwrap();
            for (x, want) in x.iter().zip(want) {
                let off = (f64::from(got(*x)) - want).abs() / (0.1 + want.abs());
                assert!(off < bound, "{name}({x}) is off by {off}");
            }
        };
        check("exp", &exp, exact.exp(), 3e-7);
        check("sigmoid", &sigmoid, exact.sigmoid(), 4e-7);
        check("tanh", &tanh, exact.tanh(), 3e-7);
        check("selu", &|x| selu(x).0, exact.selu(), 1e-6);
        check("gelu", &|x| gelu(x).0, exact.gelu("none"), 1e-6);
        let grown = exact.set_requires_grad(true);
        grown.gelu("none").sum(Kind::Double).backward();
        check("gelu'", &|x| gelu(x).1, grown.grad().copy(), 1e-6);
        let _ = grown.grad().zero_();
        grown.selu().sum(Kind::Double).backward();
        check("selu'", &|x| selu(x).1, grown.grad().copy(), 3e-7);
        assert_eq!([exp(-200.0), exp(200.0)], [0.0, exp(88.0)]);
        assert!(gelu(f32::NAN).0.is_nan() && tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
        assert_eq!((gelu(-1e30).0.abs(), gelu(1e30).0, tanh(-1e30)), (0.0, 1e30, -1.0));
    }
}
