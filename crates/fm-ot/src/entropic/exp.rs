//! The exponential without branches, so that the compiler can vectorise it. It uses a fused
//! multiply-add on every machine (slow on one without the instruction), so that all machines give
//! the same bits.

/// Adding this constant leaves the integer part of an f64 in its lowest bits.
const SHIFT: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts; a product of the first with a small integer is exact.
const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// e^x to 2 units in the last place for x <= 709; 0 below -708.
///
/// x = k ln 2 + r with |r| <= ln 2 / 2, where e^r is its Taylor series up to r^13 / 13! (its
/// remainder is below 1e-17).
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let shifted = x.mul_add(std::f64::consts::LOG2_E, SHIFT);
    let k = shifted - SHIFT;
    let r = k.mul_add(-LN2_LOW, k.mul_add(-LN2_HIGH, x));
    let mut sum: f64 = 1.0 / 6_227_020_800.0;
    for divisor in FACTORIALS {
        sum = sum.mul_add(r, divisor);
    }
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0f64.to_bits()));
    if x < -708.0 { 0.0 } else { sum * scale }
}

/// 1/12! to 1/0!.
const FACTORIALS: [f64; 13] = [
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        for i in -70_800..=7_090 {
            let x = f64::from(i) / 100.0 + 0.003;
            let want = x.exp();
            assert!((exp(x) / want - 1.0).abs() < 5e-16, "{x}: {} against {want}", exp(x));
        }
        assert_eq!((exp(0.0), exp(-709.0), exp(f64::NEG_INFINITY)), (1.0, 0.0, 0.0));
    }
}
