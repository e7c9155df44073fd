//! Nonlinear functions in single precision and without branches, so that compilers vectorise loops
//! over them.
//!
//! Each function has two versions: with fused multiply-add (`FUSED`), for processors that have it
//! as an instruction, and without. The polynomials come from `tests/reference/fit.py`.

/// The upper tail of the normal distribution times exp(a^2 / 2) for a in [0, 10], in (a - 4) / (a +
/// 4); relative error 4e-9.
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

/// a b + c.
#[inline(always)]
pub(super) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Compiles a function over slices for several instruction sets, from one that has a flag for fused
/// multiply-add.
macro_rules! for_every_processor {
    ($(fn $name:ident($($arg:ident: $type:ty),*) = $generic:ident;)*) => {$(
        fn $name($($arg: $type),*) {
            #[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
            fn fused($($arg: $type),*) {
                $generic::<true>($($arg),*);
            }
            if super::product::fuses() { fused($($arg),*) } else { $generic::<false>($($arg),*) }
        }
    )*};
}
pub(super) use for_every_processor;

#[inline(always)]
fn polynomial<const N: usize, const FUSED: bool>(c: &[f32; N], x: f32) -> f32 {
    let mut sum = c[N - 1];
    let mut k = N - 1;
    while k > 0 {
        k -= 1;
        sum = fma::<FUSED>(sum, x, c[k]);
    }
    sum
}

/// e^x with relative error 2e-7 for x in [-87, 88]; 0 for smaller x, e^88 for larger x.
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    // Adding and subtracting 1.5 2^23 rounds to the nearest integer, which is then in the lowest
    // bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts; the first has few bits, so its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -0.000_212_194_44];
    let inside = x.clamp(-87.0, 88.0);
    let shifted = fma::<FUSED>(inside, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = fma::<FUSED>(-whole, LN_2[1], fma::<FUSED>(-whole, LN_2[0], inside));
    let power = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23);
    if x < -87.0 { 0.0 } else { polynomial::<8, FUSED>(&EXP, rest) * power }
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(super) fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FUSED>(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh<const FUSED: bool>(x: f32) -> f32 {
    let a = x.abs();
    let small = x * polynomial::<6, FUSED>(&TANH, x * x);
    let large = (1.0 - 2.0 / (exp::<FUSED>(2.0 * a) + 1.0)).copysign(x);
    if a < 0.625 { small } else { large }
}

/// GELU, x Phi(x), and its derivative, Phi(x) + x phi(x).
#[inline(always)]
pub(super) fn gelu<const FUSED: bool>(x: f32) -> (f32, f32) {
    const DENSITY: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
    let a = x.abs().min(10.0);
    let bell = exp::<FUSED>(-0.5 * x * x);
    let tail = bell * polynomial::<10, FUSED>(&TAIL, (a - 4.0) / (a + 4.0));
    let phi = if x < 0.0 { tail } else { 1.0 - tail };
    (x * phi, fma::<FUSED>(x * DENSITY, bell, phi))
}

/// SELU and its derivative.
#[inline(always)]
pub(super) fn selu<const FUSED: bool>(x: f32) -> (f32, f32) {
    const SCALE: f32 = 1.050_701;
    const SCALED_ALPHA: f32 = 1.758_099_3;
    let below = SCALED_ALPHA * exp::<FUSED>(x.min(0.0));
    if x > 0.0 { (SCALE * x, SCALE) } else { (below - SCALED_ALPHA, below) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    /// Compared with libtorch's functions in double precision; errors are relative to max(|value|,
    /// 0.1).
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
        check("exp", &exp::<false>, exact.exp(), 3e-7);
        check("exp", &exp::<true>, exact.exp(), 3e-7);
        check("sigmoid", &sigmoid::<true>, exact.sigmoid(), 4e-7);
        check("tanh", &tanh::<true>, exact.tanh(), 3e-7);
        check("selu", &|x| selu::<true>(x).0, exact.selu(), 1e-6);
        check("gelu", &|x| gelu::<true>(x).0, exact.gelu("none"), 1e-6);
        check("gelu", &|x| gelu::<false>(x).0, exact.gelu("none"), 1e-6);
        check("tanh", &tanh::<false>, exact.tanh(), 3e-7);
        let grown = exact.set_requires_grad(true);
        grown.gelu("none").sum(Kind::Double).backward();
        check("gelu'", &|x| gelu::<true>(x).1, grown.grad().copy(), 1e-6);
        let _ = grown.grad().zero_();
        grown.selu().sum(Kind::Double).backward();
        check("selu'", &|x| selu::<true>(x).1, grown.grad().copy(), 3e-7);
        assert_eq!([exp::<true>(-200.0), exp::<true>(200.0)], [0.0, exp::<true>(88.0)]);
        assert!(
            gelu::<true>(f32::NAN).0.is_nan() && tanh::<true>(f32::NAN).is_nan() && sigmoid::<true>(f32::NAN).is_nan()
        );
        assert_eq!((gelu::<true>(-1e30).0.abs(), gelu::<true>(1e30).0, tanh::<true>(-1e30)), (0.0, 1e30, -1.0));
    }
}
