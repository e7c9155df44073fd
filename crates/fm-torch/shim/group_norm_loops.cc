// Loops of group_norm.cc. They include no libtorch headers, whose inline functions would be cloned for each instruction set too.

#include "group_norm.h"

#include <cmath>

#if defined(__x86_64__) && defined(__linux__)
#define FM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FM_CLONES
#endif
#define FM_INLINE static inline __attribute__((always_inline))

namespace {

constexpr int64_t LANES = 16;
// Number of values that are summed in f32; these sums are then added in f64.
constexpr int64_t BLOCK = 1024;

// e^x within 2 units in the last place: 2^n from the bits of n + 1.5 2^23, the rest by a polynomial. It is constant beyond +-60, which
// does not change a sigmoid; at +-87 its products with small values would be denormal, and ten times as slow.
FM_INLINE float exponential(float x) {
  x = x < -60.0f ? -60.0f : x;
  x = x > 60.0f ? 60.0f : x;
  const float shifted = x * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t power = (__builtin_bit_cast(uint32_t, shifted) << 23) + 0x3f800000u;
  return p * __builtin_bit_cast(float, power);
}

FM_INLINE float sigmoid(float z) {
  return 1.0f / (1.0f + exponential(-z));
}

FM_INLINE float total(const float* lanes) {
  float sum = 0;
  for (int64_t l = 0; l < LANES; l++) {
    sum += lanes[l];
  }
  return sum;
}

// The sum of (x - offset)^power over the values.
template <bool SQUARED>
FM_INLINE double sum_of(const float* x, int64_t count, float offset) {
  double sum = 0;
  for (int64_t start = 0; start < count; start += BLOCK) {
    const int64_t end = start + BLOCK < count ? start + BLOCK : count;
    float lanes[LANES] = {};
    int64_t i = start;
    for (; i + LANES <= end; i += LANES) {
      for (int64_t l = 0; l < LANES; l++) {
        const float d = x[i + l] - offset;
        lanes[l] += SQUARED ? d * d : d;
      }
    }
    for (; i < end; i++) {
      const float d = x[i] - offset;
      lanes[0] += SQUARED ? d * d : d;
    }
    sum += total(lanes);
  }
  return sum;
}

FM_INLINE float silu_gradient(float x, float dy, float a, float shift, float mean) {
  const float z = a * (x - mean) + shift, s = sigmoid(z);
  return dy * (s * (1.0f + z * (1.0f - s)));
}

}  // namespace

FM_CLONES FmMoments fm_moments(const float* x, int64_t count, double eps) {
  const double mean = sum_of<false>(x, count, 0.0f) / count;
  const auto near = static_cast<float>(mean);
  const double variance = sum_of<true>(x, count, near) / count;
  return {near, static_cast<float>(1.0 / std::sqrt(variance + eps))};
}

FM_CLONES void fm_silu(const float* x, float* y, int64_t count, float a, float b) {
  for (int64_t i = 0; i < count; i++) {
    const float z = a * x[i] + b;
    y[i] = z * sigmoid(z);
  }
}

FM_CLONES FmSums fm_silu_backward(const float* x, const float* dy, float* dz, int64_t count, float a, float shift, float mean,
                                  float rstd) {
  // Two passes, because compilers vectorize each of them but not one combined loop; the values stay in the L1 cache.
  for (int64_t i = 0; i < count; i++) {
    dz[i] = silu_gradient(x[i], dy[i], a, shift, mean);
  }
  float plain[LANES] = {}, scaled[LANES] = {};
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    // If this loop is unrolled first, it is vectorized badly.
#pragma GCC unroll 1
    for (int64_t l = 0; l < LANES; l++) {
      plain[l] += dz[i + l];
      scaled[l] += dz[i + l] * (x[i + l] - mean);
    }
  }
  for (; i < count; i++) {
    plain[0] += dz[i];
    scaled[0] += dz[i] * (x[i] - mean);
  }
  return {total(plain), total(scaled) * rstd};
}

FM_CLONES void fm_group_backward(const float* x, float* dz, int64_t count, float a, float on_x, float mean, float constant) {
  for (int64_t i = 0; i < count; i++) {
    dz[i] = a * dz[i] + on_x * (x[i] - mean) + constant;
  }
}

FM_CLONES void fm_widen(const uint16_t* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    to[i] = __builtin_bit_cast(float, static_cast<uint32_t>(from[i]) << 16);
  }
}

FM_CLONES void fm_narrow(const float* from, uint16_t* to, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    const auto bits = __builtin_bit_cast(uint32_t, from[i]);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    // Rounding could turn a NaN into infinity or zero.
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    to[i] = static_cast<uint16_t>(nan ? 0x7fc0u : rounded);
  }
}
