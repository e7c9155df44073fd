// libtorch's fused Adam kernels over one flat vector.

#include "guarded.h"

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>

extern "C" {

// The gradient is divided by `scale`; if `skip` is 1, nothing changes. `scale`, `skip` and `step` are f32 tensors of one value on the
// device.
char* fm_fused_adam(at::Tensor* parameters, at::Tensor* gradient, at::Tensor* mean, at::Tensor* square, at::Tensor* step,
                    at::Tensor* scale, at::Tensor* skip, bool decoupled, double lr, double beta1, double beta2,
                    double decay, double eps) {
  return fm_guarded([&] {
    const c10::NoGradGuard no_grad;
    if (decoupled) {
      at::_fused_adamw_({*parameters}, {*gradient}, {*mean}, {*square}, {}, {*step}, lr, beta1, beta2, decay, eps,
                        false, false, *scale, *skip);
    } else {
      at::_fused_adam_({*parameters}, {*gradient}, {*mean}, {*square}, {}, {*step}, lr, beta1, beta2, decay, eps,
                       false, false, *scale, *skip);
    }
  });
}

}  // extern "C"
