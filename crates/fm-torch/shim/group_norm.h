// Loops of group_norm.cc over contiguous f32 values; vectorized by the compiler, for several instruction sets on x86.
#pragma once

#include <cstdint>

struct FmMoments {
  float mean, rstd;
};

// The sum of the gradient with respect to the normalized values, and of its product with the normalized values.
struct FmSums {
  float plain, scaled;
};

FmMoments fm_moments(const float* x, int64_t count, double eps);
// y = silu(a x + b)
void fm_silu(const float* x, float* y, int64_t count, float a, float b);
// dz = dy silu'(a (x - mean) + shift)
FmSums fm_silu_backward(const float* x, const float* dy, float* dz, int64_t count, float a, float shift, float mean, float rstd);
// dz becomes a dz + on_x (x - mean) + constant
void fm_group_backward(const float* x, float* dz, int64_t count, float a, float on_x, float mean, float constant);
void fm_widen(const uint16_t* from, float* to, int64_t count);
// Rounds to the nearest bf16, ties to even.
void fm_narrow(const float* from, uint16_t* to, int64_t count);
