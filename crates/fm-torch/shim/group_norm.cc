// GroupNorm and SiLU in one operator, for contiguous (B, C, ...) tensors on the CPU in f32 and bf16.
//
// The backward pass stores x, the mean and 1 / sigma of each group, and recomputes the normalized values: a third of the memory of the two
// operators. A CUDA kernel would belong in `fm_group_norm_silu`, next to `group_norm_silu_cpu`.

#include "guarded.h"

#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "group_norm.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Minimum number of values per thread.
constexpr int64_t GRAIN = 1 << 14;

// Minimum number of values in a group for which the loops are faster than libtorch's two operators (measured on AVX2).
constexpr int64_t SMALLEST_GROUP = 512;

struct Sizes {
  int64_t samples, channels, groups, area;
  Sizes(const at::Tensor& x, int64_t groups)
      : samples(x.size(0)), channels(x.size(1)), groups(groups), area(x.numel() / (x.size(0) * x.size(1))) {}
  int64_t width() const { return channels / groups; }
  int64_t values() const { return width() * area; }
};

at::Tensor as_float(const at::Tensor& t) {
  return t.to(at::kFloat).contiguous();
}

// Calls `body(group, scratch)` for every group of every sample, on libtorch's threads.
template <typename Body>
void each_group(const Sizes& sizes, int64_t scratch, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, GRAIN / sizes.values());
  at::parallel_for(0, sizes.samples * sizes.groups, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> memory(scratch * sizes.values());
    for (int64_t group = begin; group < end; group++) {
      body(group, memory.data());
    }
  });
}

// The values of a group as f32: a pointer to them, or a copy widened into `scratch`.
const float* group_values(const at::Tensor& x, int64_t at, int64_t count, float* scratch) {
  if (x.scalar_type() == at::kFloat) {
    return x.const_data_ptr<float>() + at;
  }
  fm_widen(reinterpret_cast<const uint16_t*>(x.const_data_ptr<at::BFloat16>()) + at, scratch, count);
  return scratch;
}

// Where to write the values of a group, and the step that brings them into place.
float* group_output(at::Tensor& y, int64_t at, float* scratch) {
  return y.scalar_type() == at::kFloat ? y.mutable_data_ptr<float>() + at : scratch;
}

void store_group(at::Tensor& y, int64_t at, int64_t count, const float* scratch) {
  if (y.scalar_type() == at::kBFloat16) {
    fm_narrow(scratch, reinterpret_cast<uint16_t*>(y.mutable_data_ptr<at::BFloat16>()) + at, count);
  }
}

variable_list forward_cpu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t groups, double eps) {
  const Sizes sizes(x, groups);
  const auto w = as_float(weight), b = as_float(bias);
  const auto options = x.options().dtype(at::kFloat);
  auto y = at::empty_like(x);
  auto mean = at::empty({sizes.samples * groups}, options), rstd = at::empty_like(mean);
  const int64_t count = sizes.values(), width = sizes.width(), area = sizes.area;
  const auto *scale = w.const_data_ptr<float>(), *shift = b.const_data_ptr<float>();
  auto *means = mean.mutable_data_ptr<float>(), *rstds = rstd.mutable_data_ptr<float>();
  each_group(sizes, x.scalar_type() == at::kFloat ? 0 : 1, [&](int64_t group, float* scratch) {
    const int64_t at = group * count, first = group % groups * width;
    const float* from = group_values(x, at, count, scratch);
    float* to = group_output(y, at, scratch);
    const FmMoments moments = fm_moments(from, count, eps);
    means[group] = moments.mean;
    rstds[group] = moments.rstd;
    for (int64_t c = 0; c < width; c++) {
      const float a = scale[first + c] * moments.rstd;
      fm_silu(from + c * area, to + c * area, area, a, shift[first + c] - moments.mean * a);
    }
    store_group(y, at, count, scratch);
  });
  return {y, mean, rstd};
}

