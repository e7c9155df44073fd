// Moves the gradients of leaves into one flat vector; hooks that run when a gradient is complete.

#include "guarded.h"

#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_zero.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

namespace {

using Callback = void (*)(void*, int64_t);

struct Hook : torch::autograd::PostAccumulateGradHook {
  Hook(Callback call, void* context, int64_t index) : call(call), context(context), index(index) {}
  void operator()(const torch::autograd::Variable&) override { call(context, index); }
  Callback call;
  void* context;
  int64_t index;
};

}  // namespace

extern "C" {

// Writes the gradient of each of `count` leaves into its view and removes it from the leaf. A leaf without a gradient gives zeros.
char* fm_take_gradients(at::Tensor** leaves, at::Tensor** views, int64_t count) {
  return fm_guarded([&] {
    const c10::NoGradGuard no_grad;
    std::vector<at::Tensor> to, from, missing;
    for (int64_t i = 0; i < count; i++) {
      auto& gradient = leaves[i]->mutable_grad();
      if (gradient.defined()) {
        to.push_back(*views[i]);
        from.push_back(gradient);
        gradient.reset();
      } else {
        missing.push_back(*views[i]);
      }
    }
    if (!to.empty()) {
      at::_foreach_copy_(to, from);
    }
    if (!missing.empty()) {
      at::_foreach_zero_(missing);
    }
  });
}

// Adds to the gradient of a leaf; the first gradient is stored without a copy.
char* fm_add_gradient(at::Tensor* leaf, at::Tensor* gradient) {
  return fm_guarded([&] {
    const c10::NoGradGuard no_grad;
    auto& collected = leaf->mutable_grad();
    if (collected.defined()) {
      collected.add_(*gradient);
    } else {
      collected = *gradient;
    }
  });
}

// Calls `call(context, index)` whenever the gradient of a leaf is complete; null removes the hook.
char* fm_on_gradient(at::Tensor* leaf, Callback call, void* context, int64_t index) {
  return fm_guarded([&] {
    std::unique_ptr<torch::autograd::PostAccumulateGradHook> hook;
    if (call != nullptr) {
      hook = std::make_unique<Hook>(call, context, index);
    }
    torch::autograd::impl::set_post_acc_grad_hooks(*leaf, std::move(hook));
  });
}

}  // extern "C"
