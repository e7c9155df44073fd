// Levels of forward-mode differentiation.

#include "guarded.h"

#include <torch/csrc/autograd/forward_grad.h>

extern "C" {

char* fm_enter_dual_level(uint64_t* level) {
  return fm_guarded([&] { *level = torch::autograd::ForwardADLevel::get_next_idx(); });
}

char* fm_exit_dual_level(uint64_t level) {
  return fm_guarded([&] { torch::autograd::ForwardADLevel::release_idx(level); });
}

}  // extern "C"