// The gradients with respect to x, the weight and the bias.
variable_list backward_cpu(const at::Tensor& gradient, const variable_list& saved, int64_t groups) {
  const auto &x = saved[0], &mean = saved[3], &rstd = saved[4];
  const auto w = as_float(saved[1]), b = as_float(saved[2]), dy = gradient.to(x.scalar_type()).contiguous();
  const Sizes sizes(x, groups);
  auto dx = at::empty_like(x);
  auto sums = at::empty({2, sizes.samples, sizes.channels}, w.options());
  const int64_t count = sizes.values(), width = sizes.width(), area = sizes.area;
  const auto *scale = w.const_data_ptr<float>(), *shift = b.const_data_ptr<float>();
  const auto *means = mean.const_data_ptr<float>(), *rstds = rstd.const_data_ptr<float>();
  auto* const by_bias = sums.mutable_data_ptr<float>();
  auto* const by_weight = by_bias + sizes.samples * sizes.channels;
  each_group(sizes, x.scalar_type() == at::kFloat ? 0 : 3, [&](int64_t group, float* scratch) {
    const int64_t at = group * count, first = group % groups * width;
    const float* from = group_values(x, at, count, scratch);
    const float* above = group_values(dy, at, count, scratch + count);
    float* to = group_output(dx, at, scratch + 2 * count);
    const float m = means[group], r = rstds[group];
    double plain = 0, scaled = 0;
    for (int64_t c = 0; c < width; c++) {
      const float a = scale[first + c] * r;
      const FmSums s = fm_silu_backward(from + c * area, above + c * area, to + c * area, area, a, shift[first + c], m, r);
      by_bias[group * width + c] = s.plain;
      by_weight[group * width + c] = s.scaled;
      plain += static_cast<double>(scale[first + c]) * s.plain;
      scaled += static_cast<double>(scale[first + c]) * s.scaled;
    }
    const auto on_x = static_cast<float>(-scaled / count * r * r), constant = static_cast<float>(-plain / count * r);
    for (int64_t c = 0; c < width; c++) {
      fm_group_backward(from + c * area, to + c * area, area, scale[first + c] * r, on_x, m, constant);
    }
    store_group(dx, at, count, scratch + 2 * count);
  });
  const auto total = sums.sum(1);
  return {dx, total[1].to(saved[1].scalar_type()), total[0].to(saved[2].scalar_type())};
}

struct GroupNormSilu : torch::autograd::Function<GroupNormSilu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            int64_t groups, double eps) {
    const auto made = forward_cpu(x, weight, bias, groups, eps);
    context->save_for_backward({x, weight, bias, made[1], made[2]});
    context->saved_data["groups"] = groups;
    context->saved_data["eps"] = eps;
    return made[0];
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto groups = context->saved_data["groups"].toInt();
    variable_list found;
    if (at::GradMode::is_enabled()) {
      // create_graph: the loops above have no derivative, but the two operators do.
      const auto eps = context->saved_data["eps"].toDouble();
      const auto y = at::silu(at::group_norm(saved[0], groups, saved[1], saved[2], eps, true));
      found = torch::autograd::grad({y}, {saved[0], saved[1], saved[2]}, {gradients[0]}, std::nullopt, true, true);
    } else {
      found = backward_cpu(gradients[0], saved, groups);
    }
    return {found[0], found[1], found[2], at::Tensor(), at::Tensor()};
  }
};

bool plain_float(const at::Tensor& t) {
  return t.is_cpu() && t.layout() == at::kStrided && t.is_contiguous() && !t._fw_grad(0).defined() &&
         (t.scalar_type() == at::kFloat || t.scalar_type() == at::kBFloat16);
}

}  // namespace

extern "C" {

// silu(group_norm(x)), or null if the two operators must be used: on CUDA, in f64, channels last, under forward-mode levels.
char* fm_group_norm_silu(at::Tensor* x, at::Tensor* weight, at::Tensor* bias, int64_t groups, double eps, at::Tensor** out) {
  return fm_guarded([&] {
    *out = nullptr;
    if (!plain_float(*x) || !plain_float(*weight) || !plain_float(*bias) || x->dim() < 2 || x->numel() == 0) {
      return;
    }
    const int64_t channels = x->size(1);
    if (groups < 1 || channels % groups != 0 || weight->numel() != channels || bias->numel() != channels) {
      return;
    }
    if (Sizes(*x, groups).values() < SMALLEST_GROUP) {
      return;
    }
    *out = new at::Tensor(GroupNormSilu::apply(*x, *weight, *bias, groups, eps));
  });
}

}  // extern "C"
